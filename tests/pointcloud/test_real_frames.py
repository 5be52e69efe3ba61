"""The shipped 3detr-frames, which has seen generated frames only, on real ones of SUN RGB-D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vol3d
from benchmarks.real_rooms import detected, objects_found
from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.structures.class_names import SUN_RGBD_CLASSES
from vol3d.prediction import BoxPrediction


@pytest.fixture(scope="module")
def frames(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five validation frames in VoteNet's export."""
    packed = sorted((data_root / "sunrgbd_real").glob("*_val.npz"))
    if not packed:
        pytest.skip("needs sunrgbd_real")
    root = tmp_path_factory.mktemp("sun_rgbd")
    for part in ("train", "val"):
        (root / f"sunrgbd_pc_bbox_votes_50k_v1_{part}").mkdir()
    for path in packed:
        with np.load(path) as frame:
            xyz, rgb, boxes = frame["xyz_tenth_mm"] / 1e4, frame["rgb"] / 255, frame["bbox"]
        target = root / "sunrgbd_pc_bbox_votes_50k_v1_val" / path.stem.removesuffix("_val")
        np.savez(f"{target}_pc.npz", pc=np.concatenate([xyz, rgb], axis=1).astype(np.float32))
        np.save(f"{target}_bbox.npy", boxes)
    return root


def test_it_finds_most_beds_of_real_frames(frames: Path) -> None:
    scenes = list(detected("3detr-frames", SunRgbdSettings(root=frames).split()))
    found = np.concatenate([objects_found(scene) for scene in scenes])
    beds = np.concatenate([scene.truth.labels for scene in scenes]) == SUN_RGBD_CLASSES.index("bed")
    assert len(scenes) == 5 and beds.sum() == 5 and found[beds].sum() >= 4


def test_a_frame_is_predicted_with_boxes_that_turn_and_it_says_what_it_was_trained_on(frames: Path) -> None:
    scene = SunRgbdSettings(root=frames).split().validation[0].read()
    model = vol3d.load("3detr-frames", "cpu")
    assert [note.code for note in model.notes] == ["trained-on-synthetic"]
    found = model.predict(scene.cloud)
    assert isinstance(found, BoxPrediction) and "bed" in found.names
    assert len(found.boxes) and np.abs(found.boxes[:, 6]).max() > 0.01
    assert "trained-on-synthetic" in {note.code for note in found.notes}
