"""Each annotated object moved a little by itself, with its points (SECOND, section 3.2; PointPillars, section 3.2).

The defaults are PointPillars'.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from pydantic import Field

from pointcloud.structures.similarity import wrapped
from pointcloud.training.lidar_augment import Length, TrainingScene
from pointcloud.training.paste import TOUCHING_M2
from vol3d.engine.settings import Settings
from vol3d.geometry import box_of_points
from vol3d.geometry.boxes import VELOCITY, YAW


class ObjectNoiseSettings(Settings):
    """How far an object may go."""

    rotate_deg: float = Field(9.0, ge=0, le=180, description="largest turn about the object's own middle, either way")
    shift_m: Length | tuple[Length, Length, Length] = Field(
        0.25, description="standard deviation of a shift, along x, y and z or one for all"
    )
    tries: int = Field(100, ge=1, description="an object stays where it is if none of these places is free")


def move_objects(scene: TrainingScene, settings: ObjectNoiseSettings, rng: np.random.Generator) -> TrainingScene:
    """The scene with every object turned and moved to where, seen from above, it overlaps no other.

    One after the other, each where the ones before it are by then. A point in two boxes goes with the first.
    """
    from pointcloud.training.object_noise_kernels import first_free  # numba is loaded when something is computed
    from vol3d.geometry.overlap_kernels import as_rows

    count, tries = len(scene.boxes), settings.tries
    angles = math.radians(settings.rotate_deg) * rng.uniform(-1, 1, (count, tries))
    shifts = rng.standard_normal((count, tries, 3)) * settings.shift_m
    tried = np.repeat(scene.boxes[:, None, :7].astype(np.float64), tries, axis=1)
    tried[..., :3] += shifts
    tried[..., YAW] += angles

    rows = as_rows(torch.from_numpy(scene.boxes))
    chosen = first_free(rows, as_rows(torch.from_numpy(tried)).reshape(count, tries, 9), TOUCHING_M2)

    index, stays = np.arange(count), chosen < 0
    angle, shift = np.where(stays, 0, angles[index, chosen]), np.where(stays[:, None], 0, shifts[index, chosen])
    return replace(scene, xyz=_points(scene, angle, shift), boxes=_boxes(scene.boxes, angle, shift))


def _points(scene: TrainingScene, angle: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Points (N, 3), those in boxes moved as their boxes are."""
    owner = box_of_points(torch.from_numpy(scene.xyz), torch.from_numpy(scene.boxes)).numpy()
    moving = np.flatnonzero(owner >= 0)
    owner, xyz = owner[moving], scene.xyz.copy()
    middle = scene.boxes[owner, :3].astype(np.float64)
    away = _turned(xyz[moving] - middle, angle[owner])
    xyz[moving] = middle + shift[owner] + away
    return xyz


def _boxes(boxes: np.ndarray, angle: np.ndarray, shift: np.ndarray) -> np.ndarray:
    moved = boxes.copy()
    moved[:, :3] += shift
    moved[:, YAW] = wrapped(boxes[:, YAW].astype(np.float64) + angle)
    if boxes.shape[1] == 9:
        moved[:, VELOCITY] = _turned(boxes[:, VELOCITY], angle)
    return moved


def _turned(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (n, 2 or 3), each turned about z by its own angle (n,)."""
    cosine, sine, x, y = np.cos(angle), np.sin(angle), vectors[:, 0], vectors[:, 1]
    return np.column_stack([x * cosine - y * sine, x * sine + y * cosine, vectors[:, 2:]])
