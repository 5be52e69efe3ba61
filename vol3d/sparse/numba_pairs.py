"""Range kernels that list the pairs of rows that a kernel map joins, tile by tile and tap by tap (`KernelPairs`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.sparse.numba_maps import PADDING, search_keys
from vol3d.sparse.simd import TILE, compress

TILE_ROWS = np.int32(256)  # output rows whose sums stay in the cache while all taps are added to them
keep_found = compress(TILE.lanes)


@njit(nogil=True, cache=True, boundscheck=False)
def _list_tap(found, first_row, at, inputs, outputs):  # type: ignore[no-untyped-def]
    """Lists the rows of `found` that are not -1 from place `at` on; returns the place behind the last.

    What is written beyond it, less than one vector, is overwritten by the next tap or lies in the tile's own room.
    """
    come, go = inputs.ctypes.data + 4 * at, outputs.ctypes.data + 4 * at
    return at + keep_found(len(found), found.ctypes.data, first_row, come, go)


@njit(nogil=True, cache=True, boundscheck=False)
def list_search(start, stop, first, keys, kernel, steps, tile_rows, inputs, outputs, bounds):  # type: ignore[no-untyped-def]
    """Lists the pairs of tiles start..stop without a table of the whole map; see `search_keys` for the arguments."""
    taps, rows = kernel[0] * kernel[1] * kernel[2], len(first) - PADDING
    found = np.empty(taps * tile_rows, np.int32)
    for tile in range(start, stop):
        low, high = tile * tile_rows, min(rows, (tile + 1) * tile_rows)
        search_keys(low, high, first, keys, kernel, steps, found, tile_rows)
        at = tile * taps * tile_rows
        for tap in range(taps):
            bounds[tile, tap] = at
            at = _list_tap(found[tap * tile_rows : tap * tile_rows + high - low], low, at, inputs, outputs)
        bounds[tile, taps] = at


@njit(nogil=True, cache=True, boundscheck=False)
def count_reversed(start, stop, inputs, bounds, counts):  # type: ignore[no-untyped-def]
    """Counts the pairs of taps start..stop by the tile of their input row into counts [input tiles, taps], zero."""
    for tap in range(start, stop):
        for tile in range(len(bounds)):
            for pair in range(bounds[tile, tap], bounds[tile, tap + 1]):
                counts[inputs[pair] // TILE_ROWS, tap] += 1


@njit(nogil=True, cache=True, boundscheck=False)
def list_reversed(start, stop, inputs, outputs, bounds, places, new_inputs, new_outputs):  # type: ignore[no-untyped-def]
    """Writes the pairs of taps start..stop, input and output exchanged, at `places` [input tiles, taps]; moves those.

    Along one tap input rows ascend with output rows, so each new list comes out in order.
    """
    for tap in range(start, stop):
        for tile in range(len(bounds)):
            for pair in range(bounds[tile, tap], bounds[tile, tap + 1]):
                new_tile = inputs[pair] // TILE_ROWS
                at = places[new_tile, tap]
                places[new_tile, tap] = at + 1
                new_inputs[at], new_outputs[at] = outputs[pair], inputs[pair]
