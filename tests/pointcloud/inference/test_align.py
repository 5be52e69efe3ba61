"""Rooms are found to stand as they were turned, and a cloud without walls is left alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.inference.align import turn_about_z, turned, turned_cloud, wall_angle
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections


def room(seed: int) -> np.ndarray:
    """Walls and a floor with noise, 5 x 4 x 2.5 m, walls along the axes."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2.5, -2, 0], [2.5, 2, 2.5], (6000, 3))
    for n, (axis, value) in enumerate([(0, -2.5), (0, 2.5), (1, -2), (1, 2), (2, 0)]):
        points[n * 1000 : n * 1000 + 1000, axis] = value
    return points + rng.normal(0, 0.01, points.shape)


@given(st.integers(0, 5), st.floats(-math.pi, math.pi))
def test_a_turned_room_is_turned_back(seed, angle):
    found = wall_angle(room(seed) @ turn_about_z(angle)[:3, :3].T)
    assert found is not None and abs(found) <= math.pi / 4
    rest = (found + angle + math.pi / 4) % (math.pi / 2) - math.pi / 4  # a quarter turn more is as good
    assert abs(rest) < math.radians(0.3)


@pytest.mark.parametrize("points", [0, 1, 99])
def test_few_points_have_no_walls(points):
    assert wall_angle(np.zeros((points, 3))) is None


def test_a_round_heap_has_no_walls():
    assert wall_angle(np.random.default_rng(0).normal(size=(5000, 3))) is None


def test_points_kilometres_apart_need_no_memory():
    assert wall_angle(np.random.default_rng(0).uniform(-1e7, 1e7, (1000, 3))) in (None, pytest.approx(0, abs=1))


@given(st.floats(-4, 4))
def test_what_is_turned_and_turned_back_is_where_it_was(angle):
    cloud = PointCloud(np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
    boxes = np.array([[1, 2, 0.5, 2, 1, 1, 0.3]], np.float32)
    found = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("sofa",))
    there = turned_cloud(cloud, angle)
    assert np.allclose(turned_cloud(there, -angle).xyz, cloud.xyz, atol=1e-5)
    back = turned(turned(found, angle), -angle).boxes
    assert np.allclose(back[:, :6], boxes[:, :6], atol=1e-5) and np.allclose(np.cos(back[:, 6] - 0.3), 1)
    assert np.allclose(turned(found, angle).boxes[0, :2], turn_about_z(angle)[:2, :2] @ [1, 2], atol=1e-5)
