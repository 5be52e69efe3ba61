"""Compiled loops of `deformable.sample_maps`: no sample is ever stored, threads cannot change a result.

Shapes: values (B, cells, H, D), places (B, Q, H, L, P, 2), weights (B, Q, H, L, P), out (B, Q, H, D); the maps have
sizes (L, 2) height and width, and begin at the cells first_cell (L,).
"""

import math

from numba import njit


@njit(nogil=True, cache=True, inline="always")
def _neighbours(place, height, width):
    """The cell up and left of a place, and how far the place lies from it along x and y, in cells."""
    x, y = place[0] * width - place.dtype.type(0.5), place[1] * height - place.dtype.type(0.5)
    left, top = math.floor(x), math.floor(y)
    return left, top, x - place.dtype.type(left), y - place.dtype.type(top)


@njit(nogil=True, cache=True, inline="always")
def _shares(corner, dx, dy, one):
    """How much of the place belongs to one of the four cells around it, along x and along y."""
    along_x = dx if corner % 2 else one - dx
    along_y = dy if corner // 2 else one - dy
    return along_x, along_y


@njit(nogil=True, cache=True)
def sample_range(begin, end, values, sizes, first_cell, places, weights, out):
    """Sums of the queries begin to end, counted over all samples."""
    queries, heads, levels, points = weights.shape[1:]
    one = values.dtype.type(1)
    for index in range(begin, end):
        b, q = index // queries, index % queries
        for h in range(heads):
            total = out[b, q, h]
            total[:] = 0
            for level in range(levels):
                height, width = sizes[level]
                for p in range(points):
                    left, top, dx, dy = _neighbours(places[b, q, h, level, p], height, width)
                    weight = weights[b, q, h, level, p]
                    for corner in range(4):
                        column, row = left + corner % 2, top + corner // 2
                        if 0 <= column < width and 0 <= row < height:
                            value = values[b, first_cell[level] + row * width + column, h]
                            along_x, along_y = _shares(corner, dx, dy, one)
                            share = weight * along_x * along_y
                            for c in range(total.shape[0]):
                                total[c] += share * value[c]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _dot(a, b):
    total = a.dtype.type(0)
    for c in range(a.shape[0]):
        total += a[c] * b[c]
    return total


@njit(nogil=True, cache=True)
def gradient_range(begin, end, values, sizes, first_cell, places, weights, pull, to_values, to_places, to_weights):
    """Gradients of the heads begin to end, counted over all samples; to_values must be zeros."""
    queries, heads, levels, points = weights.shape[1:]
    zero, one = values.dtype.type(0), values.dtype.type(1)
    for index in range(begin, end):
        b, h = index // heads, index % heads
        for q in range(queries):
            gradient = pull[b, q, h]
            for level in range(levels):
                height, width = sizes[level]
                for p in range(points):
                    left, top, dx, dy = _neighbours(places[b, q, h, level, p], height, width)
                    weight, to_weight, to_x, to_y = weights[b, q, h, level, p], zero, zero, zero
                    for corner in range(4):
                        column, row = left + corner % 2, top + corner // 2
                        if 0 <= column < width and 0 <= row < height:
                            cell = first_cell[level] + row * width + column
                            along_x, along_y = _shares(corner, dx, dy, one)
                            dot, share = _dot(gradient, values[b, cell, h]), weight * along_x * along_y
                            to_weight += dot * along_x * along_y
                            to_x += dot * along_y if corner % 2 else -dot * along_y
                            to_y += dot * along_x if corner // 2 else -dot * along_x
                            to_value = to_values[b, cell, h]
                            for c in range(gradient.shape[0]):
                                to_value[c] += share * gradient[c]
                    to_weights[b, q, h, level, p] = to_weight
                    to_places[b, q, h, level, p, 0] = to_x * weight * width
                    to_places[b, q, h, level, p, 1] = to_y * weight * height
