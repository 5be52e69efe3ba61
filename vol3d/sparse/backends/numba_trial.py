"""One call of each hand-written micro-kernel: if numba or LLVM refuses one, it shows here and not during training.

`simd` writes LLVM through numba's internals, which a new release may change without notice.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.sparse.backends.numba_kernels import LANES, multiply_1_one, outer_1_one
from vol3d.sparse.backends.numba_pairs import keep_found


@njit(nogil=True, cache=True, boundscheck=False)
def _call_each(values, weights, sums, gradients, rows, kept, places):  # type: ignore[no-untyped-def]
    a, w, numbers = values.ctypes.data, weights.ctypes.data, rows.ctypes.data
    multiply_1_one(a, numbers, 4, w, 4 * LANES, sums.ctypes.data, numbers, 4 * LANES, 1)
    outer_1_one(a, numbers, 4, w, numbers, 4 * LANES, 1, gradients.ctypes.data, 4 * LANES)
    return keep_found(len(rows), numbers, 7, kept.ctypes.data, places.ctypes.data)


def try_micro_kernels() -> None:
    """Compile the kernels, or take them from numba's cache, and compare their results.

    Raises:
        ArithmeticError: a wrong result.
        Exception: whatever numba raises.
    """
    values, weights = np.full(1, 2, np.float32), np.arange(LANES, dtype=np.float32)
    sums, gradients = np.zeros((2, LANES), np.float32)
    rows = np.array([0, -1], np.int32)
    kept, places = np.zeros((2, 2 + LANES), np.int32)

    count = _call_each(values, weights, sums, gradients, rows, kept, places)
    if (count, kept[0], places[0]) != (1, 0, 7) or (sums != 2 * weights).any() or (gradients != 2 * weights).any():
        raise ArithmeticError("micro-kernels compute wrong numbers on this CPU")
