"""Grids that share their axes up to order and direction: what separates them is one scale and one offset per axis.

Orienting, resampling to another spacing, cropping and padding all keep a grid aligned with the one it came from, so
their inverse needs no record of what was done: both affines hold it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid


@dataclass(frozen=True)
class AxisMap:
    """One axis of a target grid: index on axis `source` of the source grid = `scale` * target index + `offset`."""

    source: int
    scale: float
    offset: float

    def coordinates(self, count: int) -> np.ndarray:
        """Source indices (count,), float64, of target indices 0 .. count - 1."""
        return self.scale * np.arange(count, dtype=np.float64) + self.offset


def axis_maps(source: Grid, target: Grid, tolerance: float = 0.01) -> tuple[AxisMap, AxisMap, AxisMap]:
    """One map per axis of `target`, which must be parallel to `source`.

    Args:
        tolerance: how far, in source voxels, an ignored shear may move the farthest corner.

    Raises:
        DataError: the grids are not parallel.
    """
    matrix = np.linalg.solve(source.affine, target.affine)  # target index -> source index
    linear = matrix[:3, :3]
    order = np.abs(linear).argmax(axis=0)
    kept = np.zeros_like(linear)
    kept[order, range(3)] = linear[order, range(3)]
    shear = np.abs(linear - kept) @ np.maximum(np.array(target.shape) - 1, 0)
    if sorted(order) != [0, 1, 2] or shear.max() > tolerance:
        raise DataError(
            "two grids are turned against each other", got=f"a shift of {shear.max():.3f} voxels in a corner"
        )
    maps = [AxisMap(int(s), float(linear[s, axis]), float(matrix[s, 3])) for axis, s in enumerate(order)]
    return maps[0], maps[1], maps[2]


def take_nearest(array: np.ndarray, maps: tuple[AxisMap, AxisMap, AxisMap], shape: tuple[int, int, int]) -> np.ndarray:
    """Nearest voxel of `array` (i, j, k) for each voxel of a target grid of `shape`; 0 beyond the outer voxel faces."""
    result = array.transpose([m.source for m in maps])
    for axis, (one, count) in enumerate(zip(maps, shape, strict=True)):
        # Halves go the way of the target, whichever way the source runs: any orientation gives the same voxels.
        places = one.coordinates(count)
        index = (np.floor(places + 0.500001) if one.scale > 0 else np.ceil(places - 0.500001)).astype(np.int64)
        length = result.shape[axis]
        inside = (index >= 0) & (index < length)
        if not np.array_equal(index, np.arange(length)):
            result = np.take(result, np.clip(index, 0, max(length - 1, 0)), axis=axis)
        if not inside.all():
            result[(slice(None),) * axis + (~inside,)] = 0
    return np.ascontiguousarray(result)
