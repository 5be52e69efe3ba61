"""Detection from LiDAR as a task: sweeps -> samples -> network -> boxes in the scanner's frame -> benchmark scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import nn

from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.evaluation.benchmark import benchmark_of
from pointcloud.inference.extent import unlike_a_street
from pointcloud.inference.file_features import for_network, unseen
from pointcloud.inference.tta import SAME_OBJECT_IOU, Flips, check_symmetric, detect_flipped, join
from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.anchors.voxel_net import VoxelNetSettings
from pointcloud.models.center_point.model import CenterPointSettings
from pointcloud.models.object_dgcnn.model import ObjectDgcnnSettings
from pointcloud.tasks.base import Axis, CloudSettings, CloudTask, ReadSettings, Unit
from pointcloud.tasks.start_from import StartSettings, take_over
from pointcloud.training.lidar_augment import LidarAugmentSettings
from pointcloud.training.lidar_samples import LidarSamples
from pointcloud.training.object_bank import PasteSettings, object_bank
from pointcloud.training.object_noise import ObjectNoiseSettings
from pointcloud.training.samples import to_network
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Evaluation, Samples
from vol3d.errors import UsageError
from vol3d.files import explain
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress

Model = PointPillarsSettings | SecondDetectorSettings | VoxelNetSettings | CenterPointSettings | ObjectDgcnnSettings
Data = NuScenesSettings | KittiSettings | Argoverse2Settings | PointFolderSettings


class LidarReadSettings(ReadSettings):
    """As all files are read; scanners on vehicles write metres with z up, and their files do not say so."""

    up: Axis = "z"
    units: Unit = "m"


class LidarSettings(CloudSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[Model, Field(discriminator="name")]
    data: Annotated[Data, Field(discriminator="name")]
    balance: bool = Field(False, description="show rare classes as often as others (CBGS, Zhu et al. 2019)")
    paste: PasteSettings | None = Field(None, description="objects of other scenes put into each (GT sampling)")
    noise: ObjectNoiseSettings | None = Field(None, description="objects moved one by one (SECOND, PointPillars)")
    augment: LidarAugmentSettings = LidarAugmentSettings()
    test_flips: Flips = Field("none", description="mirror images that are looked at together with each scene")
    start_from: StartSettings | None = Field(None, description="parts that begin with the weights of another detector")
    predict: LidarReadSettings = LidarReadSettings()

    @model_validator(mode="after")
    def _mirrors(self) -> LidarSettings:
        check_symmetric(self.model.voxels.point_range_m, self.test_flips)  # not after hours of training
        return self


class LidarTask(CloudTask):
    """Detection of objects around a LiDAR scanner."""

    name: ClassVar[str] = "lidar"
    settings_type: ClassVar[type[RunSettings]] = LidarSettings
    settings: LidarSettings
    submission: Path | None = None

    def initial_model(self) -> nn.Module:
        """With fresh weights, but for the parts that are taken from another detector."""
        model = self.model()
        if self.settings.start_from is not None:
            take_over(model, self.settings.start_from)
        return model

    def samples(self, progress: Progress | None = None) -> Samples:
        """The training scenes."""
        settings, model = self.settings, self.settings.model
        scenes, bank = self.split.require().train, None
        if settings.paste is not None:
            bank = object_bank(scenes, model.features, self.class_names, settings.paste, progress)
        return LidarSamples(
            scenes,
            model.features,
            model.voxels.point_range_m,
            settings.augment,
            paste=bank,
            noise=settings.noise,
            balance=settings.balance,
            repeat=settings.repeat,
        )

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: bool = False
    ) -> Evaluation:
        """The data set's own benchmark on the validation scenes."""
        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        scenes = self.split.require("validation").validation
        conditions = {"data": self.split.name, "models": str(len(models)), "test flips": self.settings.test_flips}

        def detect(cloud: PointCloud) -> Detections:
            return self.detect(models, cloud, device)

        benchmark = benchmark_of(self.settings.data.name)
        return benchmark(scenes, detect, self.class_names, progress, conditions, pictures, self.submission)

    def submitting(self, path: Path) -> LidarTask:
        """The same problem, whose evaluation also writes what the data set's benchmark takes: a file or a folder.

        Raises:
            UsageError: there is no benchmark, or a file is wanted where a folder is.
            Vol3dError: the folder cannot be made.
        """
        form = self.settings.data.submission
        if form is None:
            raise UsageError("this data set has no benchmark to submit to", where="--submission")
        if form.ending and path.is_dir():
            wanted = f"a name ending in {form.ending}"
            raise UsageError("a folder, not a file", where="--submission", got=path, wanted=wanted)
        folder = path.parent if form.ending else path
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            explain(error, folder)
        task = LidarTask(self.settings)
        task.split, task.submission = self.split, path
        return task

    @torch.no_grad()
    def detect(self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device) -> Detections:
        """Objects around one place, in the frame of the points; several models' boxes of one object are averaged."""
        points = to_network(cloud, None, self.settings.model.features).to(device)
        found = [detect_flipped(model.eval(), [points], self.settings.test_flips)[0] for model in models]
        return found[0] if len(found) == 1 else join(found, SAME_OBJECT_IOU)

    def undistorted(self) -> LidarSettings:
        """Without distortions, every scene as often as any other."""
        plain = {"augment": LidarAugmentSettings(), "balance": False, "paste": None, "noise": None}
        return self.settings.model_copy(update=plain)

    def find(self, models: Sequence[nn.Module], source: Path, device: torch.device) -> tuple[Detections, PointCloud]:
        """Boxes that are sure enough."""
        model = self.settings.model
        cloud = for_network(self.read(source, points=200_000), model.features, self.settings.data.sensor)
        cloud = replace(cloud, notes=(*cloud.notes, *unseen(cloud, model.voxels), *unlike_a_street(cloud)))
        found = self.detect(models, cloud, device)
        found = replace(found, frame="scan")
        return found.select(found.scores >= self.settings.predict.score), cloud
