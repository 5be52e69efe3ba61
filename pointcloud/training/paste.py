"""Copies of annotated objects put into a scene where nothing stands yet (SECOND, section 3.2; PointPillars, 3.2).

An object comes back to the place that it was cut out of, with the points that the scanner saw of it from there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pointcloud.training.lidar_augment import TrainingScene
from pointcloud.training.object_file import ObjectBank
from vol3d.geometry import box_of_points, overlap_bev

TOUCHING_M2 = 1e-6  # footprints of boxes that only touch have such an area in common, by rounding


def paste(scene: TrainingScene, bank: ObjectBank, rng: np.random.Generator) -> TrainingScene:
    """The scene, filled up with objects of the bank; its own points inside of them are gone.

    Args:
        bank: of the scene's features.
        rng: draws the objects; one that would overlap another one, seen from above, is left out.
    """
    drawn = draw_objects(scene.labels, bank, rng)
    drawn = drawn[fitting(scene.boxes, bank.boxes[drawn])]
    if not len(drawn):
        return scene

    boxes = bank.boxes[drawn]
    parts = [bank.points(index) for index in drawn]
    table = np.concatenate(parts)
    table[:, :3] += np.repeat(boxes[:, :3], [len(part) for part in parts], axis=0)

    left = scene.at(~covered(scene.xyz, boxes))
    present = scene.boxes if len(scene.boxes) else boxes[:0]  # a scene without any has lost its columns
    columns = max(present.shape[1], boxes.shape[1])
    return replace(
        left,
        xyz=np.concatenate([left.xyz, table[:, :3]]),
        features=np.concatenate([left.features, table[:, 3:]]),
        boxes=np.concatenate([_widened(present, columns), _widened(boxes, columns)]),
        labels=np.concatenate([scene.labels, bank.labels[drawn]]),
    )


def draw_objects(present: np.ndarray, bank: ObjectBank, rng: np.random.Generator) -> np.ndarray:
    """Objects, each once at most, that fill a scene with the labels `present` up to the bank's numbers."""
    drawn = [np.zeros(0, np.int64)]
    for label, wanted in bank.wanted.items():
        missing = min(wanted - np.count_nonzero(present == label), len(bank.of[label]))
        if missing > 0:
            drawn.append(rng.choice(bank.of[label], missing, replace=False))
    return np.concatenate(drawn)


def fitting(present: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which of the boxes (K,) overlap none that is present and none before them that fits."""
    both = torch.from_numpy(np.concatenate([present[:, :7], boxes[:, :7]]))
    touching = overlap_bev(both[len(present) :], both).numpy() > TOUCHING_M2
    taken = np.arange(len(both)) < len(present)
    for index, others in enumerate(touching, len(present)):
        taken[index] = not (others & taken).any()
    return taken[len(present) :]


def covered(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Which points (N,) lie inside of a box."""
    owners: np.ndarray = box_of_points(torch.from_numpy(xyz), torch.from_numpy(boxes)).numpy()
    return owners >= 0


def _widened(boxes: np.ndarray, columns: int) -> np.ndarray:
    """Boxes with this number of columns; a velocity that they did not have is unknown."""
    return np.pad(boxes, ((0, 0), (0, columns - boxes.shape[1])), constant_values=np.nan)
