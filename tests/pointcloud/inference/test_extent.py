"""Notes on scans that are of another kind than those of the model."""

import numpy as np
import pytest

from pointcloud.inference.extent import unlike_a_room, unlike_a_street
from pointcloud.structures.width import width_m
from vol3d.scans.points.cloud import PointCloud


def square(side: float) -> PointCloud:
    xyz = np.random.default_rng(0).uniform(-side / 2, side / 2, (5000, 3)).astype(np.float32)
    xyz[:3] = 500.0  # stray points
    return PointCloud(xyz)


@pytest.mark.parametrize(("side", "room", "street"), [(6.0, False, True), (30.0, False, False), (100.0, True, False)])
def test_a_street_is_no_room_and_a_room_no_street(side: float, room: bool, street: bool) -> None:
    assert width_m(square(side)) == pytest.approx(0.98 * side, rel=0.02)
    assert bool(unlike_a_room(square(side))) == room and bool(unlike_a_street(square(side))) == street


def test_no_point_says_nothing() -> None:
    empty = PointCloud(np.zeros((0, 3), np.float32))
    assert width_m(empty) == 0 and unlike_a_room(empty) == unlike_a_street(empty) == ()
