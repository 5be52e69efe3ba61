"""Random versions of a LiDAR scene, around the scanner: a function of the draws of one generator and of nothing else.

A scene is what it is indoors, points with features and boxes; here boxes may have velocities, which move with them.
Copied objects (`paste`) and objects moved one by one (`object_noise`) come before, the range of the network after.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from pointcloud.structures.similarity import Similarity
from pointcloud.structures.voxels import Range
from pointcloud.training.augment import TrainingScene, moved
from vol3d.engine.settings import Settings

Length = Annotated[float, Field(ge=0)]
Magnification = Annotated[float, Field(gt=0)]


class LidarAugmentSettings(Settings):
    """What happens to a whole training scene; nothing unless a recipe sets it."""

    flip_x: float = Field(0.0, ge=0, le=1, description="probability of mirroring x -> -x: front and back change places")
    flip_y: float = Field(0.0, ge=0, le=1, description="probability of mirroring y -> -y: left and right change places")
    rotate_deg: float = Field(0.0, ge=0, le=180, description="largest turn about z, either way")
    scale: tuple[Magnification, Magnification] = Field((1.0, 1.0), description="smallest and largest magnification")
    shift_m: Length | tuple[Length, Length, Length] = Field(
        0.0, description="standard deviation of a shift, along x, y and z or one for all"
    )

    @model_validator(mode="after")
    def _check(self) -> LidarAugmentSettings:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be the smallest, then the largest magnification, got {self.scale}")
        return self


def augment_drive(scene: TrainingScene, settings: LidarAugmentSettings, rng: np.random.Generator) -> TrainingScene:
    """Mirrors, turns, magnifies and shifts, in this order; the scene itself if no setting is on."""
    return moved(scene, draw_motion(settings, rng))


def draw_motion(settings: LidarAugmentSettings, rng: np.random.Generator) -> Similarity:
    """One of the motions that the settings allow; always takes as many draws."""
    flip_x, flip_y = (bool(rng.random() < chance) for chance in (settings.flip_x, settings.flip_y))
    angle = math.radians(settings.rotate_deg) * rng.uniform(-1, 1)
    scale = rng.uniform(*settings.scale)
    x, y, z = (rng.standard_normal(3) * settings.shift_m).tolist()
    return Similarity(flip_x, flip_y, angle, scale, (x, y, z))


def in_range(scene: TrainingScene, point_range_m: Range) -> TrainingScene:
    """The points in a range, and the boxes whose centre seen from above is in it; the upper ends are outside."""
    low, high = np.array(point_range_m, np.float32).reshape(2, 3)
    inside, kept = _within(scene.xyz, low, high), _within(scene.boxes[:, :2], low[:2], high[:2])
    return replace(scene.at(inside), boxes=scene.boxes[kept], labels=scene.labels[kept])


def _within(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which rows lie in the range; column by column, which is several times faster than all at once."""
    inside = np.ones(len(places), np.bool_)
    for column, (begin, end) in enumerate(zip(low, high, strict=True)):
        inside &= (places[:, column] >= begin) & (places[:, column] < end)
    return inside
