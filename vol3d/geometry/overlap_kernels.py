"""Compiled loops over pairs of footprints: overlap by the clamped Green integral (see `overlap.py` for the method)."""

from __future__ import annotations

import numpy as np
from numba import njit
from torch import Tensor

COS, SIN, RADIUS = 6, 7, 8


@njit(inline="always")
def _clamp(value, low, high):
    return min(max(value, low), high)


@njit(inline="always", error_model="numpy")
def _edge(x0, y0, x1, y1, half_length, half_width):
    """Integral of clamp(x) d clamp(y) along one edge, without a branch: where a divisor is 0 its fraction is 0."""
    low, high = _clamp(y0, -half_width, half_width), _clamp(y1, -half_width, half_width)
    # x where the edge enters and leaves the slab |y| <= half_width.
    per_y = 1.0 / (y1 - y0) if low != high else 0.0
    enter = x0 + _clamp((low - y0) * per_y, 0.0, 1.0) * (x1 - x0)
    leave = x0 + _clamp((high - y0) * per_y, 0.0, 1.0) * (x1 - x0)
    near, far = _clamp(enter, -half_length, half_length), _clamp(leave, -half_length, half_length)
    run = leave - enter
    per_run = 1.0 / run if run != 0.0 else 0.0
    first, last = _clamp((near - enter) * per_run, 0.0, 1.0), _clamp((far - enter) * per_run, 0.0, 1.0)
    return (first * near + (last - first) * 0.5 * (near + far) + (1.0 - last) * far) * (high - low)


@njit(inline="always", error_model="numpy")
def _area(east, north, reach, cos_a, sin_a, length_a, width_a, cos_b, sin_b, length_b, width_b):
    """Common area of footprints a and b, m^2; b lies `east` and `north` of a, they do not touch beyond `reach`."""
    x, y = east * cos_a + north * sin_a, north * cos_a - east * sin_a
    cos, sin = cos_b * cos_a + sin_b * sin_a, sin_b * cos_a - cos_b * sin_a
    half_length, half_width = 0.5 * length_b, 0.5 * width_b
    lx, ly, wx, wy = half_length * cos, half_length * sin, -half_width * sin, half_width * cos
    half_length, half_width = 0.5 * length_a, 0.5 * width_a
    x0, y0 = x + lx + wx, y + ly + wy
    x1, y1 = x - lx + wx, y - ly + wy
    x2, y2 = x - lx - wx, y - ly - wy
    x3, y3 = x + lx - wx, y + ly - wy
    area = _edge(x0, y0, x1, y1, half_length, half_width) + _edge(x1, y1, x2, y2, half_length, half_width)
    area += _edge(x2, y2, x3, y3, half_length, half_width) + _edge(x3, y3, x0, y0, half_length, half_width)
    return max(0.0, area) if east * east + north * north < reach * reach else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def pair_overlap(a, b):
    """Common area of two footprints, m^2; `a` and `b` are rows of `as_rows`."""
    east, north, reach = b[0] - a[0], b[1] - a[1], a[RADIUS] + b[RADIUS]
    if east * east + north * north >= reach * reach:
        return 0.0
    return _area(east, north, reach, a[COS], a[SIN], a[3], a[4], b[COS], b[SIN], b[3], b[4])


@njit(inline="always")
def height_overlap(a, b):
    """Common height of two boxes, m, reckoned from a's centre so that far-away boxes lose no digits."""
    lift = b[2] - a[2]
    top, bottom = min(0.5 * a[5], lift + 0.5 * b[5]), max(-0.5 * a[5], lift - 0.5 * b[5])
    return max(0.0, top - bottom)


@njit(nogil=True, cache=True, error_model="numpy")
def overlap_rows(start, stop, first, second, out):
    """Fill out[row, j] for rows start to stop of (batch * n) boxes; `second` is (batch, 9, m), `out` (batch * n, m).

    The second table stands column by column and nothing branches, so that the compiler makes vectors of boxes of it.
    """
    per_sample = first.shape[0] // second.shape[0]
    for row in range(start, stop):
        a, others, line = first[row], second[row // per_sample], out[row]
        x, y, length, width, cos, sin, radius = a[0], a[1], a[3], a[4], a[COS], a[SIN], a[RADIUS]
        xs, ys, lengths, widths = others[0], others[1], others[3], others[4]
        cosines, sines, radii = others[COS], others[SIN], others[RADIUS]
        for j in range(line.shape[0]):
            east, north, reach = xs[j] - x, ys[j] - y, radius + radii[j]
            line[j] = _area(east, north, reach, cos, sin, length, width, cosines[j], sines[j], lengths[j], widths[j])


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
