"""Distortions of LiDAR scenes: off unless asked for, drawn as their settings say, and the range after them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from pointcloud.structures.similarity import Similarity
from pointcloud.training.lidar_augment import LidarAugmentSettings, augment_drive, draw_motion, in_range
from tests.pointcloud.lidar_scenes import lidar_scene

ALL = LidarAugmentSettings(flip_x=0.5, flip_y=0.5, rotate_deg=45, scale=(0.9, 1.1), shift_m=0.5)
RANGE = (-10.0, -12.0, -1.0, 10.0, 12.0, 1.0)


def test_nothing_happens_unless_asked_for():
    scene = lidar_scene()
    assert augment_drive(scene, LidarAugmentSettings(), np.random.default_rng(0)) is scene


def test_the_same_draws_give_the_same_scene_and_the_original_is_left_alone():
    scene, untouched = lidar_scene(), lidar_scene()
    one, again, other = (augment_drive(scene, ALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.xyz, again.xyz) and np.array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.xyz, other.xyz)
    assert np.array_equal(scene.xyz, untouched.xyz) and np.array_equal(scene.boxes, untouched.boxes)


def test_draws_are_spread_as_the_settings_say():
    rng = np.random.default_rng(0)
    drawn = [draw_motion(ALL, rng) for _ in range(2000)]
    assert 0.45 < np.mean([one.flip_x for one in drawn]) < 0.55 and 0.45 < np.mean([one.flip_y for one in drawn]) < 0.55
    angles, scales = np.array([one.angle for one in drawn]), np.array([one.scale for one in drawn])
    assert -math.pi / 4 <= angles.min() < -0.7 and 0.7 < angles.max() <= math.pi / 4
    assert 0.9 <= scales.min() < 0.905 and 1.095 < scales.max() <= 1.1
    np.testing.assert_allclose(np.std([one.shift for one in drawn], axis=0), 0.5, rtol=0.1)


def test_a_shift_may_differ_from_axis_to_axis():
    settings = LidarAugmentSettings(shift_m=(0.0, 0.0, 2.0))
    how = draw_motion(settings, np.random.default_rng(0))
    assert how.shift[:2] == (0, 0) and how.shift[2] != 0
    assert how == Similarity(shift=how.shift)


@pytest.mark.parametrize("wrong", [{"flip_x": 1.5}, {"shift_m": -1.0}, {"scale": (0.0, 1.0)}, {"scale": (1.1, 0.9)}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        LidarAugmentSettings(**wrong)


def test_the_range_keeps_points_inside_and_boxes_whose_centre_is():
    scene = lidar_scene(points=3000, boxes=40)
    cut = in_range(scene, RANGE)
    low, high = np.array(RANGE[:3]), np.array(RANGE[3:])
    inside = [all(low <= point) and all(point < high) for point in scene.xyz]
    centred = [all(low[:2] <= box[:2]) and all(box[:2] < high[:2]) for box in scene.boxes]
    assert np.array_equal(cut.xyz, scene.xyz[inside]) and np.array_equal(cut.features, scene.features[inside])
    assert np.array_equal(cut.boxes, scene.boxes[centred]) and np.array_equal(cut.labels, scene.labels[centred])
    assert 0 < len(cut.boxes) < 40 and 0 < len(cut.xyz) < 3000


def test_the_lower_end_of_the_range_is_inside_and_the_upper_is_not():
    scene = lidar_scene(boxes=2, points=2)
    scene.xyz[:] = [[-10, -12, -1], [10, 0, 0]]
    scene.boxes[:, :3] = [[-10, -12, 99], [0, 12, 0]]
    cut = in_range(scene, RANGE)
    assert cut.xyz.tolist() == [[-10, -12, -1]] and cut.boxes[:, 2].tolist() == [99]


@pytest.mark.parametrize(("boxes", "points"), [(0, 0), (0, 5), (3, 0), (3, 5)])
def test_a_scene_may_end_up_empty(boxes, points):
    scene = lidar_scene(boxes=boxes, points=points)
    scene.xyz[:] += 1000
    scene.boxes[:, 0] += 1000
    cut = in_range(scene, RANGE)
    assert cut.xyz.shape == (0, 3) and cut.features.shape == (0, 2)
    assert cut.boxes.shape == (0, 9) and cut.labels.shape == (0,)
