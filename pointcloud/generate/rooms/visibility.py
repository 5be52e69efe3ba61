"""Which vertices the cameras see: a depth image of the coarse faces for each look, then a test of every vertex.

A depth image is made by casting the ray of each pixel on the planes of the triangles that cover it. Camera frame: x
right, y down, z forward, a pinhole with `FOCAL` pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WIDTH, HEIGHT, FOCAL = 240, 180, 200.0  # a field of view of 62 x 48 degrees, that of the sensors used for ScanNet
NEAR, FAR = 0.25, 5.0  # metres


def seen_from(
    corners: np.ndarray, xyz: np.ndarray, normals: np.ndarray, centres: np.ndarray, rotations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well each vertex is seen, and the view that sees it best.

    Args:
        corners: (Q, 4, 3) all faces of the room.
        xyz, normals: (N, 3) vertices.
        centres, rotations: (V, 3), (V, 3, 3) cameras.

    Returns:
        (N,) the sum over views of cos(incidence) / distance², 0 where hidden; (N,) the number of the view, -1 if none.
    """
    evidence, best = np.zeros(len(xyz)), np.full(len(xyz), -1)
    strongest, depth = np.zeros(len(xyz)), np.empty((HEIGHT, WIDTH))
    for view, (centre, rotation) in enumerate(zip(centres, rotations, strict=True)):
        _draw((corners - centre) @ rotation.T, depth)
        _look(view, centre, rotation, depth, xyz, normals, evidence, strongest, best)
    return evidence, best


@njit(nogil=True, cache=True)
def _draw(corners, depth):
    """The nearest depth along the ray of each pixel, of faces in the camera's frame."""
    depth[:] = np.inf
    polygon, clipped = np.empty((3, 3)), np.empty((4, 3))
    for q in range(len(corners)):
        if max(corners[q, 0, 2], corners[q, 1, 2], corners[q, 2, 2], corners[q, 3, 2]) < 0.05:
            continue
        for half in range(2):
            for a in range(3):
                polygon[0, a] = corners[q, 0, a]
                polygon[1, a] = corners[q, 1 + half, a]
                polygon[2, a] = corners[q, 2 + half, a]
            n = _clip(polygon, clipped)
            if n >= 3:
                _fill(clipped, n, depth)


@njit(nogil=True, cache=True)
def _clip(polygon, clipped):
    """The part of a triangle in front of the camera: its number of corners."""
    n, near = 0, 0.05
    for i in range(3):
        a, b = polygon[i], polygon[(i + 1) % 3]
        if a[2] >= near:
            clipped[n] = a
            n += 1
        if (a[2] >= near) != (b[2] >= near):
            t = (near - a[2]) / (b[2] - a[2])
            clipped[n] = a + t * (b - a)
            n += 1
    return n


@njit(nogil=True, cache=True)
def _fill(polygon, n, depth):
    """Draws a convex polygon row by row; the depth of a pixel is where its ray meets the polygon's plane."""
    a, b, c = polygon[0], polygon[1], polygon[2]
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    offset = nx * a[0] + ny * a[1] + nz * a[2]
    if nx * nx + ny * ny + nz * nz < 1e-16:
        return
    u, v = np.empty(n), np.empty(n)
    for i in range(n):
        u[i] = polygon[i, 0] / polygon[i, 2] * FOCAL + WIDTH / 2
        v[i] = polygon[i, 1] / polygon[i, 2] * FOCAL + HEIGHT / 2
    for row in range(max(0, int(np.ceil(v.min() - 0.5))), min(HEIGHT - 1, int(np.floor(v.max() - 0.5))) + 1):
        y, left, right = row + 0.5, np.inf, -np.inf
        for i in range(n):
            k = (i + 1) % n
            if (v[i] <= y) != (v[k] <= y):
                x = u[i] + (y - v[i]) / (v[k] - v[i]) * (u[k] - u[i])
                left, right = min(left, x), max(right, x)
        if left > right:
            continue
        ray_y = (y - HEIGHT / 2) / FOCAL
        for column in range(max(0, int(np.ceil(left - 0.5))), min(WIDTH - 1, int(np.floor(right - 0.5))) + 1):
            slope = nx * (column + 0.5 - WIDTH / 2) / FOCAL + ny * ray_y + nz
            if slope * offset > 0:
                z = offset / slope
                if z < depth[row, column]:
                    depth[row, column] = z


@njit(nogil=True, cache=True)
def _look(view, centre, rotation, depth, xyz, normals, evidence, strongest, best):
    """Adds what one camera sees of the vertices that face it and that nothing nearer hides."""
    for i in range(len(xyz)):
        dx, dy, dz = xyz[i, 0] - centre[0], xyz[i, 1] - centre[1], xyz[i, 2] - centre[2]
        z = rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz
        if z < NEAR or z > FAR:
            continue
        u = (rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz) / z * FOCAL + WIDTH / 2
        v = (rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz) / z * FOCAL + HEIGHT / 2
        if u < 0 or v < 0 or u >= WIDTH or v >= HEIGHT:
            continue
        distance = np.sqrt(dx * dx + dy * dy + dz * dz)
        cosine = -(normals[i, 0] * dx + normals[i, 1] * dy + normals[i, 2] * dz) / distance
        # Half a pixel to the side a slanted face is nearer by this much, and the sensor cannot resolve less than 2 cm.
        if cosine < 0.05 or z > depth[int(v), int(u)] + 0.02 + 0.5 * z / FOCAL * min(1 / cosine, 8.0):
            continue
        weight = cosine / (distance * distance)
        evidence[i] += weight
        if weight > strongest[i]:
            strongest[i], best[i] = weight, view
