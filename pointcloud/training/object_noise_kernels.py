"""The compiled loop of object noise."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.geometry.overlap_kernels import pair_overlap


@njit(nogil=True, cache=True)
def first_free(rows, tried, max_overlap):
    """For each box the first of its places (K, T, 9) that is free, or -1; `rows` (K, 9) end up where the boxes do."""
    chosen = np.full(len(rows), -1, np.int64)
    for box in range(len(rows)):
        for place in range(tried.shape[1]):
            free = True
            for other in range(len(rows)):
                if other != box and pair_overlap(tried[box, place], rows[other]) > max_overlap:
                    free = False
                    break
            if free:
                rows[box], chosen[box] = tried[box, place], place
                break
    return chosen
