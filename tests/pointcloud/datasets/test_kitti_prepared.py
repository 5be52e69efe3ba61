"""Prepared frames of KITTI say what the frames say, so that the benchmark scores them alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.kitti.dataset import KittiFrame, KittiSettings
from pointcloud.datasets.kitti.prepared import PreparedKittiFrame
from pointcloud.datasets.tools import check, prepare
from pointcloud.evaluation.kitti import evaluate_kitti
from pointcloud.evaluation.kitti_truth import KittiReader, kitti_scored
from pointcloud.generate.kitti.write import write_kitti
from vol3d.errors import DataError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kitti")
    write_kitti(out, 2, seed=3, workers=0)
    return out


@pytest.fixture(scope="module")
def ready(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ready")
    prepare(KittiSettings(root=root), None, out, 0, None)
    return out


def test_prepared_frames_say_what_the_frames_say(root: Path, ready: Path) -> None:
    split, again = KittiSettings(root=root).split(), KittiSettings(root=ready).split()
    frames, prepared = (*split.labelled, *split.test), (*again.labelled, *again.test)
    assert [one.name for one in frames] == [one.name for one in prepared] and len(frames) == 3
    for one, other in zip(frames, prepared, strict=True):
        assert isinstance(one, KittiFrame) and isinstance(other, PreparedKittiFrame) and isinstance(other, KittiReader)
        first, second = one.annotations(), other.annotations()
        for column in fields(first):
            np.testing.assert_array_equal(getattr(first, column.name), getattr(second, column.name))
        assert one.image_size() == other.image_size() == (1242, 375)
        np.testing.assert_array_equal(one.calibration().p2, other.calibration().p2)
        np.testing.assert_array_equal(one.calibration().lidar_from_camera, other.calibration().lidar_from_camera)
    assert any((one.annotations().types == "DontCare").any() for one in prepared)  # type: ignore[attr-defined]
    assert not [fault for fault in check(again, 0) if "no training scene" not in fault.what]


def test_the_benchmark_scores_them_alike(root: Path, ready: Path) -> None:
    summaries = []
    for folder in (root, ready):
        scored = []
        for frame in KittiSettings(root=folder).split().labelled:
            scene = frame.read()
            kept = np.arange(len(scene.truth)) % 4 > 0
            scored.append(kitti_scored(frame, scene.cloud, scene.truth.select(kept)))  # type: ignore[arg-type]
        summaries.append(evaluate_kitti(scored).summary)
    assert 0.3 < summaries[0]["ap3d_moderate_area"] < 1
    assert json.dumps(summaries[0], default=str) == json.dumps(summaries[1], default=str)


def test_a_detector_is_not_scored_for_classes_that_it_does_not_know(root: Path) -> None:
    settings = KittiSettings(root=root, class_names=("Car",))
    scored = []
    for frame in settings.split().labelled:
        scene = frame.read()
        scored.append(kitti_scored(frame, scene.cloud, scene.truth))  # type: ignore[arg-type]
    assert any("Van" in one.truth.types for one in scored)
    summary = evaluate_kitti(scored).summary
    assert summary["ap3d_moderate_area"] == 1 and not summary["classes"]["Pedestrian"]["ground_truths"]


def test_preparing_again_keeps_frames_and_makes_those_of_an_older_release_anew(root: Path, ready: Path) -> None:
    path = ready / "scenes/000000.json"
    before = path.stat().st_mtime_ns
    prepare(KittiSettings(root=root), None, ready, 0, None)
    assert path.stat().st_mtime_ns == before
    record = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in record.items() if key != "extras"} | {"key": "1:older"}))
    frame = PreparedKittiFrame(ready, "000000", ("Car", "Pedestrian", "Cyclist"))
    for ask in (frame.annotations, frame.calibration, frame.image_size):
        with pytest.raises(DataError, match=r"lacks what its benchmark needs.*data prepare.* again"):
            ask()
    prepare(KittiSettings(root=root), None, ready, 0, None)
    assert len(frame.annotations()) > 0


@pytest.mark.parametrize("extras", [{"image_size": [1242]}, {"image_size": ["a", 3]}, {"image_size": 4}, [], None])
def test_a_damaged_record_is_told(ready: Path, tmp_path: Path, extras: object) -> None:
    record = json.loads((ready / "scenes/000001.json").read_text())
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes/000001.json").write_text(json.dumps(record | {"extras": extras}))
    frame = PreparedKittiFrame(tmp_path, "000001", ("Car",))
    with pytest.raises(DataError, match=r"damaged|lacks what"):
        frame.image_size()
    with pytest.raises(DataError, match="lacks what"):
        frame.annotations()


def test_a_frame_fingerprint_tells_another_calibration_or_label(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    frame, copy = (KittiFrame(folder / "training", "000000") for folder in (root, tmp_path / "copy"))
    assert frame.fingerprint() == copy.fingerprint()
    path = tmp_path / "copy/training/label_2/000000.txt"
    path.write_text(path.read_text() + "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n")
    assert frame.fingerprint() != copy.fingerprint()
