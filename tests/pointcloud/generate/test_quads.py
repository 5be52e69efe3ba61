"""Bodies are closed with normals that point out, and cutting them keeps their surface."""

import numpy as np
import pytest

from pointcloud.generate.rooms import beds, chairs, clutter, on_walls, seats, storage, tables, wet_rooms
from pointcloud.generate.rooms.quads import box, cylinder, join, loft, outline, turned_body
from pointcloud.generate.rooms.surface import normals_of, tessellate

GREY = (128.0, 128.0, 128.0)
BUILDERS = [
    seats.wooden_chair, seats.office_chair, seats.shell_chair, seats.armchair, seats.sofa,
    tables.dining_table, tables.coffee_table, tables.end_table, tables.desk, beds.bed,
    storage.cabinet, storage.bookshelf, storage.refrigerator, storage.bin_for_garbage, storage.dresser,
    storage.nightstand, chairs.dining_chair, chairs.upholstered_chair, chairs.folding_chair, chairs.tub_chair,
    chairs.lounge_chair, chairs.stool, chairs.bench, wet_rooms.toilet, wet_rooms.bathtub, wet_rooms.bar_counter,
    clutter.plant, clutter.floor_lamp, clutter.basket,
]  # fmt: skip


def volume(corners):
    """By the divergence theorem: positive where all normals point out."""
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    return float(np.einsum("ij,ij->i", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6)


def area(xyz, triangles):
    a, b, c = (xyz[triangles[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (box((0, 0, 0), (2, 3, 4), GREY), 24.0),
        (cylinder(1, 0, 2, GREY, points=200), 2 * np.pi),
        (turned_body([(1, 0), (1e-9, 3)], GREY, points=200), np.pi),
        (box((0, 0, 0), (2, 3, 4), GREY).turned(1.0).moved(5, -2, 1), 24.0),
        (box((0, 0, 0), (2, 3, 4), GREY).mirrored(), 24.0),
        (join([box((0, 0, 0), (1, 1, 1), GREY), box((5, 5, 5), (6, 6, 7), GREY)]), 3.0),
    ],
)
def test_bodies_hold_their_volume(body, expected):
    assert volume(body.corners) == pytest.approx(expected, rel=2e-3)


def test_a_hollow_takes_away_from_its_block():
    outer, inner = outline(2, 2, 12, 8), outline(1, 1, 12, 8)
    rings = [np.column_stack([ring, np.full(12, z)]) for ring, z in ((outer, 0), (outer, 1), (inner, 1), (inner, 0.5))]
    full, hollow = loft(rings[:2], GREY), loft(rings, GREY)
    assert volume(hollow.corners) == pytest.approx(volume(full.corners) * (1 - 0.25 / 2), rel=1e-6)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_things_stand_on_the_floor_amid_their_frame(build):
    for seed in range(8):
        piece = build(np.random.default_rng(seed))
        (x, y, z), high = piece.quads.bounds()
        assert abs(z) < 0.13 and high[2] > 0.15
        assert abs(x + high[0]) < 0.3 and abs(y + high[1]) < 0.3
        assert volume(piece.quads.corners) > 0
        assert (piece.quads.rgb >= 0).all() and (piece.quads.rgb <= 255).all()


@pytest.mark.parametrize(
    "build", [on_walls.door, on_walls.window, on_walls.picture, on_walls.board, on_walls.mirror, on_walls.wall_thing]
)
def test_things_on_walls_are_slightly_in_them(build):
    for seed in range(8):
        low, high = build(np.random.default_rng(seed)).quads.bounds()
        assert -0.12 < low[1] < 0 < high[1]


def test_cutting_keeps_the_surface_and_its_normals():
    body = box((0, 0, 0), (1, 0.5, 0.3), GREY) + cylinder(0.3, 2, 3, GREY, points=16)
    surface = tessellate(body, np.zeros(len(body), int), 0.05)
    corners = body.corners
    halves = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).reshape(-1, 3)
    whole = area(halves, np.arange(len(halves)).reshape(-1, 3))
    assert area(surface.xyz, surface.triangles) == pytest.approx(whole, rel=0.05)
    assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1)
    on_plane = ((surface.xyz - corners[surface.face_of_vertex, 0]) * normals_of(corners)[surface.face_of_vertex]).sum(1)
    assert np.abs(on_plane).max() < 1e-9


def test_seams_of_one_object_are_closed_and_objects_stay_apart():
    cube = box((0, 0, 0), (1, 1, 1), GREY)
    one = tessellate(cube, np.zeros(6, int), 1.0)
    assert len(one.xyz) == 8 and len(one.triangles) == 12
    assert len(tessellate(cube + cube, np.repeat([0, 1], 6), 1.0).xyz) == 16
