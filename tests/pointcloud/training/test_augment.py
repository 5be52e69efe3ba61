"""Distortions keep points in their boxes, and depend on the generator's draws alone."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.structures.similarity import Similarity
from pointcloud.training.augment import (
    CuboidSettings,
    SceneAugmentSettings,
    TrainingScene,
    augment_room,
    choose,
    moved,
    random_cuboid,
)
from vol3d.geometry import points_in_boxes

ALL = SceneAugmentSettings(
    cuboid=CuboidSettings(when="last", least_points=50),
    flip_x=0.5,
    flip_y=0.5,
    rotate_deg=30,
    quarter_turns=True,
    scale=(0.8, 1.2),
)


def scene(seed=0, boxes=4, points=400):
    rng = np.random.default_rng(seed)
    box = np.concatenate(
        [rng.uniform(-4, 4, (boxes, 3)), rng.uniform(0.5, 2, (boxes, 3)), rng.uniform(-3, 3, (boxes, 1))], axis=1
    ).astype(np.float32)
    xyz = rng.uniform(-5, 5, (points, 3)).astype(np.float32)
    features = np.stack([xyz[:, 2] + 5, rng.random(points)], axis=1).astype(np.float32)
    return TrainingScene(xyz, features, box, np.arange(boxes), heights=0)


def members(scene):
    return points_in_boxes(torch.from_numpy(scene.xyz), torch.from_numpy(scene.boxes)).numpy()


@given(st.integers(0, 20), st.booleans(), st.booleans(), st.floats(-4, 4), st.floats(0.5, 2))
def test_points_stay_in_their_boxes(seed, x, y, angle, scale):
    before = scene(seed)
    after = moved(before, Similarity(x, y, angle, scale))
    grown = after.boxes.copy()
    grown[:, 3:6] += 1e-4
    shrunk = after.boxes.copy()
    shrunk[:, 3:6] -= 1e-4
    inside = members(before)
    assert not (inside & ~members(TrainingScene(after.xyz, after.features, grown, after.labels))).any()
    assert not (~inside & members(TrainingScene(after.xyz, after.features, shrunk, after.labels))).any()
    assert np.all(np.abs(after.boxes[:, 6]) <= math.pi + 1e-6)


def test_a_mirrored_heading_points_the_mirrored_way():
    one = TrainingScene(
        np.zeros((1, 3), np.float32), np.zeros((1, 0), np.float32), np.zeros((1, 7), np.float32), np.zeros(1)
    )
    one.boxes[0, 3:] = [2, 1, 1, 0.3]
    assert moved(one, Similarity(True, False)).boxes[0, 6] == pytest.approx(math.pi - 0.3)
    assert moved(one, Similarity(False, True)).boxes[0, 6] == pytest.approx(-0.3)
    assert moved(one, Similarity(True, True)).boxes[0, 6] == pytest.approx(0.3 - math.pi)


def test_heights_grow_with_the_scene_and_other_features_do_not():
    before = scene()
    after = moved(before, Similarity(scale=1.5))
    assert np.allclose(after.features[:, 0], before.features[:, 0] * 1.5)
    assert np.array_equal(after.features[:, 1], before.features[:, 1])


def test_the_same_draws_give_the_same_scene_and_others_another():
    one, again, other = (augment_room(scene(), 100, ALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.xyz, again.xyz) and np.array_equal(one.boxes, again.boxes)
    assert not np.array_equal(one.xyz, other.xyz)


def test_the_original_is_left_as_it_was():
    before, untouched = scene(), scene()
    augment_room(before, 100, ALL, np.random.default_rng(0))
    assert np.array_equal(before.xyz, untouched.xyz) and np.array_equal(before.boxes, untouched.boxes)
    assert np.array_equal(before.features, untouched.features)


def test_axis_aligned_boxes_hold_the_turned_ones():
    settings = SceneAugmentSettings(flip_x=1, rotate_deg=5, axis_aligned=True)
    before = scene()
    before.boxes[:, 6] = 0
    after = augment_room(before, 400, settings, np.random.default_rng(3))
    assert np.all(after.boxes[:, 6] == 0)
    assert np.all(after.boxes[:, 3:5] >= before.boxes[:, 3:5] - 1e-5)
    assert np.allclose(after.boxes[:, 5], before.boxes[:, 5])


def test_a_cuboid_keeps_enough_points_and_the_boxes_whose_centre_is_in_it():
    before = scene(points=4000)
    settings = CuboidSettings(least_points=300, size=(0.5, 0.6))
    cut = random_cuboid(before, settings, np.random.default_rng(0))
    assert 300 <= len(cut.xyz) < 4000 and 0 < len(cut.boxes) <= 4
    low, high = cut.xyz.min(axis=0) - 0.5, cut.xyz.max(axis=0) + 0.5
    assert np.all((cut.boxes[:, :3] >= low) & (cut.boxes[:, :3] <= high))


@pytest.mark.parametrize("points", [0, 1, 299])
def test_a_scene_that_no_cuboid_can_cut_stays_whole(points):
    before = scene(points=points)
    assert random_cuboid(before, CuboidSettings(least_points=300), np.random.default_rng(0)) is before


def test_a_cuboid_of_a_scene_without_boxes_is_cut_too():
    before = scene(boxes=0, points=4000)
    assert len(random_cuboid(before, CuboidSettings(least_points=300), np.random.default_rng(0)).xyz) < 4000


@given(st.integers(1, 50), st.integers(1, 50))
def test_points_repeat_only_where_there_are_too_few(available, wanted):
    chosen = choose(available, wanted, np.random.default_rng(0))
    assert len(chosen) == wanted and chosen.max() < available
    assert available < wanted or len(set(chosen)) == wanted
