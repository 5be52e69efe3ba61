"""Compiled shortest augmenting paths for `assignment.py`: Jonker and Volgenant (1987) in Crouse's form (2016).

The order of operations is that of SciPy's `linear_sum_assignment`, so ties fall as they do there. What differs is the
inner loop: it runs over all columns without branches, which the compiler turns into vector instructions; a column that
is settled carries the price -inf and the distance inf, so no offer is better and it is never the nearest again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SOLVED, NOT_A_COST, INFEASIBLE = 0, 1, 2
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)  # all bits of a double but its sign


@njit(nogil=True, cache=True)
def _relax(costs, base, row_price, prices, distance, via, row):
    """Offer every column the way over `row`; what `costs` holds beyond the columns is padding."""
    for j in range(len(distance)):
        offer = base + costs[j] - row_price - prices[j]
        known, way = distance[j], via[j]
        better = offer < known
        distance[j] = offer if better else known
        via[j] = row if better else way


@njit(nogil=True, cache=True)
def _find(distance):
    """How many columns have the least distance, and the last of them.

    The least is sought among integers that are ordered as the distances are (IEEE 754, no NaN and no -0 here): the
    compiler makes vector instructions of a minimum of integers, but not of floating-point numbers.
    """
    bits = distance.view(np.int64)
    least = _MAGNITUDE
    for j in range(len(bits)):
        least = min(least, bits[j] ^ ((bits[j] >> 63) & _MAGNITUDE))
    least ^= (least >> 63) & _MAGNITUDE
    count, last = 0, -1
    for j in range(len(bits)):
        hit = bits[j] == least
        count += 1 if hit else 0
        last = max(last, j if hit else -1)
    return count, last


@njit(nogil=True, cache=True)
def _choose(distance, least, settled, row_of):
    """The column that SciPy takes among several at the least distance: its list shrinks by moving the end into gaps."""
    size = len(distance)
    remaining = np.arange(size)[::-1].copy()
    for column in settled:
        for k in range(size):
            if remaining[k] == column:
                size -= 1
                remaining[k] = remaining[size]
                break
    chosen = -1
    for k in range(size):
        j = remaining[k]
        if distance[j] == least and (chosen == -1 or row_of[j] == -1):
            chosen = j
    return chosen


@njit(nogil=True, cache=True)
def _augment(cost, row, row_prices, prices, column_of, row_of):
    """Give `row` a column along the shortest augmenting path. False, and nothing changed, if there is no path."""
    columns = len(prices)
    distance, open_prices = np.full(columns, np.inf), prices.copy()
    via = np.zeros(columns, np.int64)
    settled, settled_at, count = np.empty(columns, np.int64), np.empty(columns), 0
    base, at = 0.0, row
    while True:
        _relax(cost[at], base, row_prices[at], open_prices, distance, via, at)
        ties, column = _find(distance)
        least = distance[column]
        if least == np.inf:
            return False
        if ties > 1:
            column = _choose(distance, least, settled[:count], row_of)
        base = least
        if row_of[column] == -1:
            break
        settled[count], settled_at[count] = column, least
        count += 1
        distance[column], open_prices[column] = np.inf, -np.inf
        at = row_of[column]
    row_prices[row] += base
    for k in range(count):
        row_prices[row_of[settled[k]]] += base - settled_at[k]
        prices[settled[k]] -= base - settled_at[k]
    while True:
        at = via[column]
        row_of[column] = at
        column_of[at], column = column, column_of[at]
        if at == row:
            return True


@njit(nogil=True, cache=True)
def _is_cost(cost, columns):
    """Whether no value is NaN or -inf."""
    good = True
    for i in range(cost.shape[0]):
        for j in range(columns):
            good &= cost[i, j] > -np.inf
    return good


@njit(nogil=True, cache=True)
def _transposed(cost, columns):
    """A contiguous copy of the transpose, 16 columns at a time so that the written lines stay in the cache."""
    rows = cost.shape[0]
    out = np.empty((columns, rows), cost.dtype)
    for first in range(0, columns, 16):
        for i in range(rows):
            for j in range(first, min(first + 16, columns)):
                out[j, i] = cost[i, j]
    return out


@njit(nogil=True, cache=True)
def _solve(cost, columns, partial, column_of):
    """Fill `column_of` (-1: none) for a matrix with no more rows than columns."""
    rows = cost.shape[0]
    row_prices, prices = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1, np.int64)
    column_of[:] = -1
    status = SOLVED
    for row in range(rows):
        if not _augment(cost, row, row_prices, prices, column_of, row_of):
            status = INFEASIBLE
            if not partial:
                break
    return status


@njit(nogil=True, cache=True)
def assign_samples(start, stop, flat, offsets, strides, rows, columns, partial, out, out_offsets, status):
    """Solve samples start to stop.

    Sample s is the matrix of rows[s] x columns[s] whose row i begins at flat[offsets[s] + i * strides[s]]; the column
    of its row i goes to out[out_offsets[s] + i].
    """
    for s in range(start, stop):
        high, wide = rows[s], columns[s]
        found = out[out_offsets[s] : out_offsets[s] + high]
        if high == 0 or wide == 0:
            found[:] = -1
            continue
        end = offsets[s] + high * strides[s]
        # The padding stays in: rows of a slice would not be known to be contiguous, and nothing would be vectorised.
        cost = flat[offsets[s] : end].reshape(high, strides[s])
        if not _is_cost(cost, wide):
            status[s] = NOT_A_COST
        elif high <= wide:
            status[s] = _solve(cost, wide, partial, found)
        else:
            row_of = np.empty(wide, np.int64)
            status[s] = _solve(_transposed(cost, wide), high, partial, row_of)
            found[:] = -1
            for j in range(wide):
                if row_of[j] >= 0:
                    found[row_of[j]] = j
