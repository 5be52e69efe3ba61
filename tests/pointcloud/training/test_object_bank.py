"""Objects cut out of training scenes: whole, once, and never those of another data set."""

from __future__ import annotations

import multiprocessing
import pickle
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors import safe_open

from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.training.object_bank import PasteSettings, object_bank
from pointcloud.training.object_file import CutObject, ObjectBank, write_objects
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from tests.pointcloud.lidar_scenes import CLASSES, LidarReader, lidar_scene, members
from vol3d.errors import DataError, UsageError
from vol3d.lock import lock

FEATURES = ("intensity", "time")
COUNTS = {"car": 3, "pedestrian": 2}


def bank(readers, folder, **changes):
    settings = PasteSettings(**{"counts": COUNTS, "cache": folder, **changes})
    return object_bank(readers, FEATURES, CLASSES, settings)


def test_every_object_of_a_wanted_class_is_there_with_its_points(tmp_path):
    found = bank([LidarReader(seed) for seed in range(3)], tmp_path)
    number = 0
    for seed in range(3):
        scene = lidar_scene(seed, apart=True)
        for inside, box, label in zip(members(scene), scene.boxes, scene.labels, strict=True):
            if label < 2 and inside.sum() >= 5:
                assert np.array_equal(found.boxes[number], box) and found.labels[number] == label
                points = found.points(number)
                np.testing.assert_allclose(points[:, :3] + box[:3], scene.xyz[inside], atol=1e-5)
                assert np.array_equal(points[:, 3:], scene.features[inside])
                number += 1
    assert len(found) == number > 3 and found.wanted == {0: 3, 1: 2}
    assert sorted([*found.of[0], *found.of[1]]) == list(range(number))


def test_objects_are_cut_out_once(tmp_path):
    readers = [LidarReader(seed) for seed in range(3)]
    told = []
    settings = PasteSettings(counts=COUNTS, cache=tmp_path / "new")
    for _ in range(2):
        object_bank(readers, FEATURES, CLASSES, settings, lambda *facts: told.append(facts))
    assert told == [(1, 3, "frame0"), (2, 3, "frame1"), (3, 3, "frame2")] and [one.reads for one in readers] == [1] * 3


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({}, False),
        ({"counts": {"pedestrian": 9, "car": 1}}, False),
        ({"counts": {"car": 3}}, True),
        ({"min_points": 6}, True),
    ],
)
def test_other_settings_take_other_objects(tmp_path, change, again):
    reader = LidarReader(1)
    bank([reader], tmp_path)
    bank([reader], tmp_path, **change)
    assert reader.reads == 1 + again


def test_other_scenes_or_features_take_other_objects(tmp_path):
    bank([LidarReader(1)], tmp_path)
    changed = LidarReader(1, points=601)
    bank([changed], tmp_path)
    reader = LidarReader(1)
    object_bank([reader], ("intensity",), CLASSES, PasteSettings(counts=COUNTS, cache=tmp_path))
    assert changed.reads == reader.reads == 1 and len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_bank_without_objects(tmp_path):
    found = bank([LidarReader(0, boxes=0)], tmp_path)
    assert len(found) == 0 and found.of[0].shape == (0,) and found.boxes.shape == (0, 7)


def test_boxes_without_velocities_have_seven_columns(tmp_path):
    box = np.array([1, 2, 3, 4, 5, 6, 0.5, np.nan, np.nan], np.float32)
    points = np.arange(10, dtype=np.float32).reshape(2, 5)
    write_objects(tmp_path / "a.safetensors", iter([CutObject(points, box, 1)]), 5)
    found = ObjectBank(tmp_path / "a.safetensors", {1: 1})
    assert found.boxes.tolist() == [[1, 2, 3, 4, 5, 6, 0.5]] and np.array_equal(found.points(0), points)


def test_the_file_is_an_ordinary_safetensors_file(tmp_path):
    found = bank([LidarReader(1)], tmp_path)
    with safe_open(found.path, "np") as file:
        assert sorted(file.keys()) == ["boxes", "labels", "points", "starts"]
        assert file.get_tensor("points").shape == (file.get_tensor("starts")[-1], 5)


def test_a_bank_can_be_sent_to_another_process(tmp_path):
    found = bank([LidarReader(1)], tmp_path)
    sent = pickle.loads(pickle.dumps(found))
    assert np.array_equal(sent.points(1), found.points(1)) and sent.wanted == found.wanted


def test_processes_that_begin_together_cut_out_once(tmp_path):
    context = multiprocessing.get_context("fork")
    reads = context.Queue()
    workers = [context.Process(target=_build, args=(tmp_path, reads)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert sorted(reads.get(timeout=60) for _ in workers) == [(0, 5), (0, 5), (1, 5)]


def test_who_waits_for_another_process_says_so(tmp_path):
    told = []
    with ExitStack() as other:
        other.enter_context(lock(tmp_path))

        def report(done, total, name):
            told.append(name)
            other.close()

        object_bank([LidarReader(1)], FEATURES, CLASSES, PasteSettings(counts=COUNTS, cache=tmp_path), report)
    assert told == [f"(another process works in {tmp_path})", "frame1"]


def _build(folder, reads):
    reader = LidarReader(1)
    found = bank([reader], folder, counts=dict.fromkeys(CLASSES, 1), min_points=1)
    reads.put((reader.reads, len(found)))


def test_a_damaged_file_is_named(tmp_path):
    found = bank([LidarReader(1)], tmp_path)
    content = found.path.read_bytes()
    for damaged in (content[:-1], content[:500], b""):
        found.path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{found.path.name}: the file of objects is damaged.*Delete it"):
            bank([LidarReader(1)], tmp_path)


def test_an_error_of_a_scene_leaves_nothing_behind(tmp_path):
    class Broken(LidarReader):
        def read(self):
            raise DataError("the sweep is cut", where=self.name)

    with pytest.raises(DataError, match="frame2: the sweep is cut"):
        bank([LidarReader(1), Broken(2)], tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]


def test_a_class_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"paste\.counts: objects of an unknown class; got tram"):
        bank([LidarReader(1)], tmp_path, counts={"tram": 1})
    with pytest.raises(ValidationError):
        PasteSettings(counts={"car": -1})


def test_other_sweeps_or_a_changed_file_take_other_objects(tmp_path):
    root = write_small_nuscenes(tmp_path / "data")
    split = NuScenesSettings(root=root).split()
    settings = PasteSettings(counts={"car": 2, "traffic_cone": 1}, min_points=1, cache=tmp_path / "cache")
    found = object_bank(split.train, FEATURES, split.class_names, settings)
    other = object_bank([replace(one, sweeps=1) for one in split.train], FEATURES, split.class_names, settings)
    path = split.train[0].files()[0]
    path.write_bytes(path.read_bytes()[:-20])
    after = object_bank(split.train, FEATURES, split.class_names, settings)
    assert len({found.path, other.path, after.path}) == 3
