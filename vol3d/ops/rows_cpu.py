"""Compiled loops of `rows`: each writes its own rows of the output alone, so threads cannot change a result."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def group(index, size):
    """Rows in order of their index, each group in its own order, and where the groups start (size + 1,)."""
    starts = np.zeros(size + 1, np.int64)
    for i in range(index.shape[0]):
        if index[i] >= 0:
            starts[index[i] + 1] += 1
    for g in range(size):
        starts[g + 1] += starts[g]
    place, rows = starts.copy(), np.empty(starts[size], np.int64)
    for i in range(index.shape[0]):
        if index[i] >= 0:
            rows[place[index[i]]] = i
            place[index[i]] += 1
    return rows, starts


@njit(nogil=True, cache=True)
def take_range(first, last, values, index, out):
    """out[i] = values[index[i]], zeros for -1."""
    for i in range(first, last):
        row = index[i]
        if row >= 0:
            for c in range(values.shape[1]):
                out[i, c] = values[row, c]
        else:
            for c in range(values.shape[1]):
                out[i, c] = 0


@njit(nogil=True, cache=True)
def put_range(first, last, values, place, out):
    """out[place[i]] = values[i], nothing for -1; no place twice."""
    for i in range(first, last):
        row = place[i]
        if row >= 0:
            for c in range(values.shape[1]):
                out[row, c] = values[i, c]


@njit(nogil=True, cache=True)
def sum_range(first, last, values, rows, starts, out):
    """out[g] = sum of values[rows] of group g, in the order of the rows."""
    for g in range(first, last):
        for c in range(values.shape[1]):
            out[g, c] = 0
        for j in range(starts[g], starts[g + 1]):
            for c in range(values.shape[1]):
                out[g, c] += values[rows[j], c]


@njit(nogil=True, cache=True)
def largest_range(first, last, values, rows, starts, out):
    """out[g, c] = row of the largest values[row, c] of group g; the first of equals, NaN before all, -1 if empty."""
    for g in range(first, last):
        out[g] = -1
        for j in range(starts[g], starts[g + 1]):
            for c in range(values.shape[1]):
                best, value = out[g, c], values[rows[j], c]
                if best < 0 or value > values[best, c] or (np.isnan(value) and not np.isnan(values[best, c])):
                    out[g, c] = rows[j]
