"""Data to try things on from Python, and results that show themselves in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import vol3d
from medical import demo
from vol3d.engine.evaluation import Evaluation, Metric
from vol3d.errors import UsageError, Vol3dError
from vol3d.prediction import BoxPrediction, MaskPrediction
from vol3d.recording_prediction import FrameResult, FramesPrediction
from vol3d.report.inline import prediction_html
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.recording import Frame
from vol3d.scans.results.detections import Detections


def test_samples_are_scans_with_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = vol3d.samples()
    scans, labels = ({path.name for path in (folder / part).iterdir()} for part in ("imagesTr", "labelsTr"))
    assert scans == labels and len(scans) == 12
    monkeypatch.setattr(demo, "SAMPLES", tmp_path / "gone")
    with pytest.raises(Vol3dError, match="sample scans are not installed"):
        vol3d.samples()


def test_the_same_seed_generates_the_same_frames(tmp_path: Path) -> None:
    one, other = (vol3d.generate("kitti", tmp_path / name, scenes=2, seed=5) for name in ("a", "b"))
    sweeps = [sorted(folder.rglob("*.bin")) for folder in (one, other)]
    assert [p.read_bytes() for p in sweeps[0]] == [p.read_bytes() for p in sweeps[1]] and len(sweeps[0]) >= 2


@pytest.mark.parametrize(
    ("kind", "options"), [("trees", {}), ("rooms", {"scanner": "vlp-16"}), ("kitti", {"seconds": 3})]
)
def test_what_cannot_be_generated_is_refused(kind: str, options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        vol3d.generate(kind, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_rows_of_boxes_begin_with_the_surest() -> None:
    boxes = np.arange(1, 22, dtype=np.float32).reshape(3, 7) / 8
    scores = np.array([0.2, 0.9, 0.5], np.float32)
    result = BoxPrediction(Detections(boxes, scores, np.array([0, 1, 0]), ("a", "b")), cloud(50))
    rows = result.rows()
    assert [row["class"] for row in rows] == ["b", "a", "a"]
    assert list(rows[0]) == ["class", "score", "x", "y", "z", "l", "w", "h", "yaw"]
    assert list(rows[0].values())[2:] == boxes[1].tolist() and rows[0]["score"] == pytest.approx(0.9)
    html = result._repr_html_()
    assert html.count("<tr>") == 4 and html.startswith("<img") and result.picture()[:4] == b"\x89PNG"


def test_nothing_found_is_said() -> None:
    nothing = Detections(np.zeros((0, 7), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a",))
    result = BoxPrediction(nothing, cloud(50))
    assert result.rows() == [] and "nothing was found" in result._repr_html_()
    assert "<b>" not in prediction_html(b"", [{"<b>": "<b>"}])


@pytest.mark.bad_input
def test_a_recording_shows_a_row_for_each_cloud() -> None:
    frames = (FrameResult(Frame(3, 1_500_000_000, None), error="cut <off>"),)
    html = FramesPrediction(recording=None, frames=frames)._repr_html_()  # type: ignore[arg-type]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", html) == ["3", "1.500", "–", "0.000", "cut &lt;off&gt;"]


def test_rows_of_a_mask_are_its_volumes() -> None:
    model = vol3d.load("unetr-hippocampus", device="cpu")
    result = model.predict(sorted((vol3d.samples() / "imagesTr").iterdir())[0])
    assert isinstance(result, MaskPrediction)
    assert {row["class"]: row["volume_ml"] for row in result.rows()} == result.volumes_ml
    assert sum(row["voxels"] for row in result.rows()) == np.count_nonzero(result.mask)


def test_an_evaluation_shows_its_score_and_its_classes() -> None:
    summary = {"dice": 0.5, "classes": {"liver & <b>": {"dice": 0.25}, "spleen": {"dice": 0.75}}}
    html = Evaluation(0.5, "dice", summary, metrics=(Metric("dice", "Dice", headline=True),))._repr_html_()
    assert re.findall(r"<td[^>]*>([^<]*)</td>", html) == ["liver &amp; &lt;b&gt;", "0.250", "spleen", "0.750"]
    assert "0.500" in html and "Dice" in html and "<table" not in Evaluation(0.5, "loss", {})._repr_html_()


def cloud(points: int) -> PointCloud:
    return PointCloud(np.random.default_rng(0).normal(0, 2, (points, 3)).astype(np.float32))
