"""Balanced epochs: every class as often, the same each time, from what readers know without reading points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.datasets.kitti.dataset import KittiFrame
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.training.class_balance import balanced
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.lidar_scenes import LidarReader

OWN = st.lists(st.integers(0, 3), max_size=4).map(lambda own: np.array(own, np.int64))
LABELS = st.lists(OWN, min_size=1, max_size=20)


@given(LABELS)
def test_each_class_has_the_draws_of_the_published_formula(labels):
    drawn, present = balanced(labels), sorted({label for own in labels for label in own.tolist()})
    if not present:
        assert drawn.tolist() == list(range(len(labels)))
        return
    holding = {label: [number for number, own in enumerate(labels) if label in own] for label in present}
    total, begin = sum(map(len, holding.values())), 0
    for scenes in holding.values():
        wanted = int(len(scenes) * ((1 / len(present)) / (len(scenes) / total)))
        assert abs(wanted - total / len(present)) <= 1
        assert set(drawn[begin : begin + wanted].tolist()) <= set(scenes)
        begin += wanted
    assert begin == len(drawn)


def test_a_rare_class_is_shown_as_often_as_a_common_one():
    labels = [np.array([0, 0, 0])] * 99 + [np.array([1])]
    drawn = balanced(labels)
    assert len(drawn) == 100 and np.count_nonzero(drawn == 99) == 50


def test_an_epoch_depends_on_the_seed_alone():
    labels = [np.array([number % 3]) for number in range(30)]
    assert np.array_equal(balanced(labels), balanced(labels)) and not np.array_equal(
        balanced(labels), balanced(labels, 1)
    )


def test_nuscenes_tells_the_labels_without_its_sweeps(tmp_path):
    split = NuScenesSettings(root=write_small_nuscenes(tmp_path / "data"), min_points=4).split()
    wanted = [one.read().truth.labels.tolist() for one in split.train]
    for path in (tmp_path / "data").rglob("*.pcd.bin"):
        path.unlink()
    assert [one.labels().tolist() for one in split.train] == wanted and any(wanted)


def test_kitti_tells_the_labels_without_its_points(data_root):
    frame = KittiFrame(data_root / "kitti" / "training", "000001")
    assert frame.labels().tolist() == frame.read().truth.labels.tolist()


def test_other_readers_are_read():
    reader = LidarReader(3)
    assert reader.labels().tolist() == reader.read().truth.labels.tolist()
