"""The shipped detectors of streets on real frames."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vol3d
from pointcloud.datasets.kitti.dataset import KittiSettings
from vol3d.prediction import BoxPrediction

FOLD = 1  # of `unpack.py`
COLUMNS = ("x", "y", "z", "intensity")


@pytest.fixture(scope="module")
def frames(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KITTI's layout; validation are the seven frames of four drives."""
    unpack = data_root / "kitti_real" / "unpack.py"
    if not unpack.is_file():
        pytest.skip(f"needs {unpack}")
    root = tmp_path_factory.mktemp("kitti_real")
    command = [sys.executable, str(unpack), str(root), "--fold", str(FOLD), "--thin", "1000"]
    subprocess.run(command, check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def sweep(frames: Path) -> Path:
    name = (frames / "ImageSets" / "val.txt").read_text().split()[0]
    return frames / "training" / "velodyne" / f"{name}.bin"


@pytest.mark.parametrize(("name", "area"), [("kitti-cars", 0.6), ("street-cars", 0.4)])
def test_they_find_the_cars(frames: Path, name: str, area: float) -> None:
    """kitti-cars was trained on these frames, street-cars on no real one."""
    evaluation = vol3d.evaluate(name, frames, device="cpu")
    cars = evaluation.summary["classes"]["Car"]
    assert evaluation.summary["frames"] == 7 and cars["ground_truths"] == 16
    assert cars["ap3d_moderate_area"] > area


def test_a_single_file_is_predicted_and_the_licence_said(sweep: Path, tmp_path: Path) -> None:
    model = vol3d.load("kitti-cars", "cpu")
    found = model.predict(shutil.copy(sweep, tmp_path), columns=COLUMNS)
    assert isinstance(found, BoxPrediction)
    assert [note.code for note in model.notes] == ["non-commercial"]
    assert found.to_dict()["licence"] == model.licence == "CC-BY-NC-SA 3.0" and "KITTI" in str(model.attribution)
    assert json.loads(found.save(tmp_path / "out").read_text())["record"]["terms"] == {"licence": model.licence}
    assert "Car" in found.detections.names()
    assert found.boxes[:, 0].min() > 0  # ahead of the scanner


def test_low_and_high_scanners_see_the_same_cars(sweep: Path, tmp_path: Path) -> None:
    model = vol3d.load("kitti-cars", "cpu")
    points = np.fromfile(sweep, "<f4").reshape(-1, 4)
    found = []
    for ground in (-1.73, 0.0, -0.5, -2.5):
        shifted = points + np.array([0, 0, ground + 1.73, 0], np.float32)
        shifted.tofile(tmp_path / "a.bin")
        prediction = model.predict(tmp_path / "a.bin", columns=COLUMNS)
        assert isinstance(prediction, BoxPrediction)
        found.append(prediction.boxes - np.array([0, 0, ground + 1.73, 0, 0, 0, 0], np.float32))
    assert len(found[0])
    for boxes in found[1:]:
        np.testing.assert_allclose(boxes, found[0], atol=2e-3)  # heights are rounded to a tenth of a millimetre or so


def test_street_objects_finds_cars_that_no_training_of_it_has_seen(frames: Path) -> None:
    model = vol3d.load("street-objects", "cpu")
    split = KittiSettings(root=frames).split()
    found = counted = 0
    for reader in split.validation:
        scene = reader.read()
        cars = scene.truth.boxes[scene.truth.labels == split.class_names.index("Car"), :2]
        cars = cars[(np.abs(cars) < 40).all(axis=1)]
        boxes = model.predict(scene.cloud.xyz, columns=["x", "y", "z"], score=0.3).detections
        centres = boxes.boxes[np.array(boxes.names()) == "car", :2] if len(boxes) else np.zeros((0, 2))
        away = np.linalg.norm(cars[:, None] - centres, axis=2)
        found, counted = found + int((away.min(axis=1, initial=np.inf) < 2).sum()), counted + len(cars)
    assert counted > 10 and found > 0.6 * counted
