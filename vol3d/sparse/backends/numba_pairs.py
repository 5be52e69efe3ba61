"""Range kernels that list the pairs of rows that a kernel map joins, tile by tile and tap by tap (`KernelPairs`)."""

from __future__ import annotations

import numpy as np
from numba import njit

from vol3d.sparse.backends.numba_maps import PADDING, first_not_below, search_keys
from vol3d.sparse.backends.simd import TILE, compress

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
def list_search(start, stop, first, keys, kernel, steps, inputs, outputs, begins, ends):  # type: ignore[no-untyped-def]
    """Lists the pairs of tiles start..stop without a table of the whole map; see `search_keys` for the arguments."""
    taps, rows = kernel[0] * kernel[1] * kernel[2], len(first) - PADDING
    found = np.empty(taps * TILE_ROWS, np.int32)
    for tile in range(start, stop):
        low, high = tile * TILE_ROWS, min(rows, (tile + 1) * TILE_ROWS)
        search_keys(low, high, first, keys, kernel, steps, 0, found, TILE_ROWS)
        at = tile * taps * TILE_ROWS
        for tap in range(taps):
            begins[tile, tap] = at
            at = _list_tap(found[tap * TILE_ROWS : tap * TILE_ROWS + high - low], low, at, inputs, outputs)
            ends[tile, tap] = at


@njit(nogil=True, cache=True, boundscheck=False)
def list_half(start, stop, first, keys, kernel, steps, inputs, outputs, begins, ends):  # type: ignore[no-untyped-def]
    """As `list_search`, of a symmetric map of three taps along x, the middle tap and those behind it alone."""
    middle, rows = kernel[0] * kernel[1] * 3 // 2, len(first) - PADDING
    line = kernel[0] * kernel[1] // 2 + 1
    found = np.empty((middle + 1) * TILE_ROWS, np.int32)
    for tile in range(start, stop):
        low, high = tile * TILE_ROWS, min(rows, (tile + 1) * TILE_ROWS)
        for i in range(high - low):
            row = low + i
            found[i] = row
            found[TILE_ROWS + i] = row + 1 if keys[row + 1] == keys[row] + 1 else -1
        search_keys(low, high, first, keys, kernel, steps, line, found[2 * TILE_ROWS :], TILE_ROWS)
        at = tile * (middle + 1) * TILE_ROWS
        for tap in range(middle + 1):
            begins[tile, middle + tap] = at
            at = _list_tap(found[tap * TILE_ROWS : tap * TILE_ROWS + high - low], low, at, inputs, outputs)
            ends[tile, middle + tap] = at


@njit(nogil=True, cache=True, boundscheck=False)
def list_mirrored(start, stop, room, inputs, outputs, begins, ends):  # type: ignore[no-untyped-def]
    """Lists taps start..stop of the first half of a symmetric map: the last taps' pairs, input and output exchanged.

    The list of tap k begins at room + k * (rows of all tiles): no row is in it twice.
    """
    tiles, taps = begins.shape
    for tap in range(start, stop):
        place = end = room + tap * tiles * TILE_ROWS
        for tile in range(tiles):
            first, last = begins[tile, taps - 1 - tap], ends[tile, taps - 1 - tap]
            inputs[end : end + last - first] = outputs[first:last]
            outputs[end : end + last - first] = inputs[first:last]
            end += last - first
        for tile in range(tiles):
            begins[tile, tap] = place
            place += first_not_below(outputs[place : min(place + TILE_ROWS, end)], (tile + 1) * TILE_ROWS)
            ends[tile, tap] = place


@njit(nogil=True, cache=True, boundscheck=False)
def count_reversed(start, stop, inputs, begins, ends, counts):  # type: ignore[no-untyped-def]
    """Counts the pairs of taps start..stop by the tile of their input row into counts [input tiles, taps], zero."""
    for tap in range(start, stop):
        for tile in range(len(begins)):
            for pair in range(begins[tile, tap], ends[tile, tap]):
                counts[inputs[pair] // TILE_ROWS, tap] += 1


@njit(nogil=True, cache=True, boundscheck=False)
def list_reversed(start, stop, inputs, outputs, begins, ends, places, new_inputs, new_outputs):  # type: ignore[no-untyped-def]
    """Writes the pairs of taps start..stop, input and output exchanged, at `places` [input tiles, taps]; moves those.

    Along one tap input rows ascend with output rows, so each new list comes out in order.
    """
    for tap in range(start, stop):
        for tile in range(len(begins)):
            for pair in range(begins[tile, tap], ends[tile, tap]):
                new_tile = inputs[pair] // TILE_ROWS
                at = places[new_tile, tap]
                places[new_tile, tap] = at + 1
                new_inputs[at], new_outputs[at] = outputs[pair], inputs[pair]
