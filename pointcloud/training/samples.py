"""The training split as samples: scenes read once, kept while memory allows, and augmented anew each time."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from pointcloud.datasets.scenes import Scene, SceneReader
from pointcloud.structures.features import FLOOR_PERCENT, Feature, height_column, point_features
from pointcloud.structures.similarity import UNMOVED, Similarity
from pointcloud.structures.targets import BoxTargets
from pointcloud.training.augment import SceneAugmentSettings, TrainingScene, augment_room, choose
from vol3d.engine.task import Batch, Samples
from vol3d.errors import DataError
from vol3d.memory import free_memory
from vol3d.scans.points.cloud import PointCloud


@dataclass(frozen=True, eq=False)
class Sample:
    """One training sample: cloud (N, 3 + C) and its boxes, and what has moved both since the scene was read."""

    cloud: Tensor
    targets: BoxTargets
    name: str
    motion: Similarity = UNMOVED


class CloudSamples(Samples):
    """Scenes in the order of an epoch, kept in memory while there is room.

    Args:
        scenes: in a fixed order.
        features: what the network sees of a point besides its place.
        order: the scene of each sample of an epoch.
        floor_percent: where heights begin, see `point_features`.
    """

    def __init__(
        self,
        scenes: Sequence[SceneReader],
        features: Sequence[Feature],
        order: Sequence[int],
        floor_percent: float = FLOOR_PERCENT,
    ) -> None:
        self.scenes, self.features, self.order = tuple(scenes), tuple(features), tuple(order)
        self.floor_percent = floor_percent
        self._kept: dict[str, TrainingScene] = {}
        self._taken, self._room = 0, free_memory() // 2

    def __len__(self) -> int:
        return len(self.order)

    def name(self, index: int) -> str:
        """The scene of sample `index`."""
        return self.scenes[self.order[index]].name

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Samples -> batch of clouds and targets, one entry each."""
        return Batch(
            [sample.cloud for sample in samples],
            [sample.targets for sample in samples],
            tuple(sample.name for sample in samples),
        )

    @abstractmethod
    def plain(self, index: int) -> Tensor:
        """The cloud (N, 3 + C) of the scene of sample `index` as it lies, undistorted and the same each time."""

    def scene(self, index: int) -> TrainingScene:
        """The scene of sample `index` as it is; not to be written to."""
        reader = self.scenes[self.order[index]]
        if reader.name in self._kept:
            return self._kept[reader.name]
        points = to_training_scene(reader.read(), self.features, self.floor_percent)
        size = points.xyz.nbytes + points.features.nbytes
        if self._taken + size <= self._room // _sharing():
            self._taken += size
            # A mapped array keeps its file open, and a process may have fewer of these than a data set has scenes.
            self._kept[reader.name] = points = replace(points, xyz=np.array(points.xyz))
        return points


class SceneSamples(CloudSamples):
    """Each indoor scene once in an epoch.

    Args:
        scenes: in a fixed order.
        points: how many are drawn of each scene.
        features: what the network sees of a point besides its place.
        settings: the distortions.
        repeat: how often an epoch shows each scene.
        floor_percent: where heights begin, see `point_features`.
    """

    def __init__(
        self,
        scenes: Sequence[SceneReader],
        points: int,
        features: Sequence[Feature],
        settings: SceneAugmentSettings,
        repeat: int = 1,
        floor_percent: float = FLOOR_PERCENT,
    ) -> None:
        super().__init__(scenes, features, tuple(range(len(scenes))) * repeat, floor_percent)
        self.points, self.settings = points, settings

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Sample `index`, distorted with draws of `rng`."""
        scene = augment_room(self._filled(index), self.points, self.settings, rng)
        return Sample(cloud_of(scene), box_targets(scene), self.name(index), scene.motion)

    def plain(self, index: int) -> Tensor:
        """As many points as of a sample."""
        scene = self._filled(index)
        return cloud_of(scene.at(choose(len(scene.xyz), self.points, np.random.default_rng(0))))

    def _filled(self, index: int) -> TrainingScene:
        """The scene. Raises DataError if it has no points: there is nothing to choose from."""
        scene = self.scene(index)
        if not len(scene.xyz):
            do = "Leave the scene out; `vol3d data check` names all that are empty."
            raise DataError("no points", where=self.name(index), do=do)
        return scene


def _sharing() -> int:
    """Processes on this machine, each keeping its own scenes: data-loader workers times the run's local processes."""
    worker = get_worker_info()
    return (worker.num_workers if worker else 1) * int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def cloud_of(scene: TrainingScene) -> Tensor:
    """The points of a scene as a network takes them, (N, 3 + C)."""
    return torch.from_numpy(np.concatenate([scene.xyz, scene.features], axis=1))


def box_targets(scene: TrainingScene) -> BoxTargets:
    """The boxes of a scene as a loss takes them."""
    return BoxTargets(torch.from_numpy(scene.boxes), torch.from_numpy(scene.labels))


def to_training_scene(scene: Scene, features: Sequence[Feature], floor_percent: float = FLOOR_PERCENT) -> TrainingScene:
    """What the augmentation works on."""
    boxes, labels = scene.truth.boxes.astype(np.float32), scene.truth.labels.astype(np.int64)
    columns = point_features(scene.cloud, features, floor_percent)
    return TrainingScene(scene.cloud.xyz, columns, boxes, labels, height_column(features))


def to_network(
    cloud: PointCloud,
    points: int | None,
    features: Sequence[Feature],
    seed: int = 0,
    floor_percent: float = FLOOR_PERCENT,
) -> Tensor:
    """A scan as a network takes it, (N, 3 + C) float32: `points` of its points, the same in each run.

    A scan with fewer points keeps each of them once; None keeps all. `floor_percent` as `point_features`.
    """
    columns = np.concatenate([cloud.xyz, point_features(cloud, features, floor_percent)], axis=1)
    if points is not None and len(cloud) > points:
        columns = columns[choose(len(cloud), points, np.random.default_rng(seed))]
    return torch.from_numpy(columns)
