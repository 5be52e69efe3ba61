"""Small scenes for the tests of the viewer: a room with three boxes, and a volume with two organs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from vol3d.scans import Detections, Grid, PointCloud, Segmentation, Volume, write_detections, write_nifti
from vol3d.view.scene import FOUND, BoxLayer, MaskLayer, PointLayer, ViewScene, VolumeLayer

COLOURS = {"chair": "#56b4e9", "table": "#00c48f"}
BOXES = np.array([(1, 1, 0.5, 1, 0.6, 1, 0), (3, 1, 0.4, 1.2, 0.8, 0.8, 0), (3, 3, 0.5, 0.5, 0.5, 1, 0)], np.float32)


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) int: red, green and blue from 0 to 255."""
    return (imread(io.BytesIO(png))[..., :3] * 255).round().astype(int)


def room_points(count: int = 4000) -> np.ndarray:
    """(count, 3) float32: a floor of 4 x 4 m and a wall of 2 m."""
    rng = np.random.default_rng(0)
    floor = np.c_[rng.uniform(0, 4, (count // 2, 2)), np.zeros(count // 2)]
    wall = np.c_[rng.uniform(0, 4, count - count // 2), np.full(count - count // 2, 4.0), rng.uniform(0, 2, count // 2)]
    return np.concatenate((floor, wall)).astype(np.float32)


def detections(scores: tuple[float, ...] = (0.9, 0.6, 0.2)) -> Detections:
    labels = np.array((0, 1, 0))
    return Detections(BOXES, np.array(scores, np.float32), labels, ("chair", "table"))


def room() -> ViewScene:
    xyz = room_points()
    rgb = np.full((len(xyz), 3), 128, np.uint8)
    layer = PointLayer("room.ply", xyz, rgb, intensity=xyz[:, 0])
    return ViewScene("room", (layer,), (BoxLayer(FOUND, detections(), True),), class_colours=COLOURS)


def organs() -> ViewScene:
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[4:10, 5:15, 6:20], labels[12:17, 5:15, 6:20] = 1, 2
    grid = Grid((20, 24, 28), np.diag([1.0, 1.0, 1.0, 1.0]))
    image = np.random.default_rng(0).normal(100, 10, (1, *labels.shape)).astype(np.float32) + 50 * labels
    mask = MaskLayer("mask", Segmentation(labels, grid, ("background", "left", "right")), {1: "#56b4e9", 2: "#00c48f"})
    return ViewScene("organs", volume=VolumeLayer("scan", Volume(image, grid), (50.0, 250.0), (mask,)))


def write_room(folder: Path, scores: tuple[float, ...] = (0.9, 0.6, 0.2)) -> tuple[Path, Path]:
    """`room.npy` and `room.json` of the room above."""
    scan, boxes = folder / "room.npy", folder / "room.json"
    np.save(scan, room_points())
    write_detections(boxes, detections(scores), PointCloud(room_points(), source=scan))
    return scan, boxes


def write_organs(folder: Path) -> tuple[Path, Path]:
    """`scan.nii.gz` and `mask.nii.gz` of the volume above."""
    volume = organs().volume
    assert volume is not None
    write_nifti(folder / "scan.nii.gz", volume.volume)
    mask = volume.masks[0].segmentation
    write_nifti(folder / "mask.nii.gz", Volume(mask.labels[None], mask.grid))
    return folder / "scan.nii.gz", folder / "mask.nii.gz"
