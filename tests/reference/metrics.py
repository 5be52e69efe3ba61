"""Slow twins of `medical.metrics`: loops over voxels, all distances."""

from __future__ import annotations

import numpy as np


def slow_surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels with a face neighbour that is not in the mask."""

    def inside(voxel: np.ndarray) -> bool:
        return all(0 <= v < n for v, n in zip(voxel, mask.shape, strict=True)) and bool(mask[tuple(voxel)])

    steps = [sign * np.eye(3, dtype=int)[axis] for axis in range(3) for sign in (-1, 1)]
    voxels = [np.array(index) for index in np.ndindex(mask.shape) if mask[index]]
    return [tuple(v) for v in voxels if not all(inside(v + step) for step in steps)]


def slow_hd95(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """All distances between both surfaces, the larger directed percentile, mm."""
    first, second = (np.array(slow_surface(m)) * spacing for m in (a, b))
    distances = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    return float(max(np.percentile(distances.min(1), 95), np.percentile(distances.min(0), 95)))


def slow_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Counted voxel by voxel."""
    both = sum(1 for i in np.ndindex(a.shape) if a[i] and b[i])
    total = sum(1 for i in np.ndindex(a.shape) if a[i]) + sum(1 for i in np.ndindex(b.shape) if b[i])
    return 2 * both / total if total else float("nan")
