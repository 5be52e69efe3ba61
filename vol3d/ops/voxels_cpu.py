"""Compiled loops of `voxels`: the voxel of each point, in order of first appearance."""

import numpy as np
from numba import njit

_DENSE = 1 << 18  # cells that a plain table may have whatever the number of points


@njit(nogil=True, cache=True)
def _empty_table(n, cells):
    """Voxel by cell if there are few cells (length cells), else an open hash table (a power of two, half empty)."""
    if cells <= max(_DENSE, n):
        return np.full(cells, -1, np.int32)
    size = 1024
    while size < 2 * n:
        size *= 2
    return np.full(size, -1, np.int32)


@njit(nogil=True, cache=True)
def _find(table, keys, key, dense):
    """Place of the key in the table: its own, or the free one where it belongs."""
    if dense:
        return key
    mask = table.shape[0] - 1
    place = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[place] >= 0 and keys[table[place]] != key:
        place = (place + 1) & mask
    return place


@njit(nogil=True, cache=True, error_model="numpy")
def _assign(cloud, points, low, size, shape, most, voxels, coordinates, counts):
    """One cloud; returns its number of voxels, or -1 - row of the first point that is not finite."""
    n, (nz, ny, nx) = points.shape[0], (shape[0], shape[1], shape[2])
    cells = nz * ny * nx
    table = _empty_table(n, cells)
    dense = table.shape[0] == cells
    keys = np.empty(min(n, most), np.int64)
    found, last_key, last_voxel = 0, np.int64(-1), np.int64(-1)
    for i in range(n):
        x = np.floor((points[i, 0] - low[0]) / size[0])
        y = np.floor((points[i, 1] - low[1]) / size[1])
        z = np.floor((points[i, 2] - low[2]) / size[2])
        voxels[i] = -1
        if not (0 <= x < nx and 0 <= y < ny and 0 <= z < nz):
            if not (np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]) and np.isfinite(points[i, 2])):
                return -1 - i
            continue
        key = (np.int64(z) * ny + np.int64(y)) * nx + np.int64(x)
        if key != last_key:  # neighbours in a scan line often share their voxel
            place = _find(table, keys, key, dense)
            last_key, last_voxel = key, np.int64(table[place])
            if last_voxel < 0 and found < most:
                last_voxel = found
                table[place], keys[found], counts[found] = found, key, 0
                coordinates[found, 0], coordinates[found, 1] = cloud, np.int32(z)
                coordinates[found, 2], coordinates[found, 3] = np.int32(y), np.int32(x)
                found += 1
        if last_voxel >= 0:
            voxels[i] = last_voxel
            counts[last_voxel] += 1
    return found


@njit(nogil=True, cache=True)
def assign_clouds(first, last, points, offsets, low, size, shape, most, voxels, coordinates, counts, found):
    """Clouds first..last of the joined points (N, C): each writes its voxels from its own offset on."""
    for cloud in range(first, last):
        s, e = offsets[cloud], offsets[cloud + 1]
        part = points[s:e], low, size, shape, most
        found[cloud] = _assign(cloud, *part, voxels[s:e], coordinates[s:e], counts[s:e])


@njit(nogil=True, cache=True)
def fill_slots(voxels, slots):
    """Rows of the first points of each voxel into slots (V, max_points), which come filled with -1."""
    filled = np.zeros(slots.shape[0], np.int32)
    for i in range(voxels.shape[0]):
        v = voxels[i]
        if v >= 0 and filled[v] < slots.shape[1]:
            slots[v, filled[v]] = i
            filled[v] += 1
