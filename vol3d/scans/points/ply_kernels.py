"""Rows of binary PLY elements with lists: each must be walked to know where the next begins."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def walk_rows(data, rows, sizes, count_sizes, wanted, big):
    """Offset and length of property `wanted` in each row, and the bytes that all rows take (-1: they do not fit)."""
    starts, counts = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    at = 0
    for row in range(rows):
        for part in range(sizes.size):
            length = 1
            if count_sizes[part] > 0:
                if at + count_sizes[part] > data.size:
                    return starts, counts, -1
                length = 0
                for byte in range(count_sizes[part]):
                    place = count_sizes[part] - 1 - byte if not big else byte
                    length = length * 256 + data[at + place]
                at += count_sizes[part]
            if length < 0 or length > data.size:
                return starts, counts, -1
            if part == wanted:
                starts[row], counts[row] = at, length
            at += length * sizes[part]
            if at > data.size:
                return starts, counts, -1
    return starts, counts, at
