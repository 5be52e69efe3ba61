"""Range kernels that build kernel maps on the CPU: sorting, neighbour search, positions that a window reaches."""

from __future__ import annotations

import numpy as np
from numba import njit

DIGIT = 11  # bits per pass of the radix sort


@njit(nogil=True, cache=True, boundscheck=False)
def radix_argsort(keys, bits):  # type: ignore[no-untyped-def]
    """Stable order, int64 [n], of int64 keys [n] from 0 to 2**bits - 1."""
    n = len(keys)
    order, other = np.arange(n), np.empty(n, np.int64)
    now, later = keys.copy(), np.empty(n, np.int64)
    mask = (1 << DIGIT) - 1
    for shift in range(0, bits, DIGIT):
        begins = np.zeros(mask + 2, np.int64)
        for i in range(n):
            begins[((now[i] >> shift) & mask) + 1] += 1
        for digit in range(mask):
            begins[digit + 1] += begins[digit]
        for i in range(n):
            digit = (now[i] >> shift) & mask
            at = begins[digit]
            begins[digit] = at + 1
            later[at], other[at] = now[i], order[i]
        now, later = later, now
        order, other = other, order
    return order


@njit(nogil=True, cache=True, boundscheck=False)
def _first_not_below(keys, wanted):  # type: ignore[no-untyped-def]
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True, boundscheck=False)
def search_keys(start, stop, first, keys, kernel, steps, table):  # type: ignore[no-untyped-def]
    """Fills columns start..stop of `table` int32 [taps, m] with the rows of `keys` that the taps read, or -1.

    Args:
        first: int64 [m] ascending, keys of the first tap of each window.
        keys: int64 [n] ascending.
        kernel, steps: taps and key difference between taps along each axis.

    The taps along x of one (z, y) read a short run of keys; as windows ascend, so do the runs: one walk along the keys
    for each (z, y).
    """
    _, ky, kx = kernel
    span = (kx - 1) * steps[2]
    for zy in range(kernel[0] * ky):
        shift = zy // ky * steps[0] + zy % ky * steps[1]
        at = _first_not_below(keys, first[start] + shift)
        for row in range(start, stop):
            wanted = first[row] + shift
            while at < len(keys) and keys[at] < wanted:
                at += 1
            for x in range(kx):
                table[zy * kx + x, row] = -1
            near = at
            while near < len(keys) and keys[near] <= wanted + span:
                apart = keys[near] - wanted
                if steps[2] == 1:
                    table[zy * kx + apart, row] = near
                elif apart % steps[2] == 0:
                    table[zy * kx + apart // steps[2], row] = near
                near += 1


@njit(nogil=True, cache=True, boundscheck=False)
def line_starts(coordinates, shape, lines):  # type: ignore[no-untyped-def]
    """int32 [lines + 1]: first row of each line (batch, z, y) of the grid or of a later one."""
    starts = np.empty(lines + 1, np.int32)
    line = 0
    for row in range(len(coordinates)):
        at = (np.int64(coordinates[row, 0]) * shape[0] + coordinates[row, 1]) * shape[1] + coordinates[row, 2]
        while line <= at:
            starts[line] = row
            line += 1
    starts[line:] = len(coordinates)
    return starts


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
def _reached_along(position, kernel, stride, padding, dilation, size, down, found):  # type: ignore[no-untyped-def]
    """Writes the positions of one axis that `position` reaches into `found`; returns their number."""
    n = 0
    for tap in range(kernel):
        offset = tap * dilation - padding
        if down:
            at = position - offset
            if at < 0 or at % stride:
                continue
            at //= stride
        else:
            at = position * stride + offset
        if 0 <= at < size:
            found[n] = at
            n += 1
    return n


@njit(nogil=True, cache=True, boundscheck=False)
def mark_reached(coordinates, kernel, stride, padding, dilation, shape, down, marks):  # type: ignore[no-untyped-def]
    """Sets the bit of every cell of the (batch, z, y, x) grid that a position reaches; marks: uint64 words."""
    zs, ys, xs = np.empty(kernel[0], np.int64), np.empty(kernel[1], np.int64), np.empty(kernel[2], np.int64)
    for row in range(len(coordinates)):
        _, z, y, x = coordinates[row]
        nz = _reached_along(z, kernel[0], stride[0], padding[0], dilation[0], shape[0], down, zs)
        ny = _reached_along(y, kernel[1], stride[1], padding[1], dilation[1], shape[1], down, ys)
        nx = _reached_along(x, kernel[2], stride[2], padding[2], dilation[2], shape[2], down, xs)
        for i in range(nz):
            plane = np.int64(coordinates[row, 0]) * shape[0] + zs[i]
            for j in range(ny):
                line = (plane * shape[1] + ys[j]) * shape[2]
                for k in range(nx):
                    cell = line + xs[k]
                    marks[cell >> 6] |= np.uint64(1) << np.uint64(cell & 63)


@njit(nogil=True, cache=True, boundscheck=False)
def marked_cells(marks):  # type: ignore[no-untyped-def]
    """int64 [n] ascending: the numbers of the bits that are set."""
    n = 0
    one = np.uint64(1)
    for word in marks:
        while word:
            word &= word - one
            n += 1
    cells = np.empty(n, np.int64)
    n = 0
    for i in range(len(marks)):
        word = marks[i]
        bit = 0
        while word:
            while not word & np.uint64(0xFF):
                word >>= np.uint64(8)
                bit += 8
            while not word & one:
                word >>= one
                bit += 1
            cells[n] = i * 64 + bit
            n += 1
            word >>= one
            bit += 1
    return cells
