"""Ball query and nearest neighbours on the CPU: a grid of cells, then compiled loops over the query points.

Points outside the grid count to its border cells. Clamping never moves two points more cells apart than they are, so
any grid gives exact answers and its bounds may leave outliers out; only speed depends on them.
"""

import numpy as np
from numba import njit

# Sums of squares are rounded in the order written, without contraction: equal to the plain algorithm to the bit.
_SAMPLE = 1024  # points that stand for all where bounds and density are guessed


@njit(nogil=True, cache=True)
def _bounds(points, n, size, limit):
    """Low corner, cells per axis and cell size of a grid of at most `limit` cells over the bulk of the points."""
    low, high = np.empty(3), np.empty(3)
    for a in range(3):
        low[a], high[a] = points[:n, a].min(), points[:n, a].max()
    if np.prod(np.floor((high - low) / size) + 1) > limit:  # outliers, or a wide scene: keep the inner 98 %
        step = max(1, n // _SAMPLE)
        for a in range(3):
            column = np.sort(points[:n:step, a])
            cut = column.shape[0] // 100
            low[a], high[a] = column[cut], column[column.shape[0] - 1 - cut]
    while np.prod(np.floor((high - low) / size) + 1) > limit:
        size *= 1.26  # half as many cells
    return low, (np.floor((high - low) / size) + 1).astype(np.int64), size


@njit(nogil=True, cache=True)
def likely_cell_size(points, n, k):
    """Side of a cell that holds about k points where the points lie on surfaces as large as their box's sides."""
    extent = np.empty(3)
    step = max(1, n // _SAMPLE)
    for a in range(3):
        column = np.sort(points[:n:step, a])
        cut = column.shape[0] // 100
        extent[a] = np.float64(column[column.shape[0] - 1 - cut]) - column[cut]
    area = extent[0] * extent[1] + extent[1] * extent[2] + extent[2] * extent[0]
    size = max(np.sqrt(area * k / n), extent.max() * k / n)  # the second: points along a line
    return size if size > 0 else 1.0


@njit(nogil=True, cache=True)
def _cell(value, low, inverse, cells):
    position = (np.float64(value) - low) * inverse
    return int(min(max(position, 0.0), cells - 1.0))


@njit(nogil=True, cache=True)
def build_cells(points, n, size):
    """Sorts the first n points (N, 3) into cells of at least `size`.

    Returns low (3,), cells per axis (3,), size, starts of the cells, point of each place, coordinates of each place.
    """
    low, dims, size = _bounds(points, n, size, max(4096, 8 * n))
    inverse = 1.0 / size
    cell = np.empty(n, np.int32)
    starts = np.zeros(dims[0] * dims[1] * dims[2] + 1, np.int32)
    for i in range(n):
        x, y = _cell(points[i, 0], low[0], inverse, dims[0]), _cell(points[i, 1], low[1], inverse, dims[1])
        cell[i] = (_cell(points[i, 2], low[2], inverse, dims[2]) * dims[1] + y) * dims[0] + x
        starts[cell[i] + 1] += 1
    for c in range(starts.shape[0] - 1):
        starts[c + 1] += starts[c]
    place, order, xyz = starts.copy(), np.empty(n, np.int32), np.empty((n, 3), points.dtype)
    for i in range(n):
        j = place[cell[i]]
        place[cell[i]] += 1
        order[j] = i
        for a in range(3):
            xyz[j, a] = points[i, a]
    return low, dims, size, starts, order, xyz


@njit(nogil=True, cache=True)
def ball_range(first, last, centers, radius2, cells, indices, hits):
    """Points of `cells` nearer than the root of radius2, lowest indices first, for centers first..last."""
    low, dims, size, starts, order, xyz = cells
    inverse, k = 1.0 / size, indices.shape[1]
    found = np.empty(order.shape[0], np.int32)
    for i in range(first, last):
        x, y, z = centers[i, 0], centers[i, 1], centers[i, 2]
        cx, cy = _cell(x, low[0], inverse, dims[0]), _cell(y, low[1], inverse, dims[1])
        cz = _cell(z, low[2], inverse, dims[2])
        n = 0
        for zz in range(max(0, cz - 1), min(dims[2], cz + 2)):
            for yy in range(max(0, cy - 1), min(dims[1], cy + 2)):
                row = (zz * dims[1] + yy) * dims[0]
                for j in range(starts[row + max(0, cx - 1)], starts[row + min(dims[0], cx + 2)]):
                    dx, dy, dz = xyz[j, 0] - x, xyz[j, 1] - y, xyz[j, 2] - z
                    found[n] = order[j]
                    n += (dx * dx + dy * dy) + dz * dz < radius2
        hits[i] = n
        found[:n].sort()
        for j in range(min(n, k)):
            indices[i, j] = found[j]


@njit(nogil=True, cache=True)
def _keep(distance, index, distances, indices):
    """Inserts one candidate into the sorted lists; equal distances stand in order of index."""
    j = distances.shape[0] - 1
    while j > 0 and (distances[j - 1] > distance or (distances[j - 1] == distance and indices[j - 1] > index)):
        distances[j], indices[j] = distances[j - 1], indices[j - 1]
        j -= 1
    distances[j], indices[j] = distance, index


@njit(nogil=True, cache=True)
def _scan(begin, end, x, y, z, order, xyz, distances, indices):
    worst = distances.shape[0] - 1
    for j in range(begin, end):
        dx, dy, dz = xyz[j, 0] - x, xyz[j, 1] - y, xyz[j, 2] - z
        d = (dx * dx + dy * dy) + dz * dz
        if d < distances[worst] or (d == distances[worst] and order[j] < indices[worst]):
            _keep(d, order[j], distances, indices)


@njit(nogil=True, cache=True)
def nearest_range(first, last, queries, cells, distances, indices):
    """The nearest points of `cells` for queries first..last: squared distances and indices, nearest first.

    The lists come filled with infinity and are no longer than there are points. Rings of cells round the query are
    searched until no cell left can hold a nearer point: those lie at least (ring - 1) cells away.
    """
    low, dims, size, starts, order, xyz = cells
    inverse, k = 1.0 / size, indices.shape[1]
    for i in range(first, last):
        x, y, z = queries[i, 0], queries[i, 1], queries[i, 2]
        cx, cy = _cell(x, low[0], inverse, dims[0]), _cell(y, low[1], inverse, dims[1])
        cz = _cell(z, low[2], inverse, dims[2])
        ring = 0
        while ring <= max(dims[0], dims[1], dims[2]):
            # Rounding may bring a point of the next ring as near as the bound: search on unless it is clear.
            if ring > 0 and distances[i, k - 1] < ((ring - 1) * size) ** 2 * 0.999999:
                break
            for zz in range(max(0, cz - ring), min(dims[2], cz + ring + 1)):
                for yy in range(max(0, cy - ring), min(dims[1], cy + ring + 1)):
                    row = (zz * dims[1] + yy) * dims[0]
                    if abs(zz - cz) == ring or abs(yy - cy) == ring:
                        s, e = starts[row + max(0, cx - ring)], starts[row + min(dims[0], cx + ring + 1)]
                        _scan(s, e, x, y, z, order, xyz, distances[i], indices[i])
                        continue
                    for xx in (cx - ring, cx + ring):
                        if 0 <= xx < dims[0]:
                            s, e = starts[row + xx], starts[row + xx + 1]
                            _scan(s, e, x, y, z, order, xyz, distances[i], indices[i])
            ring += 1
