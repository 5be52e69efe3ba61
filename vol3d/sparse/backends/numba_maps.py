"""Range kernels that build kernel maps on the CPU: neighbour search, positions that a window reaches."""

from __future__ import annotations

import numpy as np
from numba import njit

PADDING = 4  # keys behind the last, so that a walk need not ask where the list ends


@njit(nogil=True, cache=True, boundscheck=False)
def first_not_below(keys, wanted):  # type: ignore[no-untyped-def]
    """The first place of the ascending `keys` whose key is `wanted` or larger; their number, if none is."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True, boundscheck=False)
def search_keys(start, stop, first, keys, kernel, steps, line, found, width):  # type: ignore[no-untyped-def]
    """found[tap * width + i] = place in `keys` of what a tap of window start + i reads, or -1; i < stop - start.

    The taps along x of one (z, y) read a short run of keys; as windows ascend, so do the runs: one walk along the keys
    for each (z, y).

    Args:
        first: int64 [m + PADDING] ascending, keys of the first tap of each window.
        keys: int64 [n + PADDING] ascending, the last `PADDING` larger than any that is read.
        kernel, steps: taps, and key difference between taps, along each axis.
        line: the first (z, y) whose taps are wanted, counted with z slowest; taps count from there.
        found: int32, flat.
    """
    lines = kernel[0] * kernel[1]
    if kernel[2] == 3 and steps[2] == 1:
        for zy in range(line, lines, 2):
            other = min(zy + 1, lines - 1)  # the last of an odd number walks beside itself
            shift = zy // kernel[1] * steps[0] + zy % kernel[1] * steps[1]
            shift2 = other // kernel[1] * steps[0] + other % kernel[1] * steps[1]
            tap, tap2 = (zy - line) * 3 * width, (other - line) * 3 * width
            _walk_two(start, stop, first, keys, shift, shift2, found, tap, tap2, width)
        return
    for zy in range(line, lines):
        shift = zy // kernel[1] * steps[0] + zy % kernel[1] * steps[1]
        tap = (zy - line) * kernel[2] * width
        _walk(start, stop, first, keys, shift, found, tap, width, kernel[2], steps[2])


@njit(nogil=True, cache=True, boundscheck=False, inline="always")
def _look(keys, at, wanted, found, tap, width):  # type: ignore[no-untyped-def]
    """Three taps side by side, almost without branches: what a scan holds cannot be predicted. Returns the place."""
    at += np.uintp(keys[at] < wanted)
    at += np.uintp(keys[at] < wanted)
    while keys[at] < wanted:
        at += np.uintp(1)
    place = np.int32(at)
    hit = np.int32(keys[at] == wanted)
    found[tap] = (place + 1) * hit - 1
    place += hit
    hit = np.int32(keys[np.uintp(place)] == wanted + 1)
    found[tap + width] = (place + 1) * hit - 1
    place += hit
    hit = np.int32(keys[np.uintp(place)] == wanted + 2)
    found[tap + width + width] = (place + 1) * hit - 1
    return at


@njit(nogil=True, cache=True, boundscheck=False)
def _walk_two(start, stop, first, keys, shift, shift2, found, tap, tap2, width):  # type: ignore[no-untyped-def]
    """Two lines at once: while one walk waits for its key, the other goes on."""
    at = np.uintp(first_not_below(keys, first[start] + shift))
    at2 = np.uintp(first_not_below(keys, first[start] + shift2))
    begin, tap, tap2, width = np.uintp(start), np.uintp(tap), np.uintp(tap2), np.uintp(width)
    for i in range(np.uintp(stop - start)):
        wanted = first[begin + i]
        at = _look(keys, at, wanted + shift, found, tap + i, width)
        at2 = _look(keys, at2, wanted + shift2, found, tap2 + i, width)


@njit(nogil=True, cache=True, boundscheck=False)
def _walk(start, stop, first, keys, shift, found, tap, width, taps, step):  # type: ignore[no-untyped-def]
    place = first_not_below(keys, first[start] + shift)
    for i in range(stop - start):
        wanted = first[start + i] + shift
        while keys[place] < wanted:
            place += 1
        for x in range(taps):
            found[tap + x * width + i] = -1
        near = place
        while keys[near] <= wanted + (taps - 1) * step:
            if (keys[near] - wanted) % step == 0:
                found[tap + (keys[near] - wanted) // step * width + i] = near
            near += 1


@njit(nogil=True, cache=True, boundscheck=False)
def fill_neighbours(start, stop, first, keys, kernel, steps, width, table):  # type: ignore[no-untyped-def]
    """Fills blocks start..stop of `width` columns of `table` int32 [taps, m]; see `search_keys`."""
    taps, rows = table.shape
    found = np.empty(taps * width, np.int32)
    for block in range(start, stop):
        low, high = block * width, min(rows, (block + 1) * width)
        search_keys(low, high, first, keys, kernel, steps, 0, found, width)
        for tap in range(taps):
            table[tap, low:high] = found[tap * width : tap * width + high - low]


@njit(nogil=True, cache=True, boundscheck=False)
def pack(coordinates, size, scale, shift):  # type: ignore[no-untyped-def]
    """int64 [n + PADDING]: keys of positions `coordinates * scale + shift` in a grid of `size`, then the largest."""
    keys = np.empty(len(coordinates) + PADDING, np.int64)
    for row in range(len(coordinates)):
        key = np.int64(coordinates[row, 0])
        for axis in range(3):
            key = key * size[axis] + coordinates[row, axis + 1] * scale[axis] + shift[axis]
        keys[row] = key
    keys[len(coordinates) :] = np.iinfo(np.int64).max
    return keys


@njit(nogil=True, cache=True, boundscheck=False)
def reverse_neighbours(start, stop, neighbours, table):  # type: ignore[no-untyped-def]
    """Fills taps start..stop of `table` int32 [taps, inputs] with the output row that reads each input row, or -1."""
    for tap in range(start, stop):
        table[tap] = -1
        for row in range(neighbours.shape[1]):
            found = neighbours[tap, row]
            if found >= 0:
                table[tap, found] = row


@njit(nogil=True, cache=True, boundscheck=False)
def reached_along(last, kernel, stride, padding, dilation, size, down):  # type: ignore[no-untyped-def]
    """int64 [last + 1, kernel + 1]: for each position of one axis how many others it reaches, and which.

    Down: windows (0 to size - 1) that read the position. Up: positions that the window at the position reads.
    """
    reached = np.zeros((last + 1, kernel + 1), np.int64)
    for position in range(last + 1):
        n = 0
        for tap in range(kernel):
            offset = tap * dilation - padding
            at = position - offset if down else position * stride + offset
            if down:
                if at < 0 or at % stride:
                    continue
                at //= stride
            if 0 <= at < size:
                n += 1
                reached[position, n] = at
        reached[position, 0] = n
    return reached


@njit(nogil=True, cache=True, boundscheck=False)
def mark_reached(coordinates, along_z, along_y, along_x, shape, marks):  # type: ignore[no-untyped-def]
    """Sets the bit of every cell of the (batch, z, y, x) grid that a position reaches; marks: uint64 words."""
    for row in range(len(coordinates)):
        z, y, x = coordinates[row, 1], coordinates[row, 2], coordinates[row, 3]
        for i in range(along_z[z, 0]):
            plane = np.int64(coordinates[row, 0]) * shape[0] + along_z[z, i + 1]
            for j in range(along_y[y, 0]):
                line = (plane * shape[1] + along_y[y, j + 1]) * shape[2]
                for k in range(along_x[x, 0]):
                    cell = line + along_x[x, k + 1]
                    marks[cell >> 6] |= np.uint64(1) << np.uint64(cell & 63)


@njit(nogil=True, cache=True, boundscheck=False)
def marked_positions(marks, shape):  # type: ignore[no-untyped-def]
    """int32 [n, 4]: the positions, ascending, of the bits that are set."""
    n = 0
    one = np.uint64(1)
    for word in marks:
        while word:
            word &= word - one
            n += 1
    positions = np.empty((n, 4), np.int32)
    n = 0
    begin, batch, z, y = 0, 0, 0, 0  # of the line that holds the last cell
    for i in range(len(marks)):
        word, cell = marks[i], i * 64
        while word:
            while not word & np.uint64(0xFF):
                word >>= np.uint64(8)
                cell += 8
            while not word & one:
                word >>= one
                cell += 1
            if cell >= begin + shape[2]:
                line = cell // shape[2]
                begin = line * shape[2]
                plane, y = line // shape[1], line % shape[1]
                batch, z = plane // shape[0], plane % shape[0]
            positions[n, 0], positions[n, 1], positions[n, 2], positions[n, 3] = batch, z, y, cell - begin
            n += 1
            word >>= one
            cell += 1
    return positions
