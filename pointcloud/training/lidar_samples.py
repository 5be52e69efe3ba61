"""Training scenes of a LiDAR as samples: read once while memory allows, augmented anew, cut to a range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pointcloud.datasets.scenes import SceneReader
from pointcloud.structures.features import Feature
from pointcloud.structures.voxels import Range
from pointcloud.training.class_balance import balanced
from pointcloud.training.lidar_augment import LidarAugmentSettings, augment_drive, in_range
from pointcloud.training.object_file import ObjectBank
from pointcloud.training.object_noise import ObjectNoiseSettings, move_objects
from pointcloud.training.paste import paste
from pointcloud.training.samples import CloudSamples, Sample, box_targets, cloud_of


class LidarSamples(CloudSamples):
    """Each scene once in an epoch, or with `balance` each class as often as any other.

    Args:
        scenes: in a fixed order.
        features: what the network sees of a point besides its place.
        point_range_m: where it looks: x y z of the lowest corner, then of the highest.
        augment: the distortions of the whole scene.
        paste: objects of other scenes, put in before.
        noise: how objects are moved one by one, the pasted ones too.
        balance: class-balanced sampling, see `class_balance`.
        repeat: how often an epoch shows each scene.
    """

    def __init__(
        self,
        scenes: Sequence[SceneReader],
        features: Sequence[Feature],
        point_range_m: Range,
        augment: LidarAugmentSettings,
        paste: ObjectBank | None = None,
        noise: ObjectNoiseSettings | None = None,
        balance: bool = False,
        repeat: int = 1,
    ) -> None:
        order = balanced([scene.labels() for scene in scenes]) if balance else np.arange(len(scenes))
        super().__init__(scenes, features, np.tile(order, repeat).tolist())
        self.point_range_m, self.augment, self.bank, self.noise = point_range_m, augment, paste, noise

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Sample `index`, distorted with draws of `rng`; its points in random order, since voxels have room for few."""
        scene = self.scene(index)
        if self.bank is not None:
            scene = paste(scene, self.bank, rng)
        if self.noise is not None:
            scene = move_objects(scene, self.noise, rng)
        scene = in_range(augment_drive(scene, self.augment, rng), self.point_range_m)
        cloud = cloud_of(scene.at(rng.permutation(len(scene.xyz))))
        return Sample(cloud, box_targets(scene), self.name(index), scene.motion)

    def plain(self, index: int) -> Tensor:
        """The points in the range."""
        scene = in_range(self.scene(index), self.point_range_m)
        return cloud_of(scene.at(np.random.default_rng(0).permutation(len(scene.xyz))))
