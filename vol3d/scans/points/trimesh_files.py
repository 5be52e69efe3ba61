"""Meshes in Wavefront OBJ and binary glTF (GLB) through trimesh, an optional package: corners and triangles.

glTF 2.0 states metres and y up (section 3.4); OBJ states neither. The surface is sampled later, where a mesh becomes
points, by `sample_surface`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.notes import Note
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import COPY, RawPoints

INSTALL = "Run `pip install 'vol3d[surfaces]'`."


def read_trimesh(path: Path) -> RawPoints:
    """Corners with their colours, and triangles, of all parts in their places; an OBJ without faces is points alone.

    Raises:
        DataError: damaged, cut or without a corner.
        Vol3dError: trimesh is not installed.
    """
    try:
        import trimesh
    except ImportError as fault:
        raise Vol3dError(f"{path.suffix} files need the package trimesh", where=path, do=INSTALL) from fault
    try:
        loaded = trimesh.load_scene(path, process=False, skip_materials=True)
        parts = [part for part in loaded.dump() if len(getattr(part, "vertices", ()))]
        corners, faces, colours = _joined(parts)
    except Exception as fault:  # trimesh, struct, JSON and NumPy each raise their own
        got = f"{type(fault).__name__}: {str(fault)[:200]}"
        raise DataError("a damaged or cut mesh", where=path, got=got, do=COPY) from fault
    if not len(corners):
        raise DataError("no points in the file", where=path)

    fields = dict(zip("xyz", corners.T, strict=True))
    notes: tuple[Note, ...] = ()
    if colours is not None:
        fields["rgb"] = colours
    elif any(_is_textured(part) for part in parts):
        notes = (Note("texture-not-read", "the colours of the texture were not read"),)
    glb = path.suffix.lower() == ".glb"
    return RawPoints(
        fields, faces if len(faces) else None, notes, "y" if glb else None, StatedUnit(1.0) if glb else None
    )


def _joined(parts: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(V, 3) corners, (F, 3) triangles and (V, 3) colours, which are None unless every part has some."""
    corners: list[np.ndarray] = [np.zeros((0, 3))]
    faces: list[np.ndarray] = [np.zeros((0, 3), np.int64)]
    colours: list[np.ndarray | None] = []
    begin = 0
    for part in parts:
        corners.append(np.asarray(part.vertices, np.float64))
        faces.append(np.asarray(getattr(part, "faces", faces[0]), np.int64).reshape(-1, 3) + begin)
        colours.append(_colours(part))
        begin += len(part.vertices)
    known = [colour for colour in colours if colour is not None]
    rgb = np.concatenate(known) if known and len(known) == len(parts) else None
    return np.concatenate(corners), np.concatenate(faces), rgb


def _colours(part: Any) -> np.ndarray | None:
    """(V, 3) uint8 of a part's corners; None where it has none."""
    visual: Any = getattr(part, "visual", None)
    colours = visual.vertex_colors if getattr(visual, "kind", None) == "vertex" else getattr(part, "colors", None)
    known = colours is not None and np.shape(colours)[:1] == (len(part.vertices),) and np.ndim(colours) == 2
    return np.asarray(colours)[:, :3].astype(np.uint8) if known else None


def _is_textured(part: Any) -> bool:
    return getattr(getattr(part, "visual", None), "kind", None) == "texture"
