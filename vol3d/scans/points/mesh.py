"""Points on a mesh's surface, as a scanner would give them: uniform by area, whatever the triangles' sizes are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

_MIXED = ("rgb", "normal", "intensity")


def sample_surface(cloud: PointCloud, n: int, rng: np.random.Generator) -> PointCloud:
    """`n` points drawn uniformly from the area of the faces; triangles without area get none.

    Colours, normals and intensity are interpolated between the corners, normals to unit length; other columns are
    those of the nearest corner.

    Args:
        cloud: a mesh (`faces` is not None).
        n: number of points.
        rng: what draws them.

    Raises:
        DataError: no faces, faces that name missing points, or no area at all.
    """
    if cloud.faces is None or not len(cloud.faces):
        raise DataError("not a mesh: there are no faces to sample", where=cloud.source)
    if cloud.faces.min() < 0 or cloud.faces.max() >= len(cloud):
        got, wanted = (int(cloud.faces.min()), int(cloud.faces.max())), f"0 to {len(cloud) - 1}"
        raise DataError("a face names a point that is not there", where=cloud.source, got=got, wanted=wanted)
    corners = cloud.xyz.astype(np.float64)[cloud.faces]  # (F, 3 corners, 3)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    total = np.cumsum(areas)
    if not total[-1] > 0:
        raise DataError("the mesh has no area", where=cloud.source, got=f"{len(areas)} flat faces")
    faces = np.minimum(np.searchsorted(total, rng.random(n) * total[-1], side="right"), np.flatnonzero(areas)[-1])
    # Uniform on a triangle (Osada et al. 2002, Shape Distributions, eq. 1).
    root, along = np.sqrt(rng.random(n)), rng.random(n)
    weights = np.stack((1 - root, root * (1 - along), root * along), axis=1)
    xyz = np.einsum("nc,ncd->nd", weights, corners[faces]).astype(np.float32)
    chosen = cloud.faces[faces]
    columns = {name: _interpolated(name, values, chosen, weights) for name, values in cloud.columns.items()}
    text = "{points} points were drawn from the surface of {triangles} triangles"
    note = Note("surface-sampled", text, numbers={"points": n, "triangles": len(cloud.faces)})
    return replace(cloud, xyz=xyz, columns=columns, faces=None, notes=(*cloud.notes, note))


def _interpolated(name: str, values: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (V, ...) at the points whose corners (n, 3) and weights (n, 3) are given."""
    if name not in _MIXED:
        return values[corners[np.arange(len(corners)), weights.argmax(axis=1)]]
    mixed = np.einsum("nc,nc...->n...", weights, values[corners].astype(np.float64))
    if name == "normal":
        mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    return np.rint(mixed).astype(np.uint8) if name == "rgb" else mixed.astype(np.float32)
