"""Outlines of a mask in each of its slices, and the mask of outlines again: what an RT structure set is made of.

An outline runs halfway between the centres of voxels inside and outside, so that the voxels whose centres lie inside
are the mask's, to the voxel. Around a hole there is an outline of its own: an odd number of outlines encloses the
inside (CLOSEDPLANAR_XOR, PS3.3 C.8.8.6).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vol3d.errors import Vol3dError


def outlines(plane: np.ndarray) -> list[np.ndarray]:
    """Closed outlines of a slice (i, j) of bool: (n, 2) indices of voxels each, the last point is not the first."""
    try:
        from skimage.measure import find_contours
    except ImportError as fault:
        do = 'Run `pip install "vol3d[surfaces]"`.'
        raise Vol3dError("outlines need the package scikit-image", do=do) from fault
    rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    low = (rows[0], columns[0])
    part = np.pad(plane[low[0] : rows[-1] + 1, low[1] : columns[-1] + 1], 1).astype(np.float32)
    found = find_contours(part, 0.5, fully_connected="low")
    return [line[:-1] - 1 + low for line in found]


def inside(lines: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The slice (i, j) of bool whose outlines these are: a voxel is inside an odd number of them."""
    plane = np.zeros(shape, dtype=bool)
    for line in lines:
        low = np.floor(line.min(axis=0)).astype(int).clip(0)
        high = np.ceil(line.max(axis=0)).astype(int) + 1
        part = plane[low[0] : high[0], low[1] : high[1]]
        part ^= _in_polygon(line - low, part.shape)
    return plane


def _in_polygon(line: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Voxels before which an odd number of the outline's edges crosses their row."""
    end = np.roll(line, -1, axis=0)
    upward = (line[:, 0] < end[:, 0])[:, None]
    low, high = np.where(upward, line, end), np.where(upward, end, line)
    first = np.ceil(low[:, 0]).astype(int)
    count = np.ceil(high[:, 0]).astype(int) - first  # half-open: an edge's end belongs to the next one
    edge = np.repeat(np.arange(len(line)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    slope = (high[edge] - low[edge])[:, 1] / (high[edge] - low[edge])[:, 0]
    column = low[edge, 1] + (row - low[edge, 0]) * slope

    crossed = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    np.add.at(crossed, (row, (np.floor(column).astype(int) + 1).clip(0, shape[1])), 1)
    return np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1
