"""What nnU-Net computes for one scan, with everything held at once."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor, nn


def window_logits(network: nn.Module, image: Tensor, patch: tuple[int, ...], mirror: tuple[int, ...]) -> Tensor:
    """(channels, a, b, c) at least as large as `patch` -> logits, float16: sums over windows and their weights."""
    weights = np.zeros(patch)
    weights[tuple(length // 2 for length in patch)] = 1
    weights = gaussian_filter(weights, [length / 8 for length in patch], mode="constant")
    gaussian = torch.from_numpy(weights / weights.max() * 10).half()
    gaussian[gaussian == 0] = gaussian[gaussian > 0].min()
    starts = []
    for length, window in zip(image.shape[1:], patch, strict=True):
        count = int(np.ceil((length - window) / (window / 2))) + 1
        starts.append([round((length - window) / max(count - 1, 1) * index) for index in range(count)])

    sums, total = None, torch.zeros(image.shape[1:]).half()
    subsets = [axes for n in range(len(mirror) + 1) for axes in combinations([axis + 2 for axis in mirror], n)]
    for corner in product(*starts):
        place = tuple(slice(start, start + window) for start, window in zip(corner, patch, strict=True))
        window = image[(slice(None), *place)][None]
        views = [network(window.flip(axes)).flip(axes) for axes in subsets]
        mean = sum(views[1:], views[0])[0] / len(views)
        sums = torch.zeros((len(mean), *image.shape[1:])).half() if sums is None else sums
        sums[(slice(None), *place)] += mean * gaussian
        total[place] += gaussian
    assert sums is not None
    return sums / total


def resized(voxels: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Every target voxel at its place between the faces; float64, clipped to the range of the source."""
    lines = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(voxels.shape, shape, strict=True)]
    places = np.stack(np.meshgrid(*lines, indexing="ij"))
    padded = np.pad(voxels.astype(np.float64), 12, mode="edge")
    result = map_coordinates(padded, places + 12, order=order, mode="nearest")
    return np.clip(result, voxels.min(), voxels.max())
