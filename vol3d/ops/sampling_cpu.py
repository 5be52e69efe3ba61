"""Farthest-point sampling on the CPU: compiled loops over clouds, each the same picks as the plain algorithm.

A cloud is sorted along a Morton curve and cut into buckets with a bounding box each. A new pick can only change points
of a bucket if it is nearer to the bucket's box than the bucket's farthest point is to the picks, so most buckets
are left alone. Rounding is monotone, hence the bound holds for the computed distances too and the picks are exact.
"""

import numpy as np
from numba import njit

BUCKET = 64  # points; smaller tests more boxes, larger touches more points
NEAR_ORIGIN = 1e-3  # squared metres, see `sampling.farthest_point_sample`
# No contraction and no reordering of sums: `(dx * dx + dy * dy) + dz * dz` rounds alike in the box and the point test.
_SAFE = {"nnan", "nsz"}


@njit(nogil=True, cache=True)
def _spread(v):
    """The bits of v (at most 10) with two zeros between each."""
    v = (v | (v << 16)) & 0x030000FF
    v = (v | (v << 8)) & 0x0300F00F
    v = (v | (v << 4)) & 0x030C30C3
    return (v | (v << 2)) & 0x09249249


@njit(nogil=True, cache=True)
def _morton_order(points, n):
    """Order of the first n points along a Morton curve; points of one cell stay in their order."""
    bits = 5 if n < 100_000 else 6
    low, extent = np.empty(3), 1e-30
    for a in range(3):
        column = points[:n, a]
        low[a] = column.min()
        extent = max(extent, float(column.max()) - low[a])
    scale = ((1 << bits) - 1) / extent
    code = np.empty(n, np.int32)
    starts = np.zeros((1 << (3 * bits)) + 1, np.int32)
    for i in range(n):
        code[i] = 0
        for a in range(3):
            code[i] |= _spread(int((points[i, a] - low[a]) * scale)) << a
        starts[code[i] + 1] += 1
    for c in range(starts.shape[0] - 1):
        starts[c + 1] += starts[c]
    order = np.empty(n, np.int32)
    for i in range(n):
        order[starts[code[i]]] = i
        starts[code[i]] += 1
    return order


@njit(nogil=True, cache=True, fastmath=_SAFE)
def _boxes(xyz, n):
    """Lowest and highest x, y, z of each bucket: (6, buckets)."""
    buckets = (n + BUCKET - 1) // BUCKET
    boxes = np.empty((6, buckets), xyz.dtype)
    for b in range(buckets):
        for a in range(3):
            part = xyz[a, b * BUCKET : min(n, (b + 1) * BUCKET)]
            boxes[a, b], boxes[a + 3, b] = part.min(), part.max()
    return boxes


@njit(nogil=True, cache=True, fastmath=_SAFE)
def _approach(x, y, z, px, py, pz, nearest):
    """Lowers each point's squared distance to the picks by the pick x, y, z; returns the largest left."""
    farthest = nearest.dtype.type(-1)
    for j in range(nearest.shape[0]):
        dx, dy, dz = px[j] - x, py[j] - y, pz[j] - z
        d = min(nearest[j], (dx * dx + dy * dy) + dz * dz)
        nearest[j] = d
        farthest = max(farthest, d)
    return farthest


@njit(nogil=True, cache=True, fastmath=_SAFE)
def _box_distances(x, y, z, boxes, out):
    zero = out.dtype.type(0)
    for b in range(out.shape[0]):
        dx = max(max(boxes[0, b] - x, x - boxes[3, b]), zero)
        dy = max(max(boxes[1, b] - y, y - boxes[4, b]), zero)
        dz = max(max(boxes[2, b] - z, z - boxes[5, b]), zero)
        out[b] = (dx * dx + dy * dy) + dz * dz


@njit(nogil=True, cache=True)
def _lowest_index(order, nearest, farthest, value, n):
    """Sorted position of the point of lowest index among those at distance `value`: ties go to the first point."""
    best = -1
    for b in range(farthest.shape[0]):
        if farthest[b] == value:
            for j in range(b * BUCKET, min(n, (b + 1) * BUCKET)):
                if nearest[j] == value and (best < 0 or order[j] < order[best]):
                    best = j
    return best


@njit(nogil=True, cache=True)
def _sample_cloud(points, n, start, skip_near_origin, picks):
    order = _morton_order(points, n)
    xyz = np.empty((3, n), points.dtype)
    nearest = np.full(n, np.inf, points.dtype)
    position = np.empty(n, np.int32)
    for j in range(n):
        for a in range(3):
            xyz[a, j] = points[order[j], a]
        position[order[j]] = j
        norm = (xyz[0, j] * xyz[0, j] + xyz[1, j] * xyz[1, j]) + xyz[2, j] * xyz[2, j]
        if skip_near_origin and norm <= NEAR_ORIGIN:
            nearest[j] = -1
    boxes = _boxes(xyz, n)
    bounds = np.empty(boxes.shape[1], points.dtype)
    farthest = np.full(boxes.shape[1], np.inf, points.dtype)
    current = position[start]
    for i in range(picks.shape[0]):
        picks[i] = order[current]
        x, y, z = xyz[0, current], xyz[1, current], xyz[2, current]
        _box_distances(x, y, z, boxes, bounds)
        for b in range(bounds.shape[0]):
            if bounds[b] < farthest[b]:
                s, e = b * BUCKET, min(n, (b + 1) * BUCKET)
                farthest[b] = _approach(x, y, z, xyz[0, s:e], xyz[1, s:e], xyz[2, s:e], nearest[s:e])
        value = farthest.max()
        current = position[0] if value < 0 else _lowest_index(order, nearest, farthest, value, n)


@njit(nogil=True, cache=True)
def sample_clouds(first, last, points, counts, starts, skip_near_origin, picks):
    """Clouds first..last of points (B, N, 3) with counts (B,) and starts (B,): writes picks (B, k)."""
    for cloud in range(first, last):
        if counts[cloud] > 0:
            _sample_cloud(points[cloud], counts[cloud], starts[cloud], skip_near_origin, picks[cloud])


@njit(nogil=True, cache=True, fastmath=_SAFE)
def _approach_features(features, n, pick, nearest):
    for j in range(n):
        d = features.dtype.type(0)
        for c in range(features.shape[1]):
            e = features[j, c] - features[pick, c]
            d += e * e
        nearest[j] = min(nearest[j], d)


@njit(nogil=True, cache=True)
def sample_features(first, last, features, counts, starts, picks):
    """As `sample_clouds` for points of any number of dimensions, every distance computed."""
    for cloud in range(first, last):
        n, pick = counts[cloud], starts[cloud]
        nearest = np.full(n, np.inf, features.dtype)
        for i in range(picks.shape[1] if n > 0 else 0):
            picks[cloud, i] = pick
            _approach_features(features[cloud], n, pick, nearest)
            pick = np.argmax(nearest)


@njit(nogil=True, cache=True)
def sample_distances(first, last, distances, counts, starts, picks):
    """As `sample_features` from given distances (B, N, N): row i holds the distances from point i."""
    for cloud in range(first, last):
        n, pick = counts[cloud], starts[cloud]
        nearest = np.full(n, np.inf, distances.dtype)
        for i in range(picks.shape[1] if n > 0 else 0):
            picks[cloud, i] = pick
            for j in range(n):
                nearest[j] = min(nearest[j], distances[cloud, pick, j])
            pick = np.argmax(nearest)
