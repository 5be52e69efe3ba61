"""The shipped kitti-cars on real frames that its training left out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vol3d

FOLD = 1  # of `unpack.py`; the model was trained on the others


@pytest.fixture(scope="module")
def frames(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KITTI's layout; validation are the seven frames of four drives that were left out."""
    unpack = data_root / "kitti_real" / "unpack.py"
    if not unpack.is_file():
        pytest.skip(f"needs {unpack}")
    root = tmp_path_factory.mktemp("kitti_real")
    command = [sys.executable, str(unpack), str(root), "--fold", str(FOLD), "--thin", "1000"]
    subprocess.run(command, check=True, capture_output=True)
    return root


def test_it_finds_the_cars_of_drives_that_it_has_not_seen(frames: Path) -> None:
    evaluation = vol3d.evaluate("kitti-cars", frames, device="cpu")
    cars = evaluation.summary["classes"]["Car"]
    assert evaluation.summary["frames"] == 7 and cars["ground_truths"] == 16
    assert cars["ap3d_moderate_area"] > 0.7
    assert evaluation.score == pytest.approx(0.349, abs=0.03)  # as the card says


def test_a_single_file_is_predicted_and_the_licence_said(frames: Path, tmp_path: Path) -> None:
    name = (frames / "ImageSets" / "val.txt").read_text().split()[0]
    sweep = shutil.copy(frames / "training" / "velodyne" / f"{name}.bin", tmp_path)
    model = vol3d.load("kitti-cars", "cpu")
    found = model.predict(sweep, columns=("x", "y", "z", "intensity"))
    assert [note.code for note in model.notes] == ["non-commercial"] and not found.notes
    assert {"Car"} <= {found.detections.class_names[label] for label in found.detections.labels}
    assert torch.tensor(found.detections.boxes[:, 0]).min() > 0  # ahead of the scanner
