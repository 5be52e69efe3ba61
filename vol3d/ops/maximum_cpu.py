"""Compiled loops of `maximum`: each writes its own groups alone, so threads cannot change a result.

Along a group they run over columns, without a branch, so that the compiler makes vectors of it.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def largest(first, last, values, out, rows):
    """out[g, c] = largest of values[g, :, c], and its row; the first of equals, NaN before all."""
    for g in range(first, last):
        out[g], rows[g] = values[g, 0], 0
        for j in range(1, values.shape[1]):
            for c in range(values.shape[2]):
                value, top = values[g, j, c], out[g, c]
                better = (value > top) | ((value != value) & (top == top))
                out[g, c] = value if better else top
                rows[g, c] = j if better else rows[g, c]


@njit(nogil=True, cache=True)
def largest_bfloat16(first, last, bits, out, rows):
    """`largest` of bfloat16 as int16 bits: their order as integers is that of the values once the sign is taken out."""
    best = np.empty(bits.shape[2], np.int16)
    for g in range(first, last):
        best[:] = -0x8000
        for j in range(bits.shape[1]):
            for c in range(bits.shape[2]):
                magnitude = bits[g, j, c] & np.int16(0x7FFF)
                signed = np.int16(-magnitude) if bits[g, j, c] < 0 else magnitude
                key = np.int16(0x7FFF) if magnitude > np.int16(0x7F80) else signed  # beyond infinity: NaN
                better = key > best[c]
                best[c] = key if better else best[c]
                out[g, c] = bits[g, j, c] if better else out[g, c]
                rows[g, c] = np.int16(j) if better else rows[g, c]


@njit(nogil=True, cache=True)
def spread(first, last, gradients, rows, out):
    """out[g, rows[g, c], c] = gradients[g, c], all else 0, written once from end to end."""
    for g in range(first, last):
        for j in range(out.shape[1]):
            for c in range(out.shape[2]):
                out[g, j, c] = gradients[g, c] if rows[g, c] == j else 0
