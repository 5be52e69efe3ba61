"""Objects that are moved one by one keep their points, their shape and their distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointcloud.training.lidar_augment import LidarAugmentSettings
from pointcloud.training.lidar_samples import LidarSamples
from pointcloud.training.object_noise import ObjectNoiseSettings, move_objects
from tests.pointcloud.lidar_scenes import LidarReader, lidar_scene, members
from vol3d.geometry import iou_bev

STRONG = ObjectNoiseSettings(rotate_deg=45, shift_m=(1.0, 1.0, 0.5))


@given(st.integers(0, 10**6), st.sampled_from([7, 9]))
@settings(max_examples=40)
def test_boxes_take_their_points_along_and_hit_nothing(seed, columns):
    before = lidar_scene(seed, apart=True, columns=columns, boxes=12)
    after = move_objects(before, STRONG, np.random.default_rng(seed))
    inside = members(before, -1e-3)
    own = inside & (np.cumsum(members(before), axis=0) == 1)  # in no other box before
    assert not (own & ~members(after)).any()
    outside = ~members(before).any(axis=0)
    assert np.array_equal(after.xyz[outside], before.xyz[outside]) and after.features is before.features
    assert np.array_equal(after.boxes[:, 3:6], before.boxes[:, 3:6]) and after.boxes.dtype == np.float32
    moved = (after.boxes != before.boxes).any(axis=1)
    overlap = iou_bev(torch.from_numpy(after.boxes), torch.from_numpy(after.boxes)).fill_diagonal_(0).numpy()
    assert overlap[moved].max(initial=0) < 1e-5
    assert moved.any()


def test_a_velocity_turns_with_its_object():
    before = lidar_scene(1, apart=True)
    before.boxes[0, 7:] = np.nan
    after = move_objects(before, STRONG, np.random.default_rng(0))
    turn = (after.boxes - before.boxes)[1:, 6].astype(float)
    heading = np.arctan2(after.boxes[1:, 8], after.boxes[1:, 7]) - np.arctan2(before.boxes[1:, 8], before.boxes[1:, 7])
    np.testing.assert_allclose(np.cos(turn - heading), 1, atol=1e-5)
    np.testing.assert_allclose(np.hypot(*after.boxes[1:, 7:].T), np.hypot(*before.boxes[1:, 7:].T), rtol=1e-5)
    assert np.isnan(after.boxes[0, 7:]).all() and np.isfinite(after.boxes[0, :7]).all()


def test_an_object_without_room_stays():
    scene = lidar_scene(boxes=2)
    scene.boxes[:, :7] = [[0, 0, 0, 4, 2, 2, 0], [0, 2, 0, 4, 2, 2, 0]]
    stuck = move_objects(scene, ObjectNoiseSettings(rotate_deg=20, shift_m=0, tries=5), np.random.default_rng(0))
    assert np.array_equal(stuck.boxes[:, :7], scene.boxes[:, :7]) and np.array_equal(stuck.xyz, scene.xyz)


def test_places_are_spread_as_the_settings_say():
    scene = lidar_scene(boxes=1, points=0)
    wide = ObjectNoiseSettings(rotate_deg=30, shift_m=(0.1, 0.2, 0.4))
    drawn = np.array([move_objects(scene, wide, np.random.default_rng(seed)).boxes[0] for seed in range(1000)])
    shift, turn = drawn[:, :3] - scene.boxes[0, :3], np.sin(drawn[:, 6] - scene.boxes[0, 6])
    np.testing.assert_allclose(shift.std(axis=0), [0.1, 0.2, 0.4], rtol=0.1)
    assert abs(turn).max() <= math.sin(math.pi / 6) + 1e-6 and abs(turn).max() > 0.48


@pytest.mark.parametrize(("boxes", "points"), [(0, 0), (0, 5), (3, 0)])
def test_empty_scenes(boxes, points):
    after = move_objects(lidar_scene(boxes=boxes, points=points), STRONG, np.random.default_rng(0))
    assert after.boxes.shape == (boxes, 9) and after.xyz.shape == (points, 3)


def test_samples_move_objects_if_asked_to():
    everywhere = (-50.0, -50.0, -50.0, 50.0, 50.0, 50.0)
    samples = LidarSamples([LidarReader(3)], (), everywhere, LidarAugmentSettings(), noise=STRONG)
    one, again = (samples.sample(0, np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(one.cloud, again.cloud) and torch.equal(one.targets.boxes, again.targets.boxes)
    assert not np.array_equal(one.targets.boxes.numpy(), samples.scene(0).boxes)
