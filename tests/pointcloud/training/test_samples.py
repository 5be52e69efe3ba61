"""Scenes as training samples, and scans as a network takes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pointcloud.datasets.scenes import Scene
from pointcloud.structures.features import height_column, point_features, width
from pointcloud.training import samples as training_set
from pointcloud.training.augment import SceneAugmentSettings
from pointcloud.training.samples import SceneSamples, to_network
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections


def cloud(points=50, seed=0):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-2, 2, (points, 3)).astype(np.float32)
    return PointCloud(xyz, {"rgb": rng.integers(0, 256, (points, 3), dtype=np.uint8)})


@dataclass
class Reader:
    name: str
    reads: int = 0
    points: int = 50

    def read(self):
        self.reads += 1
        boxes = np.array([[0, 0, 0, 1, 1, 1, 0]], dtype=np.float32)
        truth = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("box",))
        return Scene(self.name, cloud(self.points, seed=int(self.name)), truth)


def test_a_batch_has_one_cloud_and_one_target_of_each_scene():
    samples = SceneSamples([Reader("0"), Reader("1")], 20, ("height", "rgb"), SceneAugmentSettings(), repeat=2)
    assert len(samples) == 4 and samples.name(3) == "1"
    batch = samples.collate([samples.sample(index, np.random.default_rng(index)) for index in (0, 3)])
    assert [tuple(one.shape) for one in batch.inputs] == [(20, 7), (20, 7)] and batch.ids == ("0", "1")
    assert batch.targets[0].boxes.shape == (1, 7) and batch.targets[0].labels.tolist() == [0]


def test_a_scene_without_points_is_named():
    samples = SceneSamples([Reader("0"), Reader("1", points=0)], 20, (), SceneAugmentSettings())
    for of_scene in (lambda: samples.sample(1, np.random.default_rng(0)), lambda: samples.plain(1)):
        with pytest.raises(DataError, match=r"^1: no points\. Leave the scene out; `vol3d data check` names all"):
            of_scene()


def test_a_scene_is_read_once_while_memory_allows(monkeypatch):
    kept, poor = Reader("0"), Reader("1")
    samples = SceneSamples([kept], 20, (), SceneAugmentSettings())
    monkeypatch.setattr(training_set, "free_memory", lambda: 10)
    tight = SceneSamples([poor], 20, (), SceneAugmentSettings())
    for _ in range(3):
        samples.sample(0, np.random.default_rng(0))
        tight.sample(0, np.random.default_rng(0))
    assert kept.reads == 1 and poor.reads == 3


def test_a_scene_too_large_to_keep_takes_no_room_from_others(monkeypatch):
    monkeypatch.setattr(training_set, "free_memory", lambda: 2 * 50 * 12 + 2)
    small, large = Reader("0"), Reader("1", points=500)
    samples = SceneSamples([large, small], 20, (), SceneAugmentSettings())
    for index in (0, 1, 0, 1):
        samples.sample(index, np.random.default_rng(0))
    assert (large.reads, small.reads) == (2, 1)


def test_processes_that_each_keep_scenes_share_the_memory(monkeypatch):
    monkeypatch.setattr(training_set, "free_memory", lambda: 2 * 50 * 12 + 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    one = Reader("0")
    samples = SceneSamples([one], 20, (), SceneAugmentSettings())
    for _ in range(2):
        samples.sample(0, np.random.default_rng(0))
    assert one.reads == 2


def test_features_are_scaled_as_the_papers_scale_them():
    one = cloud(1000)
    features = point_features(one, ("rgb", "height"))
    assert features.shape == (1000, 4) == (1000, width(("rgb", "height")))
    assert height_column(("rgb", "height")) == 3 and height_column(("rgb",)) is None
    assert np.allclose(features[0, :3], (one.columns["rgb"][0] - [109.8, 97.2, 83.8]) / 256)
    assert np.count_nonzero(features[:, 3] < 0) <= 10  # the floor is at 0, but for the lowest percent
    assert np.allclose(np.ptp(features[:, 3]), np.ptp(one.xyz[:, 2]))


@pytest.mark.parametrize("percent", [0, 0.99, 37.5, 99, 100])
@pytest.mark.parametrize("points", [1, 2, 57])
def test_heights_begin_where_so_many_per_cent_of_the_points_lie_lower(percent, points):
    one = cloud(points)
    low_to_high = sorted(one.xyz[:, 2].tolist())
    place = percent / 100 * (points - 1)  # between two points the floor is between their heights
    below = int(place)
    above = min(below + 1, points - 1)
    floor = low_to_high[below] + (place - below) * (low_to_high[above] - low_to_high[below])
    wanted = one.xyz[:, 2] - floor
    assert np.allclose(point_features(one, ("height",), percent)[:, 0], wanted, atol=1e-5)
    assert np.allclose(to_network(one, None, ("height",), floor_percent=percent)[:, 3], wanted, atol=1e-5)
    samples = SceneSamples([Reader("0", points=points)], points, ("height",), SceneAugmentSettings(), 1, percent)
    assert np.allclose(sorted(samples.scene(0).features[:, 0]), sorted(wanted), atol=1e-5)


def test_no_points_have_no_heights():
    assert point_features(cloud(0), ("height",)).shape == (0, 1)


def test_a_missing_column_is_named():
    bare = PointCloud(np.zeros((3, 3), np.float32), source=Path("room.ply"))
    with pytest.raises(DataError, match=r"room\.ply.*no intensity"):
        point_features(bare, ("intensity",))


def test_a_scan_is_thinned_alike_in_each_run():
    one = cloud(1000)
    assert to_network(one, None, ()).shape == (1000, 3) == to_network(one, 2000, ()).shape
    thin = to_network(one, 100, ("rgb",))
    assert thin.shape == (100, 6) and thin.equal(to_network(one, 100, ("rgb",)))
    assert len(np.unique(thin[:, :3].numpy(), axis=0)) == 100
