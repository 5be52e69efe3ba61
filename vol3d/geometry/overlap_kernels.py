"""Compiled loops over pairs of footprints: overlap by the clamped Green integral (see `overlap.py` for the method)."""

from __future__ import annotations

import numpy as np
from numba import njit
from torch import Tensor

COS, SIN, RADIUS = 6, 7, 8


@njit(inline="always")
def _clamp(value, low, high):
    return min(max(value, low), high)


@njit(inline="always")
def _edge(x0, y0, x1, y1, half_length, half_width):
    """Integral of clamp(x) d clamp(y) along one edge."""
    low, high = _clamp(y0, -half_width, half_width), _clamp(y1, -half_width, half_width)
    if low == high:
        return 0.0
    # x where the edge enters and leaves the slab |y| <= half_width.
    per_y = 1.0 / (y1 - y0)
    enter = x0 + _clamp((low - y0) * per_y, 0.0, 1.0) * (x1 - x0)
    leave = x0 + _clamp((high - y0) * per_y, 0.0, 1.0) * (x1 - x0)
    near, far = _clamp(enter, -half_length, half_length), _clamp(leave, -half_length, half_length)
    run = leave - enter
    if run == 0.0:
        return near * (high - low)
    per_run = 1.0 / run
    first, last = _clamp((near - enter) * per_run, 0.0, 1.0), _clamp((far - enter) * per_run, 0.0, 1.0)
    return (first * near + (last - first) * 0.5 * (near + far) + (1.0 - last) * far) * (high - low)


@njit(nogil=True, cache=True)
def pair_overlap(a, b):
    """Common area of two footprints, m^2; `a` and `b` are rows of `as_rows`."""
    east, north = b[0] - a[0], b[1] - a[1]
    reach = a[RADIUS] + b[RADIUS]
    if east * east + north * north >= reach * reach:
        return 0.0
    cos_a, sin_a = a[COS], a[SIN]
    x, y = east * cos_a + north * sin_a, north * cos_a - east * sin_a
    cos, sin = b[COS] * cos_a + b[SIN] * sin_a, b[SIN] * cos_a - b[COS] * sin_a
    half_length, half_width = 0.5 * b[3], 0.5 * b[4]
    lx, ly, wx, wy = half_length * cos, half_length * sin, -half_width * sin, half_width * cos
    half_length, half_width = 0.5 * a[3], 0.5 * a[4]
    x0, y0 = x + lx + wx, y + ly + wy
    x1, y1 = x - lx + wx, y - ly + wy
    x2, y2 = x - lx - wx, y - ly - wy
    x3, y3 = x + lx - wx, y + ly - wy
    area = _edge(x0, y0, x1, y1, half_length, half_width) + _edge(x1, y1, x2, y2, half_length, half_width)
    area += _edge(x2, y2, x3, y3, half_length, half_width) + _edge(x3, y3, x0, y0, half_length, half_width)
    return max(0.0, area)


@njit(inline="always")
def height_overlap(a, b):
    """Common height of two boxes, m, reckoned from a's centre so that far-away boxes lose no digits."""
    lift = b[2] - a[2]
    top, bottom = min(0.5 * a[5], lift + 0.5 * b[5]), max(-0.5 * a[5], lift - 0.5 * b[5])
    return max(0.0, top - bottom)


@njit(nogil=True, cache=True)
def overlap_rows(start, stop, first, second, out):
    """Fill out[row, j] for rows start to stop of (batch * n) boxes; `second` is (batch, m, 9), `out` (batch * n, m)."""
    per_sample = first.shape[0] // second.shape[0]
    for row in range(start, stop):
        others = second[row // per_sample]
        for j in range(others.shape[0]):
            out[row, j] = pair_overlap(first[row], others[j])


@njit(nogil=True, cache=True)
def overlap_paired(start, stop, first, second, out):
    """Fill out[row] with the overlap of first[row] and second[row]."""
    for row in range(start, stop):
        out[row] = pair_overlap(first[row], second[row])


def as_rows(boxes: Tensor) -> np.ndarray:
    """CPU boxes (..., columns) as float64 rows x y z l w h, cosine and sine of the yaw, circumscribed radius (m)."""
    table = boxes.detach().numpy().reshape(-1, boxes.shape[-1])
    rows = np.empty((len(table), 9))
    rows[:, :6] = table[:, :6]
    rows[:, COS], rows[:, SIN] = np.cos(table[:, 6], dtype=np.float64), np.sin(table[:, 6], dtype=np.float64)
    rows[:, RADIUS] = 0.5 * np.hypot(rows[:, 3], rows[:, 4])
    return rows
