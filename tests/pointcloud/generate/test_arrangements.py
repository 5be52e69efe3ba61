"""Things that are placed together do not run through each other."""

import numpy as np
import pytest
from shapely import MultiPoint
from shapely import contains_xy as inside

from pointcloud.generate.rooms import arrangements as sets
from pointcloud.generate.rooms.surface import tessellate

TABLES = {"desk", "table", "coffee table", "end table"}
CHAIRS = {"chair", "office chair", "armchair"}


def vertices(piece):
    return tessellate(piece.quads, np.zeros(len(piece.quads), int), 0.05).xyz


def slab(piece):
    """Outline and height of the top that people sit at."""
    flat = piece.quads.corners[np.ptp(piece.quads.corners[..., 2], axis=1) < 1e-9]
    heights = flat[:, 0, 2]
    height = heights[heights < 0.85].max()
    return MultiPoint(flat[np.abs(heights - height) < 1e-6].reshape(-1, 3)[:, :2]).convex_hull, height


@pytest.mark.parametrize("build", [sets.workplace, sets.dining_set, sets.conference_set, sets.school_table])
def test_no_chair_runs_through_a_top(build):
    for seed in range(12):
        group = build(np.random.default_rng(seed))
        outline, height = slab(group[0])
        for seat in (piece for piece in group if piece.label in CHAIRS):
            xyz = vertices(seat)
            level = xyz[(xyz[:, 2] > height - 0.03) & (xyz[:, 2] < height)]
            assert not inside(outline.buffer(-0.03), level[:, 0], level[:, 1]).any(), seed


@pytest.mark.parametrize("build", [sets.workplace, sets.dining_set, sets.conference_set, sets.school_table])
def test_chairs_face_their_table(build):
    for seed in range(12):
        group = build(np.random.default_rng(seed))
        (low, high) = group[0].quads.bounds()
        for seat in (piece for piece in group if piece.label in CHAIRS):
            xyz = vertices(seat)
            back = xyz[xyz[:, 2] > 0.72, :2].mean(axis=0)  # the back rest
            towards = np.clip(back, low[:2], high[:2]) - back
            front = xyz[(xyz[:, 2] > 0.4) & (xyz[:, 2] < 0.55), :2].mean(axis=0) - back
            assert np.dot(towards, front) > 0, seed


@pytest.mark.parametrize("build", [sets.sitting_set, sets.bed_set])
def test_large_pieces_stand_apart(build):
    for seed in range(12):
        group = [piece for piece in build(np.random.default_rng(seed)) if piece.quads.bounds()[0, 2] < 0.15]
        hulls = [MultiPoint(piece.quads.corners.reshape(-1, 3)[:, :2]).convex_hull for piece in group]
        for number, first in enumerate(hulls):
            assert all(first.distance(other) > 0.01 for other in hulls[number + 1 :]), seed
