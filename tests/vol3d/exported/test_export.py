"""Networks exported for good, and what the exported ones predict. Each is traced once: that takes seconds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vol3d
from medical.task import SegmentationTask
from vol3d.cli.main import main
from vol3d.errors import UsageError
from vol3d.exported import measure
from vol3d.exported.export import export
from vol3d.model import Model
from vol3d.scans.results.detections import Detections

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

UNETR = {"name": "unetr", "patch": 8, "width": 24, "depth": 2, "heads": 2, "mlp": 24, "features": 4, "skips": [1, 2]}


def small(folder: Path, **model: Any) -> Model:
    """An untrained UNETR of a second's work."""
    settings = {
        "model": {**UNETR, **model},
        "data": {"name": "folder", "root": str(folder)},
        "window": {"size": (16, 16, 16)},
        "class_names": ("background", "liver"),
        "channel_names": ("CT",),
    }
    task = SegmentationTask(SegmentationTask.settings_type.model_validate(settings))
    torch.manual_seed(0)
    info = {
        "settings": task.settings.model_dump(mode="json"),
        "sha256": "0" * 64,
        "class_names": ["background", "liver"],
    }
    return Model("small", task, (task.model().eval(),), torch.device("cpu"), (info,))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("onnx")
    model = small(folder)
    return model, folder / "m.onnx", vol3d.export(model, folder / "m.onnx")


def test_the_difference_is_measured_and_stored(exported: tuple[Model, Path, dict[str, Any]]) -> None:
    from vol3d.exported.card import read

    _, path, facts = exported
    (row,) = facts["differences"]
    assert row["on"] == measure.RANDOM
    assert 0 < row["largest"] < 1e-3 * max(row["largest_output"], 1)
    assert read(path).info["exported"] == json.loads(json.dumps(facts))
    assert facts["inputs"] == {"image": ["batch", 1, 16, 16, 16]}


def test_the_exported_one_predicts_what_the_original_does(exported: tuple[Model, Path, dict[str, Any]]) -> None:
    model, path, _ = exported
    scan = np.random.default_rng(0).normal(size=(20, 24, 18)).astype(np.float32)
    wanted, found = (m.predict(scan, affine=np.eye(4)) for m in (model, vol3d.load(path, "cpu")))
    assert (wanted.mask != found.mask).mean() < 1e-3
    assert found.class_names == ("background", "liver")


def test_an_existing_file_stays(exported: tuple[Model, Path, dict[str, Any]]) -> None:
    model, path, _ = exported
    before = path.read_bytes()
    with pytest.raises(UsageError, match="there already"):
        vol3d.export(model, path)
    with pytest.raises(UsageError, match="exported already"):
        vol3d.export(path, path.with_name("again.onnx"))
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_an_archive_holds_the_program_and_what_it_is(tmp_path: Path) -> None:
    facts = vol3d.export(small(tmp_path), tmp_path / "m.pt2")
    assert facts["differences"][0]["largest"] < 1e-5
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("vol3d.json")]
        info = json.loads(archive.read(name))
    assert info["class_names"] == ["background", "liver"]
    assert info["settings"]["window"]["size"] == [16, 16, 16]


@pytest.mark.parametrize(
    ("name", "precision", "says"),
    [("m.txt", "float32", "the name decides the format"), ("m.pt2", "half", "only ONNX is written in another")],
)
def test_what_cannot_be_asked_is_refused_before_any_work(tmp_path: Path, name: str, precision: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        export(small(tmp_path), tmp_path / name, (), None, precision)
    assert not list(tmp_path.iterdir())


def test_ensembles_and_precisions_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = small(tmp_path)
    both = Model("folds", one.task, one.models * 2, one.device, one.info * 2)
    with pytest.raises(UsageError, match="an ensemble"):
        vol3d.export(both, tmp_path / "m.onnx")
    assert main(["export", "unetr-hippocampus", "-o", str(tmp_path / "m.onnx"), "--half", "--int8"]) == 2
    assert "one precision at a time" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_masks_are_compared_class_by_class() -> None:
    one = np.array([[[0, 1, 1, 2]]])
    other = np.array([[[0, 1, 2, 2]]])
    found = measure.masks_between(one, other, ("background", "a", "b", "c"))
    assert found == {"voxels": 4, "voxels_changed": 1, "dice": {"a": 2 / 3, "b": 2 / 3}}


def boxes(*rows: tuple[float, float, int]) -> Detections:
    """Cubes of 2 m at x, with a score and a label."""
    table = np.array([[x, 0, 0, 2, 2, 2, 0] for x, _, _ in rows], np.float32).reshape(-1, 7)
    scores, labels = np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int64)
    return Detections(table, scores, labels, ("a", "b"))


def test_boxes_are_found_again_by_class_and_place() -> None:
    one, other = boxes((0, 0.9, 0), (10, 0.8, 1), (20, 0.5, 0)), boxes((20.1, 0.4, 0), (10, 0.8, 0), (0, 0.85, 0))
    found = measure.boxes_between(one, other)
    assert (found["boxes"], found["boxes_exported"], found["boxes_found_again"]) == (3, 3, 2)
    assert found["largest_score_change"] == pytest.approx(0.1)
    assert measure.boxes_between(boxes(), other) == {"boxes": 0, "boxes_exported": 3, "boxes_found_again": 0}


def test_what_is_not_finite_is_no_small_difference() -> None:
    compared = measure.Compared(torch.nn.Identity(), lambda x: (x * torch.nan,))
    compared(torch.ones(1, 2))
    assert compared.largest == float("inf")
