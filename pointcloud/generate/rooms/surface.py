"""Faces cut into a fine triangle mesh: the vertices that a scan of them could consist of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from pointcloud.generate.rooms.quads import Quads


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh.

    Args:
        xyz: (N, 3) metres.
        normals: (N, 3) outward, of length 1.
        face_of_vertex: (N,) the coarse face that each vertex was cut from.
        triangles: (T, 3) vertices.
    """

    xyz: np.ndarray
    normals: np.ndarray
    face_of_vertex: np.ndarray
    triangles: np.ndarray


def normals_of(corners: np.ndarray) -> np.ndarray:
    """Unit normals (Q, 3) of faces (Q, 4, 3): across the diagonals, so that two corners may be equal."""
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def tessellate(quads: Quads, object_of_face: np.ndarray, spacing: float) -> Surface:
    """Cuts faces into cells of about `spacing` metres; vertices of one object closer than half of that become one."""
    corners = np.ascontiguousarray(quads.corners)
    sides = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    cells = np.ceil(np.stack([np.maximum(sides[:, 0], sides[:, 2]), np.maximum(sides[:, 1], sides[:, 3])], 1) / spacing)
    cells = np.maximum(cells, 1).astype(np.int64)
    vertices, triangles = (cells + 1).prod(axis=1), 2 * cells.prod(axis=1)
    first_vertex, first_triangle = np.cumsum(vertices) - vertices, np.cumsum(triangles) - triangles
    xyz = np.empty((int(vertices.sum()), 3))
    mesh = np.empty((int(triangles.sum()), 3), np.int64)
    _cut(corners, cells, first_vertex, first_triangle, xyz, mesh)
    face_of_vertex = np.repeat(np.arange(len(corners)), vertices)
    kept, vertex_of = _weld(xyz, object_of_face[face_of_vertex], spacing / 2)
    mesh = vertex_of[mesh]
    mesh = mesh[(mesh[:, 0] != mesh[:, 1]) & (mesh[:, 1] != mesh[:, 2]) & (mesh[:, 2] != mesh[:, 0])]
    faces = face_of_vertex[kept]
    return Surface(xyz[kept], normals_of(corners)[faces], faces, mesh)


@njit(nogil=True, cache=True)
def _cut(corners, cells, first_vertex, first_triangle, xyz, triangles):
    """Bilinear grids on all faces."""
    for q in range(len(corners)):
        columns, rows = cells[q, 0], cells[q, 1]
        vertex, triangle = first_vertex[q], first_triangle[q]
        for j in range(rows + 1):
            v = j / rows
            for i in range(columns + 1):
                u = i / columns
                for a in range(3):
                    low = (1 - u) * corners[q, 0, a] + u * corners[q, 1, a]
                    high = (1 - u) * corners[q, 3, a] + u * corners[q, 2, a]
                    xyz[vertex + j * (columns + 1) + i, a] = (1 - v) * low + v * high
        for j in range(rows):
            for i in range(columns):
                here = vertex + j * (columns + 1) + i
                above = here + columns + 1
                triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2] = here, here + 1, above + 1
                triangle += 1
                triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2] = here, above + 1, above
                triangle += 1


def _weld(xyz: np.ndarray, objects: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that stay, and for each vertex the number of the one that stands for it: one in a cell of an object."""
    cells = np.floor(xyz / cell + 0.5).astype(np.int64)
    cells -= cells.min(axis=0)
    extent = cells.max(axis=0) + 1
    key = ((objects * extent[0] + cells[:, 0]) * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]
    _, kept, vertex_of = np.unique(key, return_index=True, return_inverse=True)
    return kept, vertex_of.reshape(-1)
