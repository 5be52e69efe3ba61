"""The ground of a sweep by counting, cell by cell and height by height."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from pointcloud.inference.ground import BAND_MM, CELL_M, FLAT_MM, MIN_CELLS, MIN_SHARE, REACH_M


def ground_height(xyz: np.ndarray) -> float | None:
    """The median height of the flat cells in the band of heights that holds most of them."""
    cells = defaultdict(list)
    for x, y, z in xyz.astype(np.float64):
        if np.hypot(x, y) < REACH_M:
            cells[np.floor(x / CELL_M), np.floor(y / CELL_M)].append(round(1000 * z))
    middles = sorted((min(zs) + max(zs)) / 2 for zs in cells.values() if max(zs) - min(zs) < FLAT_MM)
    bands = [[z for z in middles if low <= z <= low + BAND_MM] for low in middles]
    if len(middles) < MIN_CELLS or len(max(bands, key=len)) < MIN_SHARE * len(middles):
        return None
    return float(np.median(max(bands, key=len))) / 1000
