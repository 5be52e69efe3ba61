"""Random versions of an indoor scene: a function of the draws of one generator and of nothing else.

Scenes come in and go out as points with features and boxes; each step is a separate function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from pointcloud.structures.similarity import UNMOVED, Similarity
from vol3d.engine.settings import Settings
from vol3d.geometry import enclosing_axis_aligned


class CuboidSettings(Settings):
    """Cut to a random box around a random point, as 3DETR does (its appendix, "Random Cuboid Augmentation")."""

    when: Literal["off", "first", "last"] = Field("off", description="before or after the flips, turns and scaling")
    least_points: int = Field(30_000, ge=1, description="smaller cuts are drawn again")
    size: tuple[float, float] = Field((0.5, 1.0), description="edges as shares of the scene's, smallest and largest")
    aspect: float = Field(0.8, gt=0, le=1, description="at least one pair of edges is as square as this")
    tries: int = Field(100, ge=1, description="then the scene stays whole")


class SceneAugmentSettings(Settings):
    """What happens to a training scene; nothing unless a recipe sets it."""

    cuboid: CuboidSettings = CuboidSettings()
    flip_x: float = Field(0.0, ge=0, le=1, description="probability of mirroring along x")
    flip_y: float = Field(0.0, ge=0, le=1, description="probability of mirroring along y")
    rotate_deg: float = Field(0.0, ge=0, le=180, description="largest turn about z, either way")
    quarter_turns: bool = Field(False, description="also any multiple of 90 degrees about z")
    scale: tuple[float, float] = Field((1.0, 1.0), description="smallest and largest magnification")
    axis_aligned: bool = Field(False, description="boxes have no yaw: after a turn they grow around the turned box")


@dataclass(frozen=True, eq=False)
class TrainingScene:
    """What is distorted together.

    Args:
        xyz: (N, 3) float32 metres.
        features: (N, C) float32, moved with their points; `heights` names the column that is a length.
        boxes: (K, 7 or 9) float32.
        labels: (K,) int64.
        motion: what has moved all of it since it was read.
    """

    xyz: np.ndarray
    features: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    heights: int | None = None
    motion: Similarity = UNMOVED

    def at(self, points: np.ndarray) -> TrainingScene:
        """The points at these indices, or under this mask, with all boxes."""
        rows = np.flatnonzero(points) if points.dtype == np.bool_ else points
        return replace(self, xyz=self.xyz.take(rows, axis=0), features=self.features.take(rows, axis=0))


def augment_room(
    scene: TrainingScene, points: int, settings: SceneAugmentSettings, rng: np.random.Generator
) -> TrainingScene:
    """Cuts, samples `points` of the points, mirrors, turns and scales."""
    cuboid = settings.cuboid
    if cuboid.when == "first":  # sampling before turning saves turning what is then left out
        scene = random_cuboid(scene, cuboid, rng)
    if cuboid.when != "last":
        scene = scene.at(choose(len(scene.xyz), points, rng))

    flip_x, flip_y = rng.random() < settings.flip_x, rng.random() < settings.flip_y
    angle = math.radians(settings.rotate_deg) * rng.uniform(-1, 1)
    if settings.quarter_turns:
        angle += math.pi / 2 * rng.integers(4)
    scene = moved(scene, Similarity(flip_x, flip_y, angle, rng.uniform(*settings.scale)))
    if settings.axis_aligned:
        scene = replace(scene, boxes=enclosing_axis_aligned(torch.from_numpy(scene.boxes)).numpy())

    if cuboid.when == "last":
        scene = random_cuboid(scene, cuboid, rng)
        scene = scene.at(choose(len(scene.xyz), points, rng))
    return scene


def choose(available: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `wanted` of `available` points: each at most once, unless there are too few."""
    return rng.choice(available, wanted, replace=available < wanted)


def random_cuboid(scene: TrainingScene, settings: CuboidSettings, rng: np.random.Generator) -> TrainingScene:
    """The points in a random cuboid and the boxes whose centre is in it; the whole scene if no try keeps enough.

    Source: 3DETR (Misra et al., ICCV 2021), appendix A.
    """
    if len(scene.xyz) < settings.least_points:
        return scene
    extent = np.ptp(scene.xyz, axis=0)
    for _ in range(settings.tries):
        share = rng.uniform(*settings.size, size=3)
        middle = scene.xyz[rng.integers(len(scene.xyz))]
        if not _squarish(share, settings.aspect):
            continue
        low, high = middle - extent * share / 2, middle + extent * share / 2
        inside = np.all((scene.xyz >= low) & (scene.xyz <= high), axis=1)
        kept = np.all((scene.boxes[:, :3] >= low) & (scene.boxes[:, :3] <= high), axis=1)
        if np.count_nonzero(inside) >= settings.least_points and (kept.any() or not len(kept)):
            return replace(scene.at(inside), boxes=scene.boxes[kept], labels=scene.labels[kept])
    return scene


def _squarish(edges: np.ndarray, aspect: float) -> bool:
    pairs = ((0, 1), (0, 2), (1, 2))
    return any(min(edges[i], edges[j]) / max(edges[i], edges[j]) >= aspect for i, j in pairs)


def moved(scene: TrainingScene, how: Similarity) -> TrainingScene:
    """The scene mirrored, turned, magnified and shifted, once; a feature that is a length grows with it."""
    if how == UNMOVED:
        return scene
    features = scene.features
    if scene.heights is not None and how.scale != 1:
        features = features.copy()
        features[:, scene.heights] *= how.scale
    return replace(scene, xyz=how.points(scene.xyz), features=features, boxes=how.boxes(scene.boxes), motion=how)
