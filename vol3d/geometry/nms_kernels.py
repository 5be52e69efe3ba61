"""Compiled greedy loops for `nms.py`. Boxes come best first; each kernel returns the ranks that stay."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.geometry.overlap_kernels import RADIUS, height_overlap, pair_overlap

_MOST_CELLS = 512  # along an axis


@njit(nogil=True, cache=True)
def _cell_list(boxes):
    """Boxes sorted into cells as wide as two of them reach: only those of nine cells can touch a box.

    Returns the column and row of each box's cell, where the boxes of each cell begin, row after row, the boxes cell
    after cell, best first within a cell, and the numbers of columns and rows.
    """
    count, edge, low, high = len(boxes), 0.0, np.full(2, np.inf), np.full(2, -np.inf)
    for i in range(count):
        edge = max(edge, 2.0 * boxes[i, RADIUS])
        for axis in range(2):
            low[axis], high[axis] = min(low[axis], boxes[i, axis]), max(high[axis], boxes[i, axis])
    place, size = np.zeros((count, 2), np.int64), np.ones(2, np.int64)
    for axis in range(2):
        wide = max(edge, (high[axis] - low[axis]) / _MOST_CELLS)
        for i in range(count if wide > 0 else 0):
            place[i, axis] = int((boxes[i, axis] - low[axis]) / wide)
            size[axis] = max(size[axis], place[i, axis] + 1)

    starts = np.zeros(size[0] * size[1] + 1, np.int64)
    for i in range(count):
        starts[place[i, 1] * size[0] + place[i, 0] + 1] += 1
    starts = np.cumsum(starts)
    free, members = starts.copy(), np.empty(count, np.int64)
    for i in range(count):
        cell = place[i, 1] * size[0] + place[i, 0]
        members[free[cell]] = i
        free[cell] += 1
    return place, starts, members, size


@njit(nogil=True, cache=True)
def _too_close(a, b, threshold, in_space):
    """Whether the IoU of two rows of `as_rows` is above the threshold, from above or in space."""
    common = pair_overlap(a, b)
    size_a, size_b = a[3] * a[4], b[3] * b[4]
    if in_space:
        common *= height_overlap(a, b)
        size_a *= a[5]
        size_b *= b[5]
    return common > threshold * (size_a + size_b - common)


@njit(nogil=True, cache=True)
def greedy_rotated(boxes, labels, threshold, in_space):
    """`boxes` are rows of `as_rows`; IoU from above, or in space."""
    count = len(boxes)
    gone, kept, found = np.zeros(count, np.bool_), np.empty(count, np.int64), 0
    place, starts, members, size = _cell_list(boxes)
    for i in range(count):
        if gone[i]:
            continue
        kept[found] = i
        found += 1
        left, right = max(place[i, 0] - 1, 0), min(place[i, 0] + 1, size[0] - 1)
        for row in range(max(place[i, 1] - 1, 0), min(place[i, 1] + 2, size[1])):
            for m in range(starts[row * size[0] + left], starts[row * size[0] + right + 1]):
                j = members[m]
                if j > i and not gone[j] and labels[i] == labels[j]:
                    gone[j] = _too_close(boxes[i], boxes[j], threshold, in_space)
    return kept[:found]


@njit(nogil=True, cache=True)
def greedy_axis_aligned(boxes, labels, threshold, in_space):
    """`boxes` are rows x y z l w h."""
    count, axes = len(boxes), 3 if in_space else 2
    gone, kept, found = np.zeros(count, np.bool_), np.empty(count, np.int64), 0
    for i in range(count):
        if gone[i]:
            continue
        kept[found] = i
        found += 1
        for j in range(i + 1, count):
            if gone[j] or labels[i] != labels[j]:
                continue
            common, size_a, size_b = 1.0, 1.0, 1.0
            for axis in range(axes):
                shift, half, other = boxes[j, axis] - boxes[i, axis], 0.5 * boxes[i, axis + 3], 0.5 * boxes[j, axis + 3]
                common *= max(0.0, min(half, shift + other) - max(-half, shift - other))
                size_a *= 2.0 * half
                size_b *= 2.0 * other
            gone[j] = common > threshold * (size_a + size_b - common)
    return kept[:found]


@njit(nogil=True, cache=True)
def greedy_circle(centres, labels, squared_radius):
    """`centres` are rows x y."""
    count = len(centres)
    gone, kept, found = np.zeros(count, np.bool_), np.empty(count, np.int64), 0
    for i in range(count):
        if gone[i]:
            continue
        kept[found] = i
        found += 1
        for j in range(i + 1, count):
            if not gone[j] and labels[i] == labels[j]:
                away = (centres[i, 0] - centres[j, 0]) ** 2 + (centres[i, 1] - centres[j, 1]) ** 2
                gone[j] = away <= squared_radius
    return kept[:found]
