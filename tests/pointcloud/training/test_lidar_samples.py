"""LiDAR scenes as training samples: whole, in range, shuffled, and a function of index and draws alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointcloud.training.lidar_augment import LidarAugmentSettings
from pointcloud.training.lidar_samples import LidarSamples
from tests.pointcloud.lidar_scenes import LidarReader, lidar_scene

RANGE = (-30.0, -30.0, -5.0, 30.0, 30.0, 5.0)
NONE = LidarAugmentSettings()
ALL = LidarAugmentSettings(flip_x=0.5, flip_y=0.5, rotate_deg=45, scale=(0.9, 1.1), shift_m=0.5)


def samples(readers, settings=NONE, **options):
    return LidarSamples(readers, ("intensity", "time"), options.pop("point_range_m", RANGE), settings, **options)


def test_a_sample_has_every_point_once_in_another_order():
    one = samples([LidarReader(1)]).sample(0, np.random.default_rng(0))
    scene = lidar_scene(1, apart=True)
    table = np.concatenate([scene.xyz, scene.features], axis=1)
    got = one.cloud.numpy()
    assert got.dtype == np.float32 and not np.array_equal(got, table)
    assert np.array_equal(got[got[:, 3].argsort()], table)
    assert np.array_equal(one.targets.boxes.numpy(), scene.boxes) and one.name == "frame1"
    assert np.array_equal(one.targets.labels.numpy(), scene.labels)


def test_a_sample_depends_on_index_and_draws_alone():
    first, second = samples([LidarReader(0), LidarReader(1)], ALL), samples([LidarReader(0), LidarReader(1)], ALL)
    first.sample(0, np.random.default_rng(9))  # what was asked for before does not matter
    one, again = (each.sample(1, np.random.default_rng(5)) for each in (first, second))
    assert torch.equal(one.cloud, again.cloud) and torch.equal(one.targets.boxes, again.targets.boxes)
    assert not torch.equal(one.cloud[:5], first.sample(1, np.random.default_rng(6)).cloud[:5])


def test_a_batch_has_one_cloud_and_one_target_of_each_scene():
    both = samples([LidarReader(0), LidarReader(1, boxes=0, points=20)], repeat=2)
    assert len(both) == 4 and both.name(3) == "frame1"
    batch = both.collate([both.sample(index, np.random.default_rng(index)) for index in (0, 3)])
    assert [tuple(cloud.shape) for cloud in batch.inputs] == [(600, 5), (20, 5)] and batch.ids == ("frame0", "frame1")
    assert [len(target.boxes) for target in batch.targets] == [5, 0]


def test_a_kept_scene_is_never_written_to():
    reader = LidarReader(2)
    kept = samples([reader], ALL)
    for seed in range(5):
        kept.sample(0, np.random.default_rng(seed))
    scene = lidar_scene(2, apart=True)
    assert reader.reads == 1
    assert np.array_equal(kept.scene(0).xyz, scene.xyz) and np.array_equal(kept.scene(0).boxes, scene.boxes)


@pytest.mark.parametrize(("boxes", "points"), [(0, 0), (0, 10), (2, 0)])
def test_empty_scenes_are_samples_too(boxes, points):
    one = samples([LidarReader(0, boxes, points)], ALL).sample(0, np.random.default_rng(0))
    assert one.cloud.shape == (points, 5) and len(one.targets.boxes) == boxes


def test_all_points_may_be_out_of_range():
    far = (500.0, 500.0, -5.0, 600.0, 600.0, 5.0)
    one = samples([LidarReader(0)], ALL, point_range_m=far).sample(0, np.random.default_rng(0))
    assert one.cloud.shape == (0, 5) and one.targets.boxes.shape == (0, 9) and one.targets.labels.dtype == torch.int64


def test_a_balanced_epoch_repeats_scenes_with_rare_classes():
    readers = [LidarReader(seed, boxes=1) for seed in range(12)]
    labels = [int(reader.read().truth.labels[0]) for reader in readers]
    plain, even = samples(readers), samples(readers, balance=True)
    shown = [labels[int(even.name(index).removeprefix("frame"))] for index in range(len(even))]
    assert len(plain) == 12 and len(set(labels)) == 3
    assert np.ptp(np.bincount(labels)) > 1 >= np.ptp(np.bincount(shown))  # one less where the quota rounds down
