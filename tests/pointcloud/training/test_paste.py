"""Copied objects stand where they fit, with their points and without those that were there before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointcloud.training.lidar_augment import LidarAugmentSettings
from pointcloud.training.lidar_samples import LidarSamples
from pointcloud.training.object_bank import PasteSettings, object_bank
from pointcloud.training.object_file import CutObject, ObjectBank, write_objects
from pointcloud.training.paste import draw_objects, fitting, paste
from tests.pointcloud.lidar_scenes import CLASSES, LidarReader, lidar_scene, members
from tests.reference.geometry import overlap_bev as slow_overlap

FEATURES = ("intensity", "time")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    readers = [LidarReader(seed) for seed in range(20, 40)]
    wanted = PasteSettings(counts={"car": 4, "pedestrian": 3}, cache=tmp_path_factory.mktemp("cache"))
    return object_bank(readers, FEATURES, CLASSES, wanted)


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_what_is_pasted_overlaps_nothing_and_has_its_points(bank, seed):
    before = lidar_scene(seed % 7, apart=True)
    after = paste(before, bank, np.random.default_rng(seed))
    old, new = after.boxes[:5], after.boxes[5:]
    assert np.array_equal(old, before.boxes) and after.boxes.shape[1] == 9
    overlap = slow_overlap(*(torch.from_numpy(rows[:, :7]).double() for rows in (after.boxes, new))).numpy()
    overlap[np.arange(5, 5 + len(new)), np.arange(len(new))] = 0
    assert overlap.max(initial=0) < 1e-5
    for box, label in zip(new, after.labels[5:], strict=True):
        (source,) = np.flatnonzero((bank.boxes == box).all(axis=1))
        assert bank.labels[source] == label
    sources = [int(np.flatnonzero((bank.boxes == box).all(axis=1))[0]) for box in new]
    pasted = sum(len(bank.points(source)) for source in sources)
    table = np.concatenate([before.xyz, before.features], axis=1)
    kept = ~members(type(before)(before.xyz, before.features, new, after.labels[5:])).any(axis=0)
    count = int(kept.sum())
    assert len(after.xyz) == count + pasted
    assert np.array_equal(np.concatenate([after.xyz, after.features], axis=1)[:count], table[kept])


@given(st.integers(0, 10**6), st.lists(st.integers(0, 2), max_size=8))
@settings(max_examples=30)
def test_a_scene_is_filled_up_to_the_counts(bank, seed, present):
    drawn = draw_objects(np.array(present, np.int64), bank, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn)
    for label, wanted in ((0, 4), (1, 3), (2, 0)):
        missing = max(0, wanted - present.count(label))
        assert np.count_nonzero(bank.labels[drawn] == label) == min(missing, np.count_nonzero(bank.labels == label))


def test_of_two_objects_in_one_place_the_first_drawn_stays():
    boxes = np.array([[0, 0, 0, 2, 2, 2, 0], [1, 0, 0, 2, 2, 2, 0], [2, 0, 0, 2, 2, 2, 0]], np.float32)
    assert fitting(boxes[:0], boxes).tolist() == [True, False, True]  # boxes that only touch both stay
    assert fitting(boxes[1:2], boxes).tolist() == [False, False, False]
    assert fitting(boxes, boxes[:0]).shape == (0,)


def test_a_scene_that_has_enough_is_left_alone(bank):
    scene = lidar_scene(boxes=9)
    scene.labels[:] = [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert paste(scene, bank, np.random.default_rng(0)) is scene


@pytest.mark.parametrize(("boxes", "points"), [(0, 0), (0, 50), (2, 0)])
def test_empty_scenes_are_filled_too(bank, boxes, points):
    scene = lidar_scene(boxes=boxes, points=points)
    bare = type(scene)(scene.xyz, scene.features, scene.boxes if boxes else np.zeros((0, 7), np.float32), scene.labels)
    after = paste(bare, bank, np.random.default_rng(0))
    assert len(after.boxes) > boxes and after.boxes.shape[1] == 9 and len(after.xyz) == len(after.features) > 0
    assert after.xyz.dtype == after.features.dtype == after.boxes.dtype == np.float32


@pytest.mark.parametrize(("own", "copied"), [(7, 9), (9, 7)])
def test_a_velocity_that_one_of_both_does_not_have_is_unknown(tmp_path, own, copied):
    box = np.array([500, 0, 0, 1, 1, 1, 0, 2, 2], np.float32)
    box[copied:] = np.nan
    write_objects(tmp_path / "a", iter([CutObject(np.zeros((6, 5), np.float32), box, 0)]), 5)
    after = paste(lidar_scene(boxes=2, columns=own), ObjectBank(tmp_path / "a", {0: 9}), np.random.default_rng(0))
    assert after.boxes.shape == (3, 9)
    assert np.isnan(after.boxes[:2, 7:]).all() == (own == 7) and np.isnan(after.boxes[2, 7:]).all() == (copied == 7)


def test_a_bank_without_objects_changes_nothing(tmp_path):
    write_objects(tmp_path / "a", iter([]), 5)
    scene = lidar_scene()
    assert paste(scene, ObjectBank(tmp_path / "a", {0: 9}), np.random.default_rng(0)) is scene


def test_samples_are_pasted_into_and_depend_on_index_and_draws_alone(bank):
    everywhere = (-50.0, -50.0, -50.0, 50.0, 50.0, 50.0)
    reader = LidarReader(3)
    samples = LidarSamples([reader], FEATURES, everywhere, LidarAugmentSettings(), bank)
    one, again, other = (samples.sample(0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(one.targets.boxes) > 5 and torch.equal(one.cloud, again.cloud)
    assert not torch.equal(one.targets.boxes[:6], other.targets.boxes[:6]) and len(samples.scene(0).boxes) == 5
