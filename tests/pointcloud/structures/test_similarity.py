"""Points stay in their boxes whatever is done to both, and headings and velocities go along."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.structures.similarity import Similarity, wrapped
from pointcloud.training.augment import moved
from tests.pointcloud.lidar_scenes import lidar_scene, members

SHIFTS = st.tuples(*[st.floats(-3, 3)] * 3)
MOTIONS = st.builds(Similarity, st.booleans(), st.booleans(), st.floats(-7, 7), st.floats(0.5, 2), SHIFTS)


@given(st.integers(0, 30), MOTIONS, st.sampled_from([7, 9]))
def test_boxes_hold_the_same_points_before_and_after(seed, how, columns):
    before = lidar_scene(seed, columns=columns)
    after = moved(before, how)
    inside = members(before)
    assert not (inside & ~members(after, 1e-4)).any() and not (~inside & members(after, -1e-4)).any()
    assert after.boxes.dtype == after.xyz.dtype == np.float32 and after.boxes.shape == before.boxes.shape


@given(st.integers(0, 30), MOTIONS)
def test_a_point_that_moves_with_its_box_still_does(seed, how):
    before = lidar_scene(seed)
    after = how.boxes(before.boxes)
    later = before.boxes[:, :3].copy()
    later[:, :2] += 0.5 * before.boxes[:, 7:]
    expected = after[:, :3].copy()
    expected[:, :2] += 0.5 * after[:, 7:]
    np.testing.assert_allclose(how.points(later), expected, atol=1e-4)


@given(st.integers(0, 30), MOTIONS)
def test_the_front_of_a_box_stays_its_front(seed, how):
    boxes = lidar_scene(seed).boxes
    after = how.boxes(boxes)

    def front(rows):
        ahead = np.stack([np.cos(rows[:, 6]), np.sin(rows[:, 6]), 0 * rows[:, 6]], axis=1)
        return rows[:, :3] + 0.5 * rows[:, 3:4] * ahead

    np.testing.assert_allclose(how.points(front(boxes)), front(after), atol=1e-4)


@given(st.floats(-20, 20))
def test_angles_come_back_in_half_open_range(angle):
    (turned,) = wrapped(np.array([angle]))
    assert -np.float32(math.pi) <= turned < np.float32(math.pi)
    assert math.cos(turned - angle) == pytest.approx(1, abs=1e-6)


def test_an_angle_that_rounds_to_pi_is_minus_pi():
    assert wrapped(np.array([math.pi - 1e-9, math.pi, -math.pi])).tolist() == [-np.float32(math.pi)] * 3


def test_the_slow_way_gives_the_same():
    how = Similarity(True, False, 0.3, 1.1, (1.0, 2.0, 3.0))
    x, y, z, length, width, height, yaw, vx, vy = lidar_scene().boxes[0].astype(float)
    c, s = math.cos(0.3), math.sin(0.3)
    wanted = [1.1 * (-x * c - y * s) + 1, 1.1 * (-x * s + y * c) + 2, 1.1 * z + 3, 1.1 * length]
    wanted += [1.1 * width, 1.1 * height, math.pi - yaw + 0.3, 1.1 * (-vx * c - vy * s), 1.1 * (-vx * s + vy * c)]
    got = how.boxes(lidar_scene().boxes)[0].astype(float)
    difference = got - wanted
    difference[6] = math.sin(difference[6])
    assert np.abs(difference).max() < 1e-5


def test_an_unknown_velocity_stays_unknown_and_the_rest_is_moved():
    boxes = lidar_scene(boxes=2).boxes
    boxes[0, 7:] = np.nan
    after = Similarity(flip_y=True, angle=1.0, scale=1.2).boxes(boxes)
    assert np.isnan(after[0, 7:]).all() and np.isfinite(after[:, :7]).all() and np.isfinite(after[1]).all()


@pytest.mark.parametrize(("boxes", "points"), [(0, 0), (0, 5), (1, 0)])
def test_nothing_is_moved_too(boxes, points):
    after = moved(lidar_scene(boxes=boxes, points=points), Similarity(True, True, 1.0, 2.0, (1.0, 0.0, 0.0)))
    assert after.xyz.shape == (points, 3) and after.boxes.shape == (boxes, 9)
