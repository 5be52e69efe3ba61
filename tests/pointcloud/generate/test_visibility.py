"""Depth images decide what is seen as casting a ray for each vertex would."""

import numpy as np
import pytest

from pointcloud.generate.rooms.cameras import look_around
from pointcloud.generate.rooms.layout import furnish
from pointcloud.generate.rooms.quads import box, join
from pointcloud.generate.rooms.surface import tessellate
from pointcloud.generate.rooms.visibility import FAR, seen_from
from tests.reference.visibility import hidden

FORWARD_X = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # rows: right, down, forward


def surface_of(parts, spacing=0.1):
    quads = join(parts)
    return quads, tessellate(quads, np.zeros(len(quads), int), spacing)


def test_what_is_seen_is_what_no_ray_is_stopped_before():
    rng = np.random.default_rng(2)
    room = furnish(rng)
    quads, surface = surface_of([piece.quads for piece in (*room.shell, *room.furniture)], 0.25)
    centres, rotations = look_around(rng, room)
    agree, stopped = [], []
    for centre, rotation in zip(centres[:12:3, None], rotations[:12:3, None], strict=True):
        seen = seen_from(quads.corners, surface.xyz, surface.normals, centre, rotation)[0] > 0
        free = seen_from(quads.corners[:0], surface.xyz, surface.normals, centre, rotation)[0] > 0
        stopped.append(hidden(quads.corners, surface.xyz[free], centre[0], slack=0.06))
        agree.append(seen[free] == ~stopped[-1])
    # Pixels at silhouettes take a neighbour's depth; elsewhere the two agree.
    assert np.concatenate(agree).mean() > 0.95
    assert len(np.concatenate(agree)) > 300 and 0.02 < np.concatenate(stopped).mean() < 0.9


def test_a_box_hides_what_is_behind_it_and_its_own_back():
    screen, wall = box((2, -0.5, -0.5), (2.2, 0.5, 0.5), (9, 9, 9)), box((4, -0.6, -0.6), (4.1, 0.6, 0.6), (9, 9, 9))
    quads, surface = surface_of([screen, wall])
    seen, view = seen_from(quads.corners, surface.xyz, surface.normals, np.zeros((1, 3)), FORWARD_X[None])
    front = np.abs(surface.xyz[:, 0] - 2) < 1e-9
    inner = (np.abs(surface.xyz[:, 1:]) < 0.45).all(axis=1)
    assert (seen[front & inner] > 0).all() and (view[front & inner] == 0).all()
    assert (seen[surface.xyz[:, 0] > 2.1] == 0).all() and (view[surface.xyz[:, 0] > 2.1] == -1).all()


def test_evidence_falls_with_the_square_of_the_distance_and_ends():
    at = [1.0, 2.0, FAR + 0.5]
    values = []
    for x in at:
        quads, surface = surface_of([box((x, -0.05, -0.05), (x + 0.1, 0.05, 0.05), (9, 9, 9))], 0.025)
        front = np.abs(surface.xyz[:, 0] - x) < 1e-9
        seen, _ = seen_from(quads.corners, surface.xyz, surface.normals, np.zeros((1, 3)), FORWARD_X[None])
        values.append(seen[front].max())
    assert values[0] / values[1] == pytest.approx(4, rel=0.02) and values[2] == 0


def test_faces_through_the_camera_and_no_views_are_harmless():
    quads, surface = surface_of([box((-1, -1, -1), (1, 1, 0.0), (9, 9, 9))])
    seen, _ = seen_from(quads.corners, surface.xyz, surface.normals, np.zeros((1, 3)), FORWARD_X[None])
    assert np.isfinite(seen).all()
    none, view = seen_from(quads.corners, surface.xyz, surface.normals, np.zeros((0, 3)), np.zeros((0, 3, 3)))
    assert (none == 0).all() and (view == -1).all()
