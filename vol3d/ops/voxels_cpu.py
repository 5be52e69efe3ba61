"""Compiled loops of `voxels`: the voxel of each point, in order of first appearance."""

import numpy as np
from numba import njit

_BLOCK = 256  # points
_DENSE = 1 << 18  # cells that a plain table may have whatever the number of points


@njit(nogil=True, cache=True)
def _empty_table(n, cells):
    """Voxel of each cell if there are few cells (length `cells`), else an open hash table, a third empty at least."""
    if cells <= max(_DENSE, 4 * n):
        return np.full(cells, -1, np.int32)
    size = 1024
    while 2 * size < 3 * n:
        size *= 2
    return np.full(size, -1, np.int32)


@njit(nogil=True, cache=True, error_model="numpy")
def _cells(points, low, size, shape, out):
    """Number of each point's cell, -1 outside the grid; whether all coordinates are finite.

    A block at a time is laid out axis by axis, for the compiler to make vector instructions of what follows.
    """
    lx, ly, lz, sx, sy, sz = low[0], low[1], low[2], size[0], size[1], size[2]
    nx, ny = np.int32(shape[2]), np.int32(shape[1])
    zero, ex, ey, ez = low.dtype.type(0), low.dtype.type(nx), low.dtype.type(ny), low.dtype.type(shape[0])
    axes = np.empty((3, _BLOCK), points.dtype)
    finite = True
    for begin in range(0, points.shape[0], _BLOCK):
        n = min(_BLOCK, points.shape[0] - begin)
        for i in range(n):
            axes[0, i], axes[1, i], axes[2, i] = points[begin + i, 0], points[begin + i, 1], points[begin + i, 2]
        px, py, pz, cells = axes[0], axes[1], axes[2], out[begin : begin + n]
        for i in range(n):
            x = np.floor((px[i] - lx) / sx)
            y = np.floor((py[i] - ly) / sy)
            z = np.floor((pz[i] - lz) / sz)
            inside = (x >= 0) & (x < ex) & (y >= 0) & (y < ey) & (z >= 0) & (z < ez)
            x, y, z = (x if inside else zero), (y if inside else zero), (z if inside else zero)
            cell = (np.int32(z) * ny + np.int32(y)) * nx + np.int32(x)
            cells[i] = cell if inside else -1
            total = px[i] + py[i] + pz[i]
            finite &= total - total == 0
    return finite


@njit(nogil=True, cache=True)
def _first_bad(points):
    """Row of the first point that is not finite, or -1 (a sum may overflow where no coordinate does)."""
    for i in range(points.shape[0]):
        if not (np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]) and np.isfinite(points[i, 2])):
            return i
    return -1


@njit(nogil=True, cache=True)
def _number(cells, table, dense, most, room, keys, counts, voxels):
    """Numbers the cells in order of first appearance and returns how many there are; `most` of them are voxels.

    With room, each point gets its row in blocks of that many rows, first come first served, instead of its voxel.
    """
    found, mask = 0, table.shape[0] - 1
    for i in range(cells.shape[0]):
        voxels[i] = -1
        place = np.int64(cells[i])
        if place < 0:
            continue
        if not dense:
            # Runs of 16 cells along x stay together in one cache line: scan lines run along them.
            run = np.uint64(place >> 4) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
            place = (np.int64(run) << 4 | place & 15) & mask
            while table[place] >= 0 and keys[table[place]] != cells[i]:
                place = (place + 1) & mask
        voxel = np.int64(table[place])
        if voxel < 0:
            voxel = np.int64(found)
            table[place], keys[found], counts[found] = found, cells[i], 0
            found += 1
        if voxel < most:
            rank = np.int64(counts[voxel])
            counts[voxel] = rank + 1
            if room == 0:
                voxels[i] = voxel
            elif rank < room:
                voxels[i] = voxel * room + rank
    return found


@njit(nogil=True, cache=True)
def _assign(cloud, points, low, size, shape, most, room, voxels, coordinates, counts):
    """One cloud; returns its number of cells with points, or -1 - row of the first point that is not finite."""
    n = points.shape[0]
    cells, keys = np.empty(n, np.int32), np.empty(n, np.int32)
    if not _cells(points, low, size, shape, cells):
        bad = _first_bad(points)
        if bad >= 0:
            return -1 - bad
    count = shape[0] * shape[1] * shape[2]
    table = _empty_table(n, count)
    found = _number(cells, table, table.shape[0] == count, most, room, keys, counts, voxels)
    ny, nx = np.uint32(shape[1]), np.uint32(shape[2])
    for v in range(min(found, most)):
        row = np.uint32(keys[v]) // nx
        coordinates[v, 0], coordinates[v, 1] = cloud, row // ny
        coordinates[v, 2], coordinates[v, 3] = row - row // ny * ny, np.uint32(keys[v]) - row * nx
    return found


@njit(nogil=True, cache=True)
def assign_clouds(first, last, points, offsets, low, size, shape, most, room, voxels, coordinates, counts, found):
    """Clouds first..last of the joined points (N, C): each writes its voxels (see `_number`) from its own offset on."""
    for cloud in range(first, last):
        s, e = offsets[cloud], offsets[cloud + 1]
        part = points[s:e], low, size, shape, most, room
        found[cloud] = _assign(cloud, *part, voxels[s:e], coordinates[s:e], counts[s:e])
