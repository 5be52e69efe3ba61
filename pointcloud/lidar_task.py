"""Detection from LiDAR as a task: sweeps -> samples -> network -> boxes in the scanner's frame -> benchmark scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from pointcloud.cloud_task import Axis, CloudSettings, CloudTask, ReadSettings, Unit
from pointcloud.datasets.kitti import KittiSettings
from pointcloud.datasets.nuscenes import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.evaluate_lidar import evaluate_lidar
from pointcloud.file_features import for_network, unseen
from pointcloud.lidar_augment import LidarAugmentSettings
from pointcloud.lidar_training_set import LidarSamples
from pointcloud.models.center_point import CenterPointSettings
from pointcloud.models.object_dgcnn import ObjectDgcnnSettings
from pointcloud.models.point_pillars import PointPillarsSettings
from pointcloud.models.second import SecondDetectorSettings
from pointcloud.models.voxel_net import VoxelNetSettings
from pointcloud.start_from import StartSettings, take_over
from pointcloud.training_set import to_network
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Evaluation, Progress, Samples
from vol3d.errors import UsageError
from vol3d.files import explain
from vol3d.scans.detections import Detections
from vol3d.scans.points import PointCloud

Model = PointPillarsSettings | SecondDetectorSettings | VoxelNetSettings | CenterPointSettings | ObjectDgcnnSettings
Data = NuScenesSettings | KittiSettings | PointFolderSettings


class LidarReadSettings(ReadSettings):
    """As all files are read; scanners on vehicles write metres with z up, and their files do not say so."""

    up: Axis = "z"
    units: Unit = "m"


class LidarSettings(CloudSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[Model, Field(discriminator="name")]
    data: Annotated[Data, Field(discriminator="name")]
    balance: bool = Field(False, description="show rare classes as often as others (CBGS, Zhu et al. 2019)")
    augment: LidarAugmentSettings = LidarAugmentSettings()
    start_from: StartSettings | None = Field(None, description="parts that begin with the weights of another detector")
    predict: LidarReadSettings = LidarReadSettings()


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

    def samples(self) -> Samples:
        """The training scenes."""
        settings, model = self.settings, self.settings.model
        scenes = self.split.require().train
        return LidarSamples(
            scenes,
            model.features,
            model.voxels.point_range_m,
            settings.augment,
            balance=settings.balance,
            repeat=settings.repeat,
        )

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: bool = False
    ) -> Evaluation:
        """The data set's own benchmark on the validation scenes."""
        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        scenes = self.split.require().validation
        conditions = {"data": self.split.name}

        def detect(cloud: PointCloud) -> Detections:
            return self.detect(models, cloud, device)

        return evaluate_lidar(scenes, detect, self.class_names, progress, conditions, pictures, self.submission)

    def submitting(self, path: Path) -> LidarTask:
        """Of nuScenes one JSON file, of KITTI a folder of text files; what cannot be written is told at once."""
        folder = path if isinstance(self.settings.data, KittiSettings) else path.parent
        if folder != path and path.is_dir():
            raise UsageError("a folder, not a file", where="--submission", got=path, wanted="a name ending in .json")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            explain(error, folder)
        task = LidarTask(self.settings)
        task.split, task.submission = self.split, path
        return task

    @torch.no_grad()
    def detect(self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device) -> Detections:
        """Objects around one place, in the frame of the points."""
        if len(models) != 1:
            raise UsageError("several LiDAR detectors cannot be taken together", got=len(models), wanted="one")
        points = to_network(cloud, None, self.settings.model.features).to(device)
        model = models[0].eval()
        return model.decode(model([points]))[0]  # type: ignore[operator]

    def undistorted(self) -> LidarSettings:
        """Without distortions, every scene as often as any other."""
        return self.settings.model_copy(update={"augment": LidarAugmentSettings(), "balance": False})

    def find(self, models: Sequence[nn.Module], source: Path, device: torch.device) -> tuple[Detections, PointCloud]:
        """Boxes that are sure enough."""
        model = self.settings.model
        cloud = for_network(self.read(source, points=200_000), model.features, self.settings.data.name)
        cloud = replace(cloud, notes=(*cloud.notes, *unseen(cloud, model.voxels)))
        found = self.detect(models, cloud, device)
        found = replace(found, frame="scan")
        return found.select(found.scores >= self.settings.predict.score), cloud
