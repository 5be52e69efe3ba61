"""Which vertices the cameras see: a depth image of the coarse faces for each look, then a test of every vertex.

The cameras are pinholes with a focal length of `FOCAL` pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pointcloud.generate.rooms.depth_images import draw

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
    strongest = np.zeros(len(xyz))
    depth, face = np.empty((HEIGHT, WIDTH)), np.empty((HEIGHT, WIDTH), np.int64)
    for view, (centre, rotation) in enumerate(zip(centres, rotations, strict=True)):
        draw((corners - centre) @ rotation.T, FOCAL, depth, face)
        _look(view, centre, rotation, depth, xyz, normals, evidence, strongest, best)
    return evidence, best


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
