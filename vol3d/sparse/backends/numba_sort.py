"""Sorts positions on the CPU, and checks them on the way: each is inside the grid, none is there twice."""

from __future__ import annotations

import numpy as np
from numba import njit

DIGIT = 11  # most bits of a pass of the radix sort: its counters stay in the first-level cache


@njit(nogil=True, cache=True, boundscheck=False)
def pack_and_check(coordinates, size, packed, index_bits):  # type: ignore[no-untyped-def]
    """Writes key << index_bits | row of each position; whether all are inside, and whether they ascend already.

    Args:
        coordinates: int [n, 4].
        size: int64 [4], positions along batch, z, y, x.
        packed: int64 [n].
        index_bits: enough for the number of a row.
    """
    batches, nz, ny, nx = np.uint64(size[0]), np.uint64(size[1]), np.uint64(size[2]), np.uint64(size[3])
    inside, ascending, before = True, True, np.int64(-1)
    for row in range(len(coordinates)):
        batch, z = np.int64(coordinates[row, 0]), np.int64(coordinates[row, 1])
        y, x = np.int64(coordinates[row, 2]), np.int64(coordinates[row, 3])
        # Negative numbers are the largest unsigned ones.
        inside &= (np.uint64(batch) < batches) & (np.uint64(z) < nz) & (np.uint64(y) < ny) & (np.uint64(x) < nx)
        key = ((batch * size[1] + z) * size[2] + y) * size[3] + x
        ascending &= key > before
        before = key
        packed[row] = key << index_bits | row
    return inside, ascending


@njit(nogil=True, cache=True, boundscheck=False)
def radix_sort(packed, low, bits):  # type: ignore[no-untyped-def]
    """int64 [n] of `packed` in stable order of its bits from `low` on, `bits` of them; `packed` is overwritten."""
    n, passes = len(packed), max(1, -(-bits // DIGIT))
    digit = -(-bits // passes)
    mask = (1 << digit) - 1
    places = np.zeros((passes, mask + 1), np.int64)
    for i in range(n):
        for p in range(passes):
            places[p, (packed[i] >> (low + p * digit)) & mask] += 1
    now, later = packed, np.empty(n, np.int64)
    for p in range(passes):
        begin = 0
        for value in range(mask + 1):
            count = places[p, value]
            places[p, value] = begin
            begin += count
        for i in range(n):
            value = (now[i] >> (low + p * digit)) & mask
            at = places[p, value]
            places[p, value] = at + 1
            later[at] = now[i]
        now, later = later, now
    return now


@njit(nogil=True, cache=True, boundscheck=False)
def take_sorted(packed, index_bits, coordinates, order, rows):  # type: ignore[no-untyped-def]
    """Fills order int64 [n] and rows int32 [n, 4] from sorted keys; whether no position is there twice."""
    unique, before, mask = True, np.int64(-1), (1 << index_bits) - 1
    for i in range(len(packed)):
        key, row = packed[i] >> index_bits, packed[i] & mask
        unique &= key != before
        before = key
        order[i] = row
        for axis in range(4):
            rows[i, axis] = coordinates[row, axis]
    return unique
