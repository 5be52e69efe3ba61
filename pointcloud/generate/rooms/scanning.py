"""A scan of a room: the vertices that cameras see, with noise, holes and drop-outs, and the triangles between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.rooms.cameras import look_around
from pointcloud.generate.rooms.furniture import Rng
from pointcloud.generate.rooms.layout import Room
from pointcloud.generate.rooms.quads import join
from pointcloud.generate.rooms.surface import normals_of, tessellate
from pointcloud.generate.rooms.visibility import seen_from

ENOUGH = 0.12  # evidence (1/m²) at which half of the vertices become part of the mesh: one look at 2.9 m, head on
DROPPED = 0.03
NOISE_AT_ZERO, NOISE_PER_M2 = 0.003, 0.0016  # metres: 5 mm at 1 m, 13 mm at 2.5 m


@dataclass(frozen=True, eq=False)
class Scan:
    """What was scanned of a room, in the room's frame.

    Args:
        xyz: (N, 3) metres.
        rgb: (N, 3) uint8.
        triangles: (T, 3) vertices.
        object_of_vertex: (N,) index into `labels`.
        normal: (N, 3) of the surface without noise.
        labels: name of each piece in the room, "" for what nobody annotates.
        surface: number of vertices that there would be if the cameras saw everything.
    """

    xyz: np.ndarray
    rgb: np.ndarray
    triangles: np.ndarray
    object_of_vertex: np.ndarray
    normal: np.ndarray
    labels: tuple[str, ...]
    surface: int


def scan(rng: Rng, room: Room, spacing: float) -> Scan:
    """Scans a room from several places; vertices of its surfaces are about `spacing` metres apart."""
    furniture = [*room.shell, *room.furniture]
    quads = join([piece.quads for piece in furniture])
    object_of_face = np.repeat(np.arange(len(furniture)), [len(piece.quads) for piece in furniture])
    full = tessellate(quads, object_of_face, spacing)
    xyz = full.xyz + _within_surface(rng, full.normals, 0.3 * spacing)
    centres, rotations = look_around(rng, room)
    evidence, view = seen_from(quads.corners, xyz, full.normals, centres, rotations)
    kept = _kept(rng, xyz, evidence * quads.response[full.face_of_vertex])
    kept = kept[rng.permutation(len(kept))]  # in a real mesh the order is unrelated to the objects
    number = np.full(len(xyz), -1)
    number[kept] = np.arange(len(kept))
    triangles = number[full.triangles]
    faces = full.face_of_vertex[kept]
    return Scan(
        xyz=xyz[kept] + _noise(rng, xyz[kept], centres[view[kept]]),
        rgb=colours(rng, quads.rgb[faces], full.normals[kept], xyz[kept]),
        triangles=triangles[(triangles >= 0).all(axis=1)],
        object_of_vertex=object_of_face[faces],
        normal=normals_of(quads.corners)[faces],
        labels=tuple(piece.label for piece in furniture),
        surface=len(xyz),
    )


def _within_surface(rng: Rng, normals: np.ndarray, reach: float) -> np.ndarray:
    """Shifts (N, 3) along the surface, so that vertices lie on no visible grid."""
    shift = rng.uniform(-reach, reach, normals.shape)
    return shift - (shift * normals).sum(axis=1, keepdims=True) * normals


def waves(rng: Rng, xyz: np.ndarray, longest: float, shortest: float) -> np.ndarray:
    """A smooth random function of position, (N,), about of mean 0 and deviation 1."""
    count = 6
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    phase = xyz @ (directions * 2 * np.pi / rng.uniform(shortest, longest, (count, 1))).T
    return np.sin(phase + rng.uniform(0, 2 * np.pi, count)).sum(axis=1) * np.sqrt(2 / count)


def _kept(rng: Rng, xyz: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Vertices with evidence enough, which varies in patches; round holes and single drop-outs are taken out."""
    needed = ENOUGH * np.exp(0.5 * waves(rng, xyz, 2.5, 0.4) + 0.4 * rng.normal(size=len(xyz)))
    kept = np.flatnonzero((evidence > needed) & (rng.random(len(xyz)) > DROPPED))
    for _ in range(int(rng.integers(4, 14))):
        if len(kept):
            hole = np.linalg.norm(xyz[kept] - xyz[rng.choice(kept)], axis=1) < rng.uniform(0.06, 0.3)
            kept = kept[~hole | (rng.random(len(kept)) < 0.1)]
    return kept


def _noise(rng: Rng, xyz: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Errors along the best view's rays, half of them shared by neighbours, growing with the squared distance."""
    ray = xyz - eye
    distance = np.linalg.norm(ray, axis=1, keepdims=True)
    deviation = NOISE_AT_ZERO + NOISE_PER_M2 * distance[:, 0] ** 2
    error = 0.7 * np.clip(rng.normal(size=len(xyz)), -2.5, 2.5) + 0.5 * waves(rng, xyz, 1.0, 0.15)
    return ray / distance * (deviation * error)[:, None]


def colours(rng: Rng, rgb: np.ndarray, normals: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Paint under a lamp: faces differ by how they are turned, patches by stains, vertices by noise."""
    light = rng.normal(size=3) * [0.5, 0.5, 0.3] + [0, 0, 1.0]
    bright = 0.82 + 0.14 * normals @ (light / np.linalg.norm(light)) + 0.04 * waves(rng, xyz, 1.5, 0.2)
    tint = rng.normal(1, 0.04, 3)
    return np.clip(rgb * bright[:, None] * tint + rng.normal(0, 5, rgb.shape), 0, 255).astype(np.uint8)
