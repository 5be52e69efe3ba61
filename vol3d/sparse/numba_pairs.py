"""Range kernels that list the pairs of rows that a kernel map joins, tile by tile and tap by tap (`KernelPairs`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.sparse.simd import TILE, compress

keep_found = compress(TILE.lanes)


@njit(nogil=True, cache=True, boundscheck=False)
def _list_tap(found, first_row, at, inputs, outputs):  # type: ignore[no-untyped-def]
    """Lists the rows of `found` that are not -1 from place `at` on; returns the place behind the last.

    What is written beyond it, less than one vector, is overwritten by the next tap or lies in the tile's own room.
    """
    come, go = inputs.ctypes.data + 4 * at, outputs.ctypes.data + 4 * at
    return at + keep_found(len(found), found.ctypes.data, first_row, come, go)


@njit(nogil=True, cache=True, boundscheck=False)
def list_table(start, stop, neighbours, tile_rows, inputs, outputs, bounds):  # type: ignore[no-untyped-def]
    """Lists the pairs of tiles start..stop of a table int32 [taps, rows]."""
    taps, rows = neighbours.shape
    for tile in range(start, stop):
        low, high = tile * tile_rows, min(rows, (tile + 1) * tile_rows)
        at = tile * taps * tile_rows
        for tap in range(taps):
            bounds[tile, tap] = at
            at = _list_tap(neighbours[tap, low:high], low, at, inputs, outputs)
        bounds[tile, taps] = at


@njit(nogil=True, cache=True, boundscheck=False)
def list_lines(
    start, stop, coarse, fine, starts, kernel, stride, padding, dilation, shape, tile_rows, inputs, outputs, bounds
):  # type: ignore[no-untyped-def]
    """Lists the pairs of tiles start..stop without a table of the whole map.

    A fine line (batch, z, y) is spread out into a table of its cells, and the windows of a coarse line that reads it
    look their neighbours up; all of it stays in the first-level cache.

    Args:
        coarse, fine: int32 [m, 4] and [n, 4], sorted.
        starts: int32, first row of each fine line, see `line_starts`.
        shape: fine z, fine y, cells of a fine line with room for every tap.
    """
    taps = kernel[0] * kernel[1] * kernel[2]
    cells = np.full(shape[2], -1, np.int32)
    found = np.empty((taps, tile_rows), np.int32)
    for tile in range(start, stop):
        low, high = tile * tile_rows, min(len(coarse), (tile + 1) * tile_rows)
        found[:] = -1
        row = low
        while row < high:
            end = row + 1
            while end < high and coarse[end, 2] == coarse[row, 2] and _same_plane(coarse, row, end):
                end += 1
            for tz in range(kernel[0]):
                z = coarse[row, 1] * stride[0] + tz * dilation[0] - padding[0]
                for ty in range(kernel[1]):
                    y = coarse[row, 2] * stride[1] + ty * dilation[1] - padding[1]
                    line = (np.int64(coarse[row, 0]) * shape[0] + z) * shape[1] + y
                    if 0 <= z < shape[0] and 0 <= y < shape[1] and line + 1 < len(starts):
                        first, last = starts[line], starts[line + 1]
                        if first < last:
                            tap = (tz * kernel[1] + ty) * kernel[2]
                            _look_up(
                                coarse,
                                row,
                                end,
                                fine,
                                first,
                                last,
                                cells,
                                found,
                                tap,
                                low,
                                kernel[2],
                                stride[2],
                                padding[2],
                                dilation[2],
                            )
            row = end
        at = tile * taps * tile_rows
        for tap in range(taps):
            bounds[tile, tap] = at
            at = _list_tap(found[tap, : high - low], low, at, inputs, outputs)
        bounds[tile, taps] = at


@njit(nogil=True, cache=True, boundscheck=False)
def _same_plane(coordinates, row, other):  # type: ignore[no-untyped-def]
    return coordinates[row, 1] == coordinates[other, 1] and coordinates[row, 0] == coordinates[other, 0]


@njit(nogil=True, cache=True, boundscheck=False)
def _look_up(coarse, row, end, fine, first, last, cells, found, tap, low, kernel, stride, padding, dilation):  # type: ignore[no-untyped-def]
    """found[tap + x, reader - low] = fine row that tap x of each coarse row reads, of one line each."""
    for place in range(np.uintp(first), np.uintp(last)):
        cells[np.uintp(fine[place, 3] + padding)] = place
    if kernel == 3:
        left, middle, right = found[tap], found[tap + 1], found[tap + 2]
        for reader in range(np.uintp(row), np.uintp(end)):
            cell, place = np.uintp(coarse[reader, 3] * stride), reader - np.uintp(low)
            left[place] = cells[cell]
            middle[place] = cells[cell + np.uintp(dilation)]
            right[place] = cells[cell + np.uintp(2 * dilation)]
    else:
        for reader in range(np.uintp(row), np.uintp(end)):
            cell, place = np.uintp(coarse[reader, 3] * stride), reader - np.uintp(low)
            for x in range(kernel):
                found[tap + x, place] = cells[cell + np.uintp(x * dilation)]
    for place in range(np.uintp(first), np.uintp(last)):
        cells[np.uintp(fine[place, 3] + padding)] = -1
