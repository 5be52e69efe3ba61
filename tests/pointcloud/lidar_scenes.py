"""Small LiDAR scenes for tests: points around the origin and boxes that hold some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pointcloud.datasets.scenes import Scene, annotated
from pointcloud.training.lidar_augment import TrainingScene
from vol3d.geometry import points_in_boxes
from vol3d.scans.points.cloud import PointCloud

CLASSES = ("car", "pedestrian", "cyclist")


def lidar_scene(
    seed: int = 0, boxes: int = 5, points: int = 600, columns: int = 9, apart: bool = False
) -> TrainingScene:
    """Points with intensity and seconds, half of them near boxes; boxes `apart` from each other do not overlap."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-15, 15, (boxes, 3)) * [1, 1, 0.1]
    if apart:
        angle = 2 * np.pi * (np.arange(boxes) / max(boxes, 1) + rng.random())
        centre[:, :2] = 12 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rest = [rng.uniform(0.5, 4, (boxes, 3)), rng.uniform(-3.1, 3.1, (boxes, 1)), rng.uniform(-5, 5, (boxes, 2))]
    table = np.concatenate([centre, *rest], axis=1)[:, :columns].astype(np.float32)
    xyz = rng.uniform(-20, 20, (points, 3)) * [1, 1, 0.1]
    if boxes:
        near = rng.integers(boxes, size=points // 2)
        xyz[: points // 2] = table[near, :3] + rng.uniform(-2, 2, (points // 2, 3))
    features = np.stack([np.arange(points), rng.random(points)], axis=1).astype(np.float32)
    return TrainingScene(xyz.astype(np.float32), features, table, rng.integers(len(CLASSES), size=boxes))


def members(scene: TrainingScene, grow: float = 0.0) -> np.ndarray:
    """(boxes, points) which points lie in the boxes, each `grow` metres larger."""
    boxes = scene.boxes.copy()
    boxes[:, 3:6] += grow
    return points_in_boxes(torch.from_numpy(scene.xyz), torch.from_numpy(boxes)).numpy()


@dataclass
class LidarReader:
    """A reader of `lidar_scene(seed)`."""

    seed: int = 0
    boxes: int = 5
    points: int = 600
    reads: int = 0

    @property
    def name(self) -> str:
        return f"frame{self.seed}"

    def read(self) -> Scene:
        self.reads += 1
        scene = lidar_scene(self.seed, self.boxes, self.points, apart=True)
        cloud = PointCloud(scene.xyz, {"intensity": scene.features[:, 0], "time": scene.features[:, 1]})
        return Scene(self.name, cloud, annotated(scene.boxes, scene.labels, CLASSES, "lidar"))

    def labels(self) -> np.ndarray:
        return self.read().truth.labels

    def fingerprint(self, quick: bool = False) -> str:
        return f"{self.seed} {self.boxes} {self.points} {quick}"
