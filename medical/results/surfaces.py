"""The surface of each class of a mask as triangles, for printers and planning tools: STL, PLY or OBJ.

Lorensen and Cline, "Marching cubes" (SIGGRAPH 1987), halfway between voxels inside and outside; smoothed on request as
Taubin does (SIGGRAPH 1995), which keeps the volume. Coordinates are DICOM's, millimetres to the patient's left, back
and head (LPS), as 3D Slicer has them, and the files say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from vol3d.errors import Vol3dError
from vol3d.files import atomic
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Segmentation

MeshFormat = Literal["stl", "ply", "obj"]
SPACE = "SPACE=LPS"
"""As 3D Slicer marks the axes of a surface."""


def surface(segmentation: Segmentation, label: int, smooth: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) float64 in LPS millimetres and triangles (m, 3) of a class, counter-clockwise from outside.

    A class that touches the border of the scan is closed there. Without any voxel there is nothing.

    Args:
        smooth: rounds of Taubin's smoothing.

    Raises:
        Vol3dError: scikit-image or trimesh is not installed.
    """
    mesh = _mesh(segmentation, label, smooth)
    if mesh is None:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    return np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)


def _mesh(segmentation: Segmentation, label: int, smooth: int) -> Any:
    """Trimesh's; None of a class without a voxel."""
    trimesh, marching_cubes = _packages()
    inside = segmentation.labels == label
    spans = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(spans[0]):
        return None
    low = np.array([span[0] for span in spans])
    part = inside[tuple(slice(span[0], span[-1] + 1) for span in spans)]
    vertices, faces, _, _ = marching_cubes(np.pad(part, 1).astype(np.float32), 0.5, allow_degenerate=False)

    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ segmentation.grid.affine
    vertices = (vertices - 1 + low) @ to_lps[:3, :3].T + to_lps[:3, 3]
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if mesh.volume < 0:
        mesh.invert()
    if smooth:
        trimesh.smoothing.filter_taubin(mesh, iterations=smooth)
    return mesh


def write_surface(
    prediction: MaskPrediction, path: Path, label: int, form: MeshFormat, smooth: int
) -> tuple[Note, ...]:
    """Writes a class; one that was not found has no file."""
    mesh = _mesh(prediction.segmentation, label, smooth)
    if mesh is None:
        path.unlink(missing_ok=True)
        name = prediction.class_names[label]
        return (Note("no-surface", "{value} was not found: no surface", value=name),)
    with atomic(path) as temporary:
        temporary.write_bytes(_exported(mesh, form))
    return ()


def _exported(mesh: Any, form: MeshFormat) -> bytes:
    from trimesh.exchange import obj, ply, stl

    mark = f"vol3d surface; {SPACE}; mm"
    if form == "stl":
        return mark.encode().ljust(80, b"\0") + stl.export_stl(mesh)[80:]
    if form == "ply":
        version = b"format binary_little_endian 1.0\n"
        return ply.export_ply(mesh, vertex_normal=False).replace(version, version + f"comment {mark}\n".encode(), 1)
    return obj.export_obj(mesh, include_normals=False, header=mark).encode()


def _packages() -> tuple[Any, Any]:
    try:
        import trimesh
        import trimesh.smoothing
        from skimage.measure import marching_cubes
    except ImportError as fault:
        do = 'Run `pip install "vol3d[surfaces]"`.'
        raise Vol3dError("surfaces need the packages scikit-image and trimesh", do=do) from fault
    return trimesh, marching_cubes
