"""The training split as samples: scenes read once, kept while memory allows, and distorted anew each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pointcloud.augment import Points, SceneAugmentSettings, augment, choose
from pointcloud.datasets.scenes import BoxTargets, Scene, SceneReader
from pointcloud.features import Feature, height_column, point_features
from vol3d.engine.task import Batch, Samples
from vol3d.memory import free_memory
from vol3d.scans.points import PointCloud


@dataclass(frozen=True, eq=False)
class Sample:
    """One training sample: cloud (N, 3 + C) and its boxes."""

    cloud: Tensor
    targets: BoxTargets
    name: str


class SceneSamples(Samples):
    """Each scene once in an epoch.

    Args:
        scenes: in a fixed order.
        points: how many are drawn of each scene.
        features: what the network sees of a point besides its place.
        settings: the distortions.
        repeat: how often an epoch shows each scene.
    """

    def __init__(
        self,
        scenes: Sequence[SceneReader],
        points: int,
        features: Sequence[Feature],
        settings: SceneAugmentSettings,
        repeat: int = 1,
    ) -> None:
        self.scenes, self.points, self.features = tuple(scenes), points, tuple(features)
        self.settings, self.repeat = settings, repeat
        self._kept: dict[str, Points] = {}
        self._room = free_memory() // 2

    def __len__(self) -> int:
        return len(self.scenes) * self.repeat

    def name(self, index: int) -> str:
        """The scene of sample `index`."""
        return self.scenes[index % len(self.scenes)].name

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Scene `index` (modulo their number), distorted with draws of `rng`."""
        name = self.name(index)
        scene = augment(self._read(index % len(self.scenes)), self.points, self.settings, rng)
        cloud = torch.from_numpy(np.concatenate([scene.xyz, scene.features], axis=1))
        targets = BoxTargets(torch.from_numpy(scene.boxes), torch.from_numpy(scene.labels))
        return Sample(cloud, targets, name)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Samples -> batch of clouds and targets, one entry each."""
        return Batch(
            [sample.cloud for sample in samples],
            [sample.targets for sample in samples],
            tuple(sample.name for sample in samples),
        )

    def _read(self, index: int) -> Points:
        name = self.scenes[index].name
        if name in self._kept:
            return self._kept[name]
        points = to_points(self.scenes[index].read(), self.features)
        self._room -= points.xyz.nbytes + points.features.nbytes
        if self._room > 0:
            # A mapped array keeps its file open, and a process may have fewer of these than a data set has scenes.
            self._kept[name] = points = replace(points, xyz=np.array(points.xyz))
        return points


def to_points(scene: Scene, features: Sequence[Feature]) -> Points:
    """What the augmentation works on."""
    boxes, labels = scene.truth.boxes.astype(np.float32), scene.truth.labels.astype(np.int64)
    return Points(scene.cloud.xyz, point_features(scene.cloud, features), boxes, labels, height_column(features))


def to_network(cloud: PointCloud, points: int | None, features: Sequence[Feature], seed: int = 0) -> Tensor:
    """A scan as a network takes it, (N, 3 + C) float32: `points` of its points, the same in each run.

    A scan with fewer points keeps each of them once; None keeps all.
    """
    columns = np.concatenate([cloud.xyz, point_features(cloud, features)], axis=1)
    if points is not None and len(cloud) > points:
        columns = columns[choose(len(cloud), points, np.random.default_rng(seed))]
    return torch.from_numpy(columns)
