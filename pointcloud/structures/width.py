"""How wide a scan is, which distinguishes a room from a street."""

from __future__ import annotations

import numpy as np

from vol3d.scans.points.cloud import PointCloud


def width_m(cloud: PointCloud) -> float:
    """Along the longer of x and y, without the farthest hundredth of the points on each side."""
    if not len(cloud):
        return 0.0
    low, high = np.percentile(np.ascontiguousarray(cloud.xyz[:, :2].T), (1, 99), axis=1)
    return float((high - low).max())
