"""Solids that beams meet: convex bodies with flat faces, upright cones, ellipsoids, and how to place them.

A body made of several solids is a `Shape`, in metres, with x along its heading and z up from the ground under its
middle. Faces have materials (`materials`), so that a beam can pass through the windows of a car and meet its seats; a
solid with a density is porous, and a beam gets the farther into it the less dense it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONVEX, CONE, BALL = 0, 1, 2
KIND, X, Y, Z, A, B, C, YAW, REACH, DENSITY, MATERIAL, ALBEDO, COLUMNS = range(13)
"""Columns of a solid: x y z of its middle (of a cone: of its foot); three sizes (of a convex solid: its first face and
their number; of a cone: both radii and the height; of an ellipsoid: its half axes); radius of a sphere about x y z that
holds it; mean number of hits in a metre, 0 for one that is not porous; material; share of light given back."""
FACE_COLUMNS = 5
"""Of a face: its outward normal, its distance from the middle of the solid, its material."""


class Shape(NamedTuple):
    """Solids (n, 12) and the faces (m, 5) of the convex ones, as the columns above."""

    solids: np.ndarray
    faces: np.ndarray


def convex(
    middle: Sequence[float], faces: Sequence[tuple[float, ...]], reach: float, albedo: float, density: float = 0.0
) -> Shape:
    """A convex solid from faces `nx ny nz distance material` about `middle`; normals of any length."""
    table = np.array(faces, np.float64)
    table[:, :4] /= np.linalg.norm(table[:, :3], axis=1, keepdims=True)
    row = (CONVEX, *middle, 0, len(table), 0, 0, reach, density, table[0, 4], albedo)
    return Shape(np.array([row], np.float64), table)


def box(
    middle: Sequence[float], size: Sequence[float], material: int, albedo: float, yaw: float = 0.0, density: float = 0.0
) -> Shape:
    """An upright box; sizes are whole lengths."""
    a, b, c = (one / 2 for one in size)
    faces = [(1, 0, 0, a), (-1, 0, 0, a), (0, 1, 0, b), (0, -1, 0, b), (0, 0, 1, c), (0, 0, -1, c)]
    made = convex(middle, [(*face, material) for face in faces], float(np.hypot(np.hypot(a, b), c)), albedo, density)
    made.solids[:, YAW] = yaw
    return made


def prism(
    profile: Sequence[tuple[float, float, int]],
    half_width: float,
    albedo: float,
    side: int,
    lean: float = 0.0,
    bevel: float = 0.0,
    bow: float = 0.0,
) -> Shape:
    """A convex outline, seen from the side, drawn out across the heading: the body of a car, or its roof.

    Args:
        profile: `x z material` of the corners, all the way round; the material is that of the edge to the next corner.
        half_width: metres, at the lowest corner.
        side: material of both sides.
        lean: metres by which a side moves inward in a metre of height.
        bevel: metres that are cut from the four upright edges, along and across.
        bow: metres by which the middle of either end stands out.
    """
    xz = np.array([corner[:2] for corner in profile], np.float64)
    (x0, z0), (x1, z1) = xz.min(axis=0), xz.max(axis=0)
    middle = ((x0 + x1) / 2, 0.0, (z0 + z1) / 2)
    at = xz - [middle[0], middle[2]]
    edge = np.roll(at, -1, axis=0) - at
    turn = np.sign((edge[:, 0] * np.roll(edge, -1, axis=0)[:, 1] - edge[:, 1] * np.roll(edge, -1, axis=0)[:, 0]).sum())
    normals = turn * np.column_stack([edge[:, 1], -edge[:, 0]])
    faces = [
        (nx, 0.0, nz, nx * x + nz * z, corner[2]) for (nx, nz), (x, z), corner in zip(normals, at, profile, strict=True)
    ]
    across = half_width - lean * (middle[2] - z0)
    faces += [(0.0, sign, lean, across, side) for sign in (-1.0, 1.0)]
    if bevel:
        cut = (x1 - x0) / 2 + half_width - bevel
        faces += [(ahead, sign, 0.0, cut, side) for ahead in (-1.0, 1.0) for sign in (-1.0, 1.0)]
    if bow:
        slope = bow / half_width
        faces += [(ahead, sign * slope, 0.0, (x1 - x0) / 2, side) for ahead in (-1.0, 1.0) for sign in (-1.0, 1.0)]
    reach = float(np.linalg.norm([(x1 - x0) / 2, half_width, (z1 - z0) / 2]))
    return convex(middle, faces, reach, albedo)


def cone(
    foot: Sequence[float], radii: tuple[float, float], height: float, material: int, albedo: float, density: float = 0.0
) -> Shape:
    """The mantle of an upright cone: radii below and above."""
    reach = float(np.hypot(max(radii), height))
    row = (CONE, *foot, *radii, height, 0, reach, density, material, albedo)
    return Shape(np.array([row], np.float64), np.zeros((0, FACE_COLUMNS)))


def ball(
    middle: Sequence[float], half_axes: Sequence[float], material: int, albedo: float, density: float = 0.0
) -> Shape:
    """An ellipsoid."""
    row = (BALL, *middle, *half_axes, 0, max(half_axes), density, material, albedo)
    return Shape(np.array([row], np.float64), np.zeros((0, FACE_COLUMNS)))


def join(shapes: Sequence[Shape]) -> Shape:
    """One shape of many, in their order."""
    if not shapes:
        return Shape(np.zeros((0, COLUMNS - 1)), np.zeros((0, FACE_COLUMNS)))
    solids = np.concatenate([shape.solids for shape in shapes])
    first = np.cumsum([0, *(len(shape.faces) for shape in shapes[:-1])])
    shift = np.repeat(first, [len(shape.solids) for shape in shapes])
    solids[:, A] += np.where(solids[:, KIND] == CONVEX, shift, 0)
    return Shape(solids, np.concatenate([shape.faces for shape in shapes]))


def placed(shape: Shape, xyz: Sequence[float], yaw: float) -> Shape:
    """The shape with its foot at a place and turned."""
    solids = shape.solids.copy()
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y = shape.solids[:, X], shape.solids[:, Y]
    solids[:, X], solids[:, Y] = xyz[0] + cos * x - sin * y, xyz[1] + sin * x + cos * y
    solids[:, Z] += xyz[2]
    solids[:, YAW] += yaw
    return Shape(solids, shape.faces)
