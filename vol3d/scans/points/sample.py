"""A few of many points, chosen by their values, so that the order of a file's lines decides nothing."""

from __future__ import annotations

import numpy as np

_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
"""Odd constants of the SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014)."""


def value_keys(rows: np.ndarray) -> np.ndarray:
    """A number (N,) uint64 of each row that differs where the rows do, and shows nothing of their values.

    Args:
        rows: (N, C), finite; float32 decides.
    """
    key = np.zeros(len(rows), np.uint64)
    for column in np.ascontiguousarray((rows + np.float32(0)).T, np.float32):  # -0.0 equals 0.0
        key = (key ^ column.view(np.uint32)) + _MIX[0]
        key = (key ^ (key >> np.uint64(30))) * _MIX[1]
        key ^= key >> np.uint64(31)
    return key


def some_points(xyz: np.ndarray, most: int) -> np.ndarray:
    """About `most` of the points (N, 3), all if there are fewer; the same ones in whatever order they come."""
    if len(xyz) <= most:
        return xyz
    keys = value_keys(xyz)
    return xyz[keys <= np.partition(keys, most - 1)[most - 1]]
