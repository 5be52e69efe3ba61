"""Compiled greedy loops for `nms.py`. Boxes come best first; each kernel returns the ranks that stay."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.geometry.overlap_kernels import RADIUS, height_overlap, pair_overlap


@njit(nogil=True, cache=True)
def greedy_rotated(boxes, labels, threshold, in_space):
    """`boxes` are rows of `as_rows`; IoU from above, or in space."""
    count = len(boxes)
    gone, kept, found = np.zeros(count, np.bool_), np.empty(count, np.int64), 0
    for i in range(count):
        if gone[i]:
            continue
        kept[found] = i
        found += 1
        a = boxes[i]
        for j in range(i + 1, count):
            b = boxes[j]
            reach = a[RADIUS] + b[RADIUS]
            if gone[j] or labels[i] != labels[j] or (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 >= reach * reach:
                continue
            common = pair_overlap(a, b)
            size_a, size_b = a[3] * a[4], b[3] * b[4]
            if in_space:
                common *= height_overlap(a, b)
                size_a *= a[5]
                size_b *= b[5]
            gone[j] = common > threshold * (size_a + size_b - common)
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
