"""Slow twin of `vol3d.scans.volumes.grid.resample_to`: every target voxel on its own, through world coordinates."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vol3d.scans.volumes.volume import Grid, Volume


def resample_to(volume: Volume, grid: Grid, order: int, outside: float = 0.0) -> np.ndarray:
    """(channels, i, j, k) values at the centres of `grid`'s voxels; coordinates clamped to the outermost centres."""
    last = np.array(volume.grid.shape) - 1
    result = np.full((len(volume.array), *grid.shape), outside, dtype=np.float64)
    for index in np.ndindex(*grid.shape):
        place = np.linalg.inv(volume.affine) @ grid.affine @ np.array([*index, 1.0])
        place = place[:3]
        if ((place < -0.5 - 1e-4) | (place > last + 0.5 + 1e-4)).any():
            continue
        place = np.clip(place, 0, last)
        for channel, voxels in enumerate(volume.array):
            if order == 0:
                value = voxels[tuple(np.floor(place + 0.5 + 1e-6).astype(int))]
            else:
                value = ndimage.map_coordinates(voxels.astype(float), place[:, None], order=order, mode="mirror")[0]
            result[(channel, *index)] = value
    return result
