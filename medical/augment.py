"""Random windows of a training volume, distorted: a function of the draws of one generator and of nothing else.

The distortions (`medical.distortions`) are plain arithmetic on tensors. MONAI's random transforms, which they replace,
took three times as long, since each of their steps carries an affine and a history along.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from medical.datasets.cases import IGNORED
from medical.distortions import Move, shade
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError

Triple = tuple[float, float, float]


class CropSettings(Settings):
    """Where windows are cut from a training volume."""

    foreground: float = Field(0.5, ge=0, le=1, description="share of windows centred on a foreground voxel")
    balance: Literal["classes", "voxels"] = Field("classes", description="draw the centre's class first, or any voxel")
    per_volume: int = Field(1, ge=1, description="windows of a volume in each epoch")


class AugmentSettings(Settings):
    """Distortions, each with its probability; a recipe switches on what it names."""

    flip: Triple = Field((0.0, 0.0, 0.0), description="probability of mirroring along each axis")
    rotate90: float = Field(0.0, ge=0, le=1, description="quarter turns in the plane of the first two axes")
    affine: float = Field(0.0, ge=0, le=1, description="probability of rotation, scale and shift together")
    rotate_deg: Triple = Field((15.0, 15.0, 15.0), description="largest angle about each axis")
    scale: tuple[float, float] = Field((0.85, 1.2), description="smallest and largest magnification")
    shift_voxels: Triple = Field((0.0, 0.0, 0.0), description="largest displacement along each axis")
    noise: float = Field(0.0, ge=0, le=1, description="Gaussian noise of standard deviation 0.1 or less")
    blur: float = Field(0.0, ge=0, le=1, description="Gaussian blur, sigma 0.5 to 1 voxel")
    low_resolution: float = Field(0.0, ge=0, le=1, description="down- and upsampling, zoom 0.5 to 1")
    gamma: float = Field(0.0, ge=0, le=1, description="contrast x^g over the window's range, g from 0.7 to 1.5")
    scale_intensity: float = Field(0.0, ge=0, le=1, description="probability of scaling intensities by 1 +- scale_by")
    scale_by: float = Field(0.1, ge=0)
    shift_intensity: float = Field(0.0, ge=0, le=1, description="probability of adding a constant within +- shift_by")
    shift_by: float = Field(0.1, ge=0)


class Augment:
    """Cuts a window and distorts it.

    Args:
        settings: the distortions.
        crop: where to cut.
        window: (i, j, k) voxels of the result.
    """

    def __init__(self, settings: AugmentSettings, crop: CropSettings, window: tuple[int, int, int]) -> None:
        if settings.rotate90 and window[0] != window[1]:
            wanted = "as many voxels along the first axis as along the second"
            do = "Set augment.rotate90 to 0, or choose another window."
            raise UsageError(
                "quarter turns change the shape of the window", where="window.size", got=window, wanted=wanted, do=do
            )
        self.settings, self.crop, self.window = settings, crop, window

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(c, i, j, k) floats and (1, i, j, k) labels of any size -> the same of the window's size (label int64)."""
        moved, moved_label = self.moved(image, label, rng)
        return shade(moved, self.settings, rng).contiguous(), moved_label.contiguous()

    def moved(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The window before its intensities are distorted: float32 and int64."""
        centre = self._centre(label[0], rng)
        move = Move.draw(self.settings, rng)
        near, near_label = (torch.from_numpy(cut(array, centre, move.reach(self.window))) for array in (image, label))
        return move(near, self.window, "bilinear").float(), move(near_label, self.window, "nearest").long()

    def _centre(self, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Centre voxel of the window, such that the window leaves the volume only where the volume is smaller."""
        shape, half = np.array(label.shape), np.array(self.window) // 2
        centre = rng.integers(shape)
        if rng.random() < self.crop.foreground:
            centre = _foreground_voxel(label, self.crop.balance, rng, otherwise=centre)
        last = shape - (np.array(self.window) - half)
        return np.where(last >= half, np.clip(centre, half, np.maximum(last, half)), shape // 2)


def cut(array: np.ndarray, centre: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """The window of `size` voxels around voxel `centre` of (c, i, j, k), zeros where it leaves the array."""
    start = np.asarray(centre) - np.array(size) // 2
    stop = start + size
    inside = (slice(None), *(slice(max(a, 0), max(b, 0)) for a, b in zip(start, stop, strict=True)))
    part = array[inside]
    result = np.zeros((len(array), *size), array.dtype)
    before = np.maximum(-start, 0)
    there = (slice(None), *(slice(first, first + n) for first, n in zip(before, part.shape[1:], strict=True)))
    result[there] = part
    return result


def _foreground_voxel(label: np.ndarray, balance: str, rng: np.random.Generator, otherwise: np.ndarray) -> np.ndarray:
    """A random voxel of a random class (`classes`) or of all foreground (`voxels`); `otherwise` if there is none."""
    flat = label.ravel()
    mask = (flat > 0) & (flat != IGNORED)
    if balance == "classes":
        present = np.flatnonzero(np.bincount(flat.astype(np.int64))[1:IGNORED]) + 1
        if len(present):
            mask = flat == present[rng.integers(len(present))]
    voxels = np.flatnonzero(mask)
    if not len(voxels):
        return otherwise
    return np.array(np.unravel_index(voxels[rng.integers(len(voxels))], label.shape))
