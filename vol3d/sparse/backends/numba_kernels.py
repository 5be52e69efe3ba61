"""Range kernels of sparse convolution for the CPU: compiled at first use, cached on disk, free of the GIL.

Rows are processed in tiles, so that the sums of a tile stay in the cache while all taps are added to them; within a
tile and a tap the pairs of rows are listed (`KernelPairs`), and micro-kernels work on a few pairs at a time.

The functions for one to four vectors of output channels are written out: numba's cache on disk does not recognise
functions that a factory made around a micro-kernel, and would compile them anew in every process.
"""

from __future__ import annotations

from numba import njit

from vol3d.sparse.backends.simd import TILE, gather_multiply, gather_outer

LANES = TILE.lanes
COLUMNS = 4 * LANES  # channels of a full block
DEPTH = 64  # input channels per pass: such a piece of a weight block stays in the first-level cache

(R1, S1), (R2, S2), (R3, S3), (R4, S4) = TILE.rows
multiply_1_large, multiply_1_middle, multiply_1_one = (gather_multiply(r, 1, LANES) for r in (R1, S1, 1))
multiply_2_large, multiply_2_middle, multiply_2_one = (gather_multiply(r, 2, LANES) for r in (R2, S2, 1))
multiply_3_large, multiply_3_middle, multiply_3_one = (gather_multiply(r, 3, LANES) for r in (R3, S3, 1))
multiply_4_large, multiply_4_middle, multiply_4_one = (gather_multiply(r, 4, LANES) for r in (R4, S4, 1))
outer_1_large, outer_1_one = gather_outer(R1, 1, LANES), gather_outer(1, 1, LANES)
outer_2_large, outer_2_one = gather_outer(R2, 2, LANES), gather_outer(1, 2, LANES)
outer_3_large, outer_3_one = gather_outer(R3, 3, LANES), gather_outer(1, 3, LANES)
outer_4_large, outer_4_one = gather_outer(R4, 4, LANES), gather_outer(1, 4, LANES)


@njit(nogil=True, cache=True, boundscheck=False)
def _multiply_1(n, a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
    while n >= R1:
        multiply_1_large(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - R1, numbers + 4 * R1, to + 4 * R1
    while n >= S1:
        multiply_1_middle(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - S1, numbers + 4 * S1, to + 4 * S1
    while n > 0:
        multiply_1_one(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - 1, numbers + 4, to + 4


@njit(nogil=True, cache=True, boundscheck=False)
def _multiply_2(n, a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
    while n >= R2:
        multiply_2_large(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - R2, numbers + 4 * R2, to + 4 * R2
    while n >= S2:
        multiply_2_middle(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - S2, numbers + 4 * S2, to + 4 * S2
    while n > 0:
        multiply_2_one(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - 1, numbers + 4, to + 4


@njit(nogil=True, cache=True, boundscheck=False)
def _multiply_3(n, a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
    while n >= R3:
        multiply_3_large(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - R3, numbers + 4 * R3, to + 4 * R3
    while n >= S3:
        multiply_3_middle(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - S3, numbers + 4 * S3, to + 4 * S3
    while n > 0:
        multiply_3_one(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - 1, numbers + 4, to + 4


@njit(nogil=True, cache=True, boundscheck=False)
def _multiply_4(n, a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
    while n >= R4:
        multiply_4_large(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - R4, numbers + 4 * R4, to + 4 * R4
    while n >= S4:
        multiply_4_middle(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - S4, numbers + 4 * S4, to + 4 * S4
    while n > 0:
        multiply_4_one(a, numbers, a_bytes, w, w_bytes, out, to, out_bytes, depth)
        n, numbers, to = n - 1, numbers + 4, to + 4


@njit(nogil=True, cache=True, boundscheck=False)
def multiply_block(width, n, a, numbers, a_bytes, w, out, to, out_bytes, depth):  # type: ignore[no-untyped-def]
    """Adds to `width` columns of n rows of out: one, two, three or four vectors. See `simd.gather_multiply`."""
    if width == 4 * LANES:
        _multiply_4(n, a, numbers, a_bytes, w, 4 * width, out, to, out_bytes, depth)
    elif width == 3 * LANES:
        _multiply_3(n, a, numbers, a_bytes, w, 4 * width, out, to, out_bytes, depth)
    elif width == 2 * LANES:
        _multiply_2(n, a, numbers, a_bytes, w, 4 * width, out, to, out_bytes, depth)
    else:
        _multiply_1(n, a, numbers, a_bytes, w, 4 * width, out, to, out_bytes, depth)


@njit(nogil=True, cache=True, boundscheck=False)
def convolve_tiles(start, stop, features, weight, inputs, outputs, begins, ends, out, tile_rows):  # type: ignore[no-untyped-def]
    """Fills the rows of tiles start..stop of `out`.

    Args:
        features: float32 [inputs, c_in].
        weight: float32 [taps, c_in * c_out], blocks of `COLUMNS` output channels one after another, each [c_in, block].
        inputs, outputs, begins, ends: see `KernelPairs`.
        out: float32 [outputs, c_out], c_out a multiple of `LANES`.
    """
    taps = weight.shape[0]
    c_in, c_out = features.shape[1], out.shape[1]
    a, w, o = features.ctypes.data, weight.ctypes.data, out.ctypes.data
    numbers, to = inputs.ctypes.data, outputs.ctypes.data
    for tile in range(start, stop):
        out[tile * tile_rows : (tile + 1) * tile_rows] = 0
        for tap in range(taps):
            first = begins[tile, tap]
            n = ends[tile, tap] - first
            if n == 0:
                continue
            come, go = numbers + 4 * first, to + 4 * first
            for deep in range(0, c_in, DEPTH):
                depth = min(DEPTH, c_in - deep)
                rows = a + 4 * deep
                for column in range(0, c_out, COLUMNS):
                    width = min(COLUMNS, c_out - column)
                    panel = w + 4 * (tap * c_in * c_out + column * c_in + deep * width)
                    sums = o + 4 * column
                    multiply_block(width, n, rows, come, 4 * c_in, panel, sums, go, 4 * c_out, depth)


@njit(nogil=True, cache=True, boundscheck=False)
def _outer_block(width, height, a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes):  # type: ignore[no-untyped-def]
    """Adds to `height` rows of dw, of `width` floats: one, two, three or four vectors."""
    if width == 4 * LANES:
        while height >= R4:
            outer_4_large(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - R4, a + 4 * R4, dw + R4 * dw_bytes
        while height > 0:
            outer_4_one(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - 1, a + 4, dw + dw_bytes
    elif width == 3 * LANES:
        while height >= R3:
            outer_3_large(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - R3, a + 4 * R3, dw + R3 * dw_bytes
        while height > 0:
            outer_3_one(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - 1, a + 4, dw + dw_bytes
    elif width == 2 * LANES:
        while height >= R2:
            outer_2_large(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - R2, a + 4 * R2, dw + R2 * dw_bytes
        while height > 0:
            outer_2_one(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - 1, a + 4, dw + dw_bytes
    else:
        while height >= R1:
            outer_1_large(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - R1, a + 4 * R1, dw + R1 * dw_bytes
        while height > 0:
            outer_1_one(a, numbers, a_bytes, g, to, g_bytes, n, dw, dw_bytes)
            height, a, dw = height - 1, a + 4, dw + dw_bytes


@njit(nogil=True, cache=True, boundscheck=False)
def weight_gradient_blocks(start, stop, features, grad, inputs, outputs, begins, ends, dw, height):  # type: ignore[no-untyped-def]
    """Fills blocks start..stop of `dw`: block i is `height` input channels of one tap, input channels fastest.

    Args:
        features: float32 [inputs, c_in].
        grad: float32 [outputs, c_out], c_out a multiple of `LANES`.
        inputs, outputs, begins, ends: see `KernelPairs`.
        dw: float32 [taps, c_in, c_out], zero.
        height: input channels of a block.
    """
    _, c_in, c_out = dw.shape
    per_tap = (c_in + height - 1) // height
    a, g, d = features.ctypes.data, grad.ctypes.data, dw.ctypes.data
    numbers, to = inputs.ctypes.data, outputs.ctypes.data
    for tile in range(len(begins)):
        for block in range(start, stop):
            tap, channel = block // per_tap, block % per_tap * height
            first = begins[tile, tap]
            n = ends[tile, tap] - first
            if n == 0:
                continue
            come, go = numbers + 4 * first, to + 4 * first
            rows = min(height, c_in - channel)
            for column in range(0, c_out, COLUMNS):
                width = min(COLUMNS, c_out - column)
                at = d + 4 * ((tap * c_in + channel) * c_out + column)
                _outer_block(
                    width, rows, a + 4 * channel, come, 4 * c_in, g + 4 * column, go, 4 * c_out, n, at, 4 * c_out
                )
