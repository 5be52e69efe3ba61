"""Depth images of coarse faces: the ray of each pixel is cast on the planes of the triangles that cover it.

Camera frame: x right, y down, z forward, a pinhole whose axis meets the middle of the image.
"""

from __future__ import annotations

import numpy as np
from numba import njit

NOTHING = -1  # in place of a face where a ray meets none


def depth_image(corners: np.ndarray, size: tuple[int, int], focal: float) -> tuple[np.ndarray, np.ndarray]:
    """What a pinhole camera sees of faces.

    Args:
        corners: (Q, 4, 3) metres in the camera's frame.
        size: width and height in pixels.
        focal: length in pixels.

    Returns:
        (H, W) metres along the axis, infinite where nothing is; (H, W) int64 index of the face, `NOTHING` likewise.
    """
    depth, face = np.empty((size[1], size[0])), np.empty((size[1], size[0]), np.int64)
    draw(np.ascontiguousarray(corners), float(focal), depth, face)
    return depth, face


@njit(nogil=True, cache=True)
def draw(corners, focal, depth, face):
    """The same into images that are there, for many views."""
    depth[:], face[:] = np.inf, NOTHING
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
                _fill(clipped, n, focal, q, depth, face)


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
def _fill(polygon, n, focal, q, depth, face):
    """Draws a convex polygon row by row; the depth of a pixel is where its ray meets the polygon's plane."""
    height, width = depth.shape
    a, b, c = polygon[0], polygon[1], polygon[2]
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    offset = nx * a[0] + ny * a[1] + nz * a[2]
    if nx * nx + ny * ny + nz * nz < 1e-16:
        return
    u, v = np.empty(n), np.empty(n)
    for i in range(n):
        u[i] = polygon[i, 0] / polygon[i, 2] * focal + width / 2
        v[i] = polygon[i, 1] / polygon[i, 2] * focal + height / 2
    for row in range(max(0, int(np.ceil(v.min() - 0.5))), min(height - 1, int(np.floor(v.max() - 0.5))) + 1):
        y, left, right = row + 0.5, np.inf, -np.inf
        for i in range(n):
            k = (i + 1) % n
            if (v[i] <= y) != (v[k] <= y):
                x = u[i] + (y - v[i]) / (v[k] - v[i]) * (u[k] - u[i])
                left, right = min(left, x), max(right, x)
        if left > right:
            continue
        ray_y = (y - height / 2) / focal
        for column in range(max(0, int(np.ceil(left - 0.5))), min(width - 1, int(np.floor(right - 0.5))) + 1):
            slope = nx * (column + 0.5 - width / 2) / focal + ny * ray_y + nz
            if slope * offset > 0:
                z = offset / slope
                if z < depth[row, column]:
                    depth[row, column], face[row, column] = z, q
