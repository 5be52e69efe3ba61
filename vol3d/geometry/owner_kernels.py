"""Compiled search for the box that a point lies in: boxes are listed in the cells of a grid that their footprints meet.

A point is tested against the boxes of its own cell only, so that a hundred boxes cost hardly more than one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.geometry.overlap_kernels import COS, SIN

CELLS = 64  # along x and along y


class BoxGrid:
    """Rows of `as_rows` (M, 9), sorted into cells.

    low, per_m: (2,) where the grid begins and cells a metre. starts, members: boxes of cell c are
    members[starts[c]:starts[c + 1]], in ascending order.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        half = 0.5 * np.stack(
            [
                rows[:, 3] * np.abs(rows[:, COS]) + rows[:, 4] * np.abs(rows[:, SIN]),
                rows[:, 3] * np.abs(rows[:, SIN]) + rows[:, 4] * np.abs(rows[:, COS]),
            ],
            axis=1,
        )
        half += 1e-6 * half + 1e-9 * np.abs(rows[:, :2])  # rounding must not decide: the exact test follows
        low, high = rows[:, :2] - half, rows[:, :2] + half
        self.low = low.min(axis=0)
        self.per_m = CELLS / np.maximum(high.max(axis=0) - self.low, 1e-9)
        first, last = self.cells(low), self.cells(high)
        cells, members = _listed(first, last, int((last - first + 1).prod(axis=1).sum()))
        order = np.argsort(cells, kind="stable")
        self.members = members[order]
        self.starts = np.searchsorted(cells[order], np.arange(CELLS * CELLS + 1))

    def cells(self, xy: np.ndarray) -> np.ndarray:
        """Column and row (n, 2) of the cells, as the kernel computes them."""
        return np.minimum(((xy - self.low) * self.per_m).astype(np.int64), CELLS - 1)


@njit(nogil=True, cache=True)
def _listed(first, last, total):
    """Every cell of every box, box after box."""
    cells, members = np.empty(total, np.int64), np.empty(total, np.int64)
    n = 0
    for box in range(len(first)):
        for row in range(first[box, 1], last[box, 1] + 1):
            for column in range(first[box, 0], last[box, 0] + 1):
                cells[n], members[n] = row * CELLS + column, box
                n += 1
    return cells, members


@njit(nogil=True, cache=True)
def find_owners(start, stop, points, rows, low, per_m, starts, members, out):
    """Fill out[i] with the first box that holds points[i], or -1; `points` (N, 3 or more) of any floating type."""
    for i in range(start, stop):
        out[i] = -1
        x, y, z = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        across_x, across_y = (x - low[0]) * per_m[0], (y - low[1]) * per_m[1]
        if not (0 <= across_x <= CELLS and 0 <= across_y <= CELLS):  # NaN is nowhere
            continue
        cell = min(int(across_y), CELLS - 1) * CELLS + min(int(across_x), CELLS - 1)
        for k in range(starts[cell], starts[cell + 1]):
            box = rows[members[k]]
            east, north = x - box[0], y - box[1]
            if (
                abs(east * box[COS] + north * box[SIN]) <= 0.5 * box[3]
                and abs(north * box[COS] - east * box[SIN]) <= 0.5 * box[4]
                and abs(z - box[2]) <= 0.5 * box[5]
            ):
                out[i] = members[k]
                break
