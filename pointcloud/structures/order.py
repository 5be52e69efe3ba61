"""An order of points that follows from their values, so that the order of a file's lines decides nothing.

Farthest-point sampling begins at the first point, ball queries and voxels keep the first points that they meet, and
what is shown of a large room is drawn by row. Training shows the points in random order, and this one is as random, but
always the same.
"""

from __future__ import annotations

import numpy as np

from vol3d.scans.points.sample import value_keys


def canonical_order(rows: np.ndarray) -> np.ndarray:
    """Indices (N,) of the rows in pseudo-random order of their values; equal rows are neighbours, in any order.

    Places decide to a millimetre first: the same scan in another unit, whose last bits were rounded, keeps its order.

    Args:
        rows: (N, 3 + C) float32, finite, metres first.
    """
    coarse = value_keys(np.round(rows[:, :3] * np.float32(1024)))
    order = np.argsort(coarse)
    equal = np.flatnonzero(coarse[order[1:]] == coarse[order[:-1]])
    if len(equal):  # the few rows that share a place with others are put in order by all of their values
        places = np.unique([equal, equal + 1])
        tied = np.sort(order[places])
        order[places] = tied[np.lexsort((value_keys(rows[tied]), coarse[tied]))]
    return order


def canonical_faces(xyz: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The triangles (F, 3) of a mesh in an order that follows from the places of their corners.

    Args:
        xyz: (V, 3) float32, finite, in any order.
        faces: (F, 3) rows of `xyz`; the first corner of each may change, the direction around it does not.
    """
    rank = np.unique(value_keys(xyz), return_inverse=True)[1][faces]  # corners at one place have one rank
    turn = (rank.argmin(axis=1)[:, None] + np.arange(3)) % 3
    rank, faces = np.take_along_axis(rank, turn, axis=1), np.take_along_axis(faces, turn, axis=1)
    return faces[np.lexsort(rank.T)]
