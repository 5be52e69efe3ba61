"""Compiled loops over boxes and points: which points a box holds, and how many."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.geometry.overlap_kernels import COS, RADIUS, SIN


@njit(nogil=True, cache=True)
def mark_rows(start, stop, boxes, points, inside):  # type: ignore[no-untyped-def]
    """Fills rows start..stop of `inside` [boxes, points]; `boxes` are rows of `as_rows`."""
    for row in range(start, stop):
        box = boxes[row]
        for i in range(points.shape[0]):
            east, north = points[i, 0] - box[0], points[i, 1] - box[1]
            # The margin keeps rounding from deciding: the exact test follows.
            if abs(east) > box[RADIUS] * 1.000001 or abs(points[i, 2] - box[2]) > 0.5 * box[5]:
                continue
            along = abs(east * box[COS] + north * box[SIN])
            across = abs(north * box[COS] - east * box[SIN])
            inside[row, i] = along <= 0.5 * box[3] and across <= 0.5 * box[4]


@njit(nogil=True, cache=True)
def count_rows(start, stop, boxes, x, y, z, counts):  # type: ignore[no-untyped-def]
    """Counts the points of boxes start..stop; `x`, `y`, `z` are those of the points in ascending order of x."""
    for row in range(start, stop):
        middle_x, middle_y, middle_z, length, width, height, cos, sin, radius = boxes[row]
        reach = radius * 1.00001 + 1e-9 * abs(middle_x)
        first, last = np.searchsorted(x, middle_x - reach), np.searchsorted(x, middle_x + reach, side="right")
        count = 0
        for i in range(first, last):
            east, north = x[i] - middle_x, y[i] - middle_y
            along, across = abs(east * cos + north * sin), abs(north * cos - east * sin)
            flat = along <= 0.5 * length and across <= 0.5 * width
            count += flat and abs(z[i] - middle_z) <= 0.5 * height
        counts[row] = count
