"""Compiled loops of `voxel_encoders.PointStack` at prediction: each voxel's points, from the cloud to its feature.

A few hundred points at a time go through all layers, so that nothing leaves the cache, and threads cannot change a
result. All of it is float32. The norms are folded into the weights.
"""

import math

import numpy as np
from numba import njit

from vol3d.sparse.backends.numba_kernels import COLUMNS, LANES, multiply_block

_ROWS = 512  # points that go through the layers together, at least those of one voxel


def padded(width: int) -> int:
    """Columns that a layer's output has here: whole vectors."""
    return -(-width // LANES) * LANES


def panels(weight: np.ndarray) -> np.ndarray:
    """A matrix (inputs, W) as `_add_map` reads it, flat: blocks of columns one after another, padded with zeros."""
    wide = np.zeros((len(weight), padded(weight.shape[1])), np.float32)
    wide[:, : weight.shape[1]] = weight
    return np.concatenate([wide[:, at : at + COLUMNS].ravel() for at in range(0, wide.shape[1], COLUMNS)])


@njit(nogil=True, cache=True)
def _add_map(rows, n, depth, weights, width, numbers, out):
    """out[i] += rows[i, :depth] @ weights for i < n, `width` columns of it; numbers: 0, 1, 2 ... int32."""
    a, w, o, every = rows.ctypes.data, weights.ctypes.data, out.ctypes.data, numbers.ctypes.data
    for column in range(0, width, COLUMNS):
        wide, panel = min(COLUMNS, width - column), w + 4 * column * depth
        multiply_block(wide, n, a, every, 4 * rows.shape[1], panel, o + 4 * column, every, 4 * out.shape[1], depth)


@njit(nogil=True, cache=True, error_model="numpy")
def _gather(points, order, first, count, centres, voxel, choice, rows, at):
    """Fills `count` rows from `at` on with what the first layer sees of a voxel's points: see `PointStack._inputs`."""
    cluster, axes, replace, distance, _ = choice
    columns = points.shape[1]
    x, y, z = np.float32(0), np.float32(0), np.float32(0)
    for p in range(first, first + count):
        x, y, z = x + points[order[p], 0], y + points[order[p], 1], z + points[order[p], 2]
    x, y, z = x / np.float32(count), y / np.float32(count), z / np.float32(count)

    for p in range(count):
        point, row, end = order[first + p], at + p, columns
        for c in range(columns):
            rows[row, c] = points[point, c]
        if cluster:
            rows[row, end] = points[point, 0] - x
            rows[row, end + 1] = points[point, 1] - y
            rows[row, end + 2] = points[point, 2] - z
            end += 3
        for c in range(axes):
            away = points[point, c] - centres[voxel, c]
            rows[row, end + c] = away
            if replace:
                rows[row, c] = away
        if distance:
            square = rows[row, 0] * rows[row, 0] + rows[row, 1] * rows[row, 1] + rows[row, 2] * rows[row, 2]
            rows[row, end + axes] = math.sqrt(square)


@njit(nogil=True, cache=True)
def _pool(rows, starts, counts, voxels, base, bias, zeroed, last, width, top):
    """Adds what each voxel begins with to its rows, ReLU, and the maximum over them.

    Where empty places are `zeroed` after each layer, they begin with the bias alone, and the last maximum leaves them
    out: it is not below zero without them. NaN stays, so that it shows in the result.
    """
    for v in range(voxels):
        for w in range(width):
            top[v, w] = 0
        for r in range(starts[v], starts[v + 1]):
            empty = zeroed and r == starts[v] + counts[v]
            for w in range(0 if empty and last else width):
                value = rows[r, w] + (bias[w] if empty else base[v, w])
                value = value if not value < 0 else np.float32(0)
                rows[r, w] = np.float32(0) if empty else value
                top[v, w] = value if (value > top[v, w]) | (value != value) else top[v, w]


@njit(nogil=True, cache=True)
def _layers(rows, spare, starts, counts, voxels, zeroed, weights, biases, sizes, numbers, base, top):
    """The feature of each voxel, in `top`, from its rows: its points, then an empty place if it has one.

    A layer's maximum is the same for all points of a voxel, so its share of the next map is computed once.
    """
    n, last = starts[voxels], sizes.shape[0] - 1
    for layer in range(sizes.shape[0]):
        own, width = sizes[layer]
        base[:voxels] = biases[layer]
        if layer:
            _add_map(top, voxels, own, weights[layer, 1], width, numbers, base)
        spare[:n] = 0
        _add_map(rows, n, own, weights[layer, 0], width, numbers, spare)
        rows, spare = spare, rows
        _pool(rows, starts, counts, voxels, base, biases[layer], zeroed, layer == last, width, top)


@njit(nogil=True, cache=True)
def encode_range(begin, end, points, order, first, centres, room, choice, weights, biases, sizes, out):
    """Features of the voxels begin to end.

    Args:
        points: (N, C); `order` and `first`: the rows of each voxel's points, as of `rows_cpu.group`.
        centres: (V, 3).
        room: points that are kept of a voxel; one with fewer has an empty place. 0: all are kept, none is empty.
        choice: whether to take the offset from the mean, axes of the offset from the centre, whether these replace the
            place, whether to take the distance, whether empty places are zeroed after each layer.
        weights: (L, 2, size) `panels` of what multiplies a layer's own rows, and of what multiplies their maximum.
        biases: (L, W); `sizes`: (L, 2) inputs and padded outputs of each layer.
        out: (V, width of the last layer).
    """
    most = 1
    for v in range(begin, end):
        most = max(most, first[v + 1] - first[v])
    most = max(_ROWS, 1 + (min(most, room) if room else most))
    wide = max(sizes[0, 0], biases.shape[1])
    rows, spare = np.empty((most, wide), np.float32), np.empty((most, wide), np.float32)
    base, top = np.empty((most, biases.shape[1]), np.float32), np.empty((most, biases.shape[1]), np.float32)
    starts, counts, numbers = np.zeros(most + 1, np.int64), np.empty(most, np.int64), np.arange(most).astype(np.int32)

    v = begin
    while v < end:
        voxels = 0
        while v + voxels < end:
            at, own = starts[voxels], v + voxels
            count = first[own + 1] - first[own]
            count = min(count, room) if room else count
            here = at + count + (count < room)
            if here > most:
                break
            _gather(points, order, first[own], count, centres, own, choice, rows, at)
            rows[at + count : here] = 0
            counts[voxels], starts[voxels + 1] = count, here
            voxels += 1
        _layers(rows, spare, starts, counts, voxels, choice[4], weights, biases, sizes, numbers, base, top)
        for i in range(voxels):
            out[v + i] = top[i, : out.shape[1]]
        v += voxels
