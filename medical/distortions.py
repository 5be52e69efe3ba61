"""The distortions of training windows: what they do to a tensor, with their ranges as nnU-Net has them.

Each is a function of its draws, and the draws are those of one NumPy generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from medical.augment import AugmentSettings

Size = tuple[int, int, int]
NOISE, SIGMA, ZOOM, GAMMA = 0.1, (0.5, 1.0), (0.5, 1.0), (0.7, 1.5)


@dataclass(frozen=True)
class Move:
    """Where the voxels of a window come from.

    Args:
        matrix: (3, 4), from a voxel of the window to one of the volume, both counted from the centre; None stays put.
        flips: which axes are mirrored afterwards.
        quarters: quarter turns of the first two axes after that.
    """

    matrix: np.ndarray | None
    flips: tuple[bool, bool, bool]
    quarters: int

    @staticmethod
    def draw(settings: AugmentSettings, rng: np.random.Generator) -> Move:
        """A random one."""
        matrix = _matrix(settings, rng) if rng.random() < settings.affine else None
        first, second, third = (bool(flip) for flip in rng.random(3) < settings.flip)
        quarters = int(rng.integers(1, 4)) if rng.random() < settings.rotate90 else 0
        return Move(matrix, (first, second, third), quarters)

    def reach(self, window: Size) -> Size:
        """Voxels (i, j, k) of the volume around the centre that the window may be made of."""
        if self.matrix is None:
            return window
        # The farthest corner, and a voxel for the interpolation; an even surplus keeps the centres together.
        half = np.abs(self.matrix[:, :3]) @ (np.array(window) - 1) / 2 + np.abs(self.matrix[:, 3]) + 1
        size = np.maximum(np.ceil(2 * half).astype(int) + 1, 1)
        size += (size - window) % 2
        return int(size[0]), int(size[1]), int(size[2])

    def __call__(self, volume: Tensor, window: Size, mode: Literal["bilinear", "nearest"]) -> Tensor:
        """(c, i, j, k) of size `reach` -> the window (c, *window), float32 where voxels are interpolated."""
        if self.matrix is not None:
            volume = _sampled(volume.float(), self.matrix, window, mode)
        volume = volume.flip([axis + 1 for axis in range(3) if self.flips[axis]])
        return volume.rot90(self.quarters, (1, 2))


def _matrix(settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Rotations about the three axes, of steps that a magnification shortens, and a shift."""
    turned = np.eye(3)
    for axis, degrees in enumerate(rng.uniform(-1, 1, 3) * settings.rotate_deg):
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        one, other = (a for a in range(3) if a != axis)
        turn = np.eye(3)
        turn[[one, one, other, other], [one, other, one, other]] = cosine, -sine, sine, cosine
        turned = turned @ turn
    steps = rng.uniform(1 / settings.scale[1], 1 / settings.scale[0], 3)
    shift = rng.uniform(-1, 1, 3) * settings.shift_voxels
    return np.column_stack([turned * steps, shift])


def _sampled(volume: Tensor, matrix: np.ndarray, window: Size, mode: str) -> Tensor:
    """The window at the matrix's places of (c, i, j, k), zeros outside of it."""
    # affine_grid measures both sides by half their edges, and counts axes from the last.
    halves, edges = np.array(window) / 2, np.array(volume.shape[1:]) / 2
    scaled = matrix * np.append(halves, 1.0) / edges[:, None]
    theta = torch.from_numpy(np.column_stack([scaled[::-1, 2::-1], scaled[::-1, 3]])).float()
    grid = F.affine_grid(theta[None], [1, 1, *window], align_corners=False)
    return F.grid_sample(volume[None], grid, mode=mode, padding_mode="zeros", align_corners=False)[0]


def shade(image: Tensor, settings: AugmentSettings, rng: np.random.Generator) -> Tensor:
    """Noise, blur, lower resolution and other intensities of (c, i, j, k) float32, in this order."""
    if rng.random() < settings.noise:
        drawn = rng.standard_normal(tuple(image.shape), dtype=np.float32)
        image = image.add(torch.from_numpy(drawn), alpha=rng.uniform(0, NOISE))
    if rng.random() < settings.blur:
        image = blurred(image, rng.uniform(*SIGMA, 3))
    if rng.random() < settings.low_resolution:
        image = coarse(image, rng.uniform(*ZOOM))
    if rng.random() < settings.gamma:
        image = with_gamma(image, rng.uniform(*GAMMA))
    if rng.random() < settings.scale_intensity:
        image = image * (1 + rng.uniform(-settings.scale_by, settings.scale_by))
    if rng.random() < settings.shift_intensity:
        image = image + rng.uniform(-settings.shift_by, settings.shift_by)
    return image


def blurred(image: Tensor, sigmas: np.ndarray) -> Tensor:
    """(c, i, j, k) after a Gaussian of `sigmas` voxels along i, j, k, four sigmas long; the border is repeated."""
    image = image[:, None]
    for axis, sigma in enumerate(sigmas):
        radius = math.ceil(4 * sigma)
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        shape = [2 * radius + 1 if a == axis else 1 for a in range(3)]
        padding = [radius if a == axis else 0 for a in (2, 1, 0) for _ in range(2)]
        kernel = torch.from_numpy((weights / weights.sum()).astype(np.float32)).reshape(1, 1, *shape)
        image = F.conv3d(F.pad(image, padding, mode="replicate"), kernel)
    return image[:, 0]


def coarse(image: Tensor, zoom: float) -> Tensor:
    """(c, i, j, k) as if stored with `zoom` times the voxels along each axis: nearest down, linear up."""
    size = [max(1, round(edge * zoom)) for edge in image.shape[1:]]
    small = F.interpolate(image[None], size, mode="nearest")
    return F.interpolate(small, image.shape[1:], mode="trilinear", align_corners=False)[0]


def with_gamma(image: Tensor, gamma: float) -> Tensor:
    """((x - min) / range) ^ gamma, brought back to the image's range; one without a range stays as it is."""
    low, high = image.aminmax()
    if not high > low:
        return image
    span = high - low
    return ((image - low) / span).pow(gamma) * span + low
