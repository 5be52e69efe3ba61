"""Detection as a task: scenes -> samples -> network -> boxes in each scan's own frame -> scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import nn

from pointcloud.align import turned, turned_cloud, wall_angle
from pointcloud.augment import SceneAugmentSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.datasets.scannet import ScanNetSettings
from pointcloud.datasets.scenes import SceneSplit
from pointcloud.datasets.sun_rgbd import SunRgbdSettings
from pointcloud.evaluate import ScoredScene, evaluate_scenes
from pointcloud.models.three_detr import ThreeDetrMaskedSettings, ThreeDetrSettings
from pointcloud.models.vote_net import BoxNetSettings, VoteNetSettings
from pointcloud.postprocess import FOR_PEOPLE, DetectionPostprocessSettings, postprocess
from pointcloud.proposals import join
from pointcloud.training_set import SceneSamples, to_network
from vol3d.engine.settings import RunSettings, Settings
from vol3d.engine.task import Evaluation, Progress, Samples, Task
from vol3d.errors import UsageError
from vol3d.scans.box_lines import write_box_lines
from vol3d.scans.detections import Detections
from vol3d.scans.find_points import BOX_LINES_SUFFIX, find_point_files, points_file_stem
from vol3d.scans.mesh import sample_surface
from vol3d.scans.points import PointCloud
from vol3d.scans.read_points import read_points
from vol3d.scans.write_detections import write_detections

Model = ThreeDetrSettings | ThreeDetrMaskedSettings | VoteNetSettings | BoxNetSettings
Data = ScanNetSettings | SunRgbdSettings | PointFolderSettings


class PredictSettings(Settings):
    """How a person's files are read and which boxes are written; what is `auto` is found from the file, and told."""

    columns: tuple[str, ...] | None = Field(None, description="names of the columns of a file that does not name them")
    up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = "auto"
    units: Literal["auto", "m", "cm", "mm", "ft", "in"] = "auto"
    align: bool = Field(True, description="a model whose boxes do not turn sees the room with its walls along the axes")
    score: float = Field(FOR_PEOPLE.min_score, ge=0, le=1, description="boxes of a lower score are not written")


class DetectionSettings(RunSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[Model, Field(discriminator="name")]
    data: Annotated[Data, Field(discriminator="name")]
    points: int = Field(40_000, ge=1, description="points drawn from each scene; scans to predict keep at most so many")
    repeat: int = Field(1, ge=1, description="how often an epoch shows each scene")
    augment: SceneAugmentSettings = SceneAugmentSettings()
    postprocess: DetectionPostprocessSettings = DetectionPostprocessSettings()
    predict: PredictSettings = PredictSettings()
    class_names: tuple[str, ...] | None = Field(None, description="null: as the data set names them")


class DetectionTask(Task):
    """Detection of objects in point clouds."""

    name: ClassVar[str] = "detection"
    settings_type: ClassVar[type[RunSettings]] = DetectionSettings
    settings: DetectionSettings

    @cached_property
    def split(self) -> SceneSplit:
        """The data set's scenes; lists files, reads no points."""
        return self.settings.data.split()

    def resolved(self) -> DetectionSettings:
        """With the names of the classes filled in."""
        return self.settings.model_copy(update={"class_names": self.class_names})

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels; there is no background."""
        return self.settings.class_names or self.split.class_names

    def model(self) -> nn.Module:
        """The detector with fresh weights, and its loss."""
        return self.settings.model.build(self.class_names)

    def samples(self) -> Samples:
        """The training scenes."""
        settings = self.settings
        scenes = self.split.require().train
        return SceneSamples(scenes, settings.points, settings.model.features, settings.augment, settings.repeat)

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: bool = False
    ) -> Evaluation:
        """Average precision on the validation scenes."""
        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        scenes = self.split.require().validation

        def detected() -> Iterator[ScoredScene]:
            for done, reader in enumerate(scenes):
                progress(done, len(scenes), reader.name)
                scene = reader.read()
                found = self.detect(models, scene.cloud, device, self.settings.postprocess, seed=done)
                yield ScoredScene(scene.name, scene.cloud, scene.truth, found)

        return evaluate_scenes(detected(), self.class_names, self._conditions(len(models)), pictures)

    def _conditions(self, models: int) -> dict[str, str]:
        """What a score must be read with."""
        return {
            "data": self.split.name,
            "models": "one" if models == 1 else f"proposals of {models} together",
            "points per scene": f"at most {self.settings.points:,}",
        }

    @torch.no_grad()
    def detect(
        self,
        models: Sequence[nn.Module],
        cloud: PointCloud,
        device: torch.device,
        choice: DetectionPostprocessSettings,
        seed: int = 0,
    ) -> Detections:
        """Objects in one scan, in the frame of its points; the proposals of several models are taken together."""
        points = to_network(cloud, self.settings.points, self.settings.model.features, seed).to(device)
        proposals = [model.eval().proposals(model([points]))[0] for model in models]  # type: ignore[operator]
        return postprocess(join(proposals), self.class_names, choice)

    def _detect_aligned(
        self,
        models: Sequence[nn.Module],
        cloud: PointCloud,
        device: torch.device,
        choice: DetectionPostprocessSettings,
    ) -> tuple[Detections, str]:
        """Objects in a room that is shown to the models with its walls along the axes, and what was done."""
        angle = wall_angle(cloud.xyz)
        if angle is None:
            return self.detect(models, cloud, device, choice), "no clear walls, so the room was not turned"
        found = self.detect(models, turned_cloud(cloud, angle), device, choice)
        note = f"turned by {math.degrees(angle):.1f} degrees to lay walls along the axes (--no-align does not)"
        return turned(found, -angle), note

    def holding(self, model: nn.Module) -> DetectionTask:
        """With the sizes and the classes of a detector, as released weights bring them."""
        known = {"model": model.settings, "class_names": model.class_names}
        return DetectionTask(self.settings.model_copy(update=known))

    def overfit(self, n: int) -> DetectionTask:
        """The first `n` training scenes, undistorted, to train and to validate on."""
        task = DetectionTask(self.settings.model_copy(update={"augment": SceneAugmentSettings()}))
        split = self.split.require()
        task.split = replace(split, train=split.train[:n], validation=split.train[:n])
        return task

    def on(self, data: Settings, part: Literal["validation", "train", "all"] = "validation") -> DetectionTask:
        """The same problem with the scenes of another data set, whose classes must be these.

        Raises:
            CheckpointError: the data set has other classes.
        """
        if not isinstance(data, Data):
            raise UsageError("no data set of point clouds", where="data", got=type(data).__name__)
        task = DetectionTask(self.resolved().model_copy(update={"data": data}))
        split = data.split()
        self.require_classes(split.class_names, split.name)
        chosen = {"validation": split.validation, "train": split.train, "all": split.labelled}[part]
        task.split = replace(split, validation=chosen)
        return task

    def with_options(self, options: Mapping[str, Any]) -> DetectionTask:
        """`columns`, `up`, `units` of the files, whether to `align` rooms, and the least `score` of what is written."""
        known = {name: value for name, value in options.items() if name in PredictSettings.model_fields}
        super().with_options({name: value for name, value in options.items() if name not in known})
        if "columns" in known:
            known["columns"] = tuple(known["columns"].split(","))
        known |= {name: known[name].lower().removeprefix("+") for name in ("up", "units") if name in known}
        try:
            predict = PredictSettings(**self.settings.predict.model_dump() | known)
        except ValidationError as error:
            fault = error.errors()[0]
            raise UsageError(fault["msg"], where=f"--{fault['loc'][0]}", got=fault["input"]) from error
        return DetectionTask(self.settings.model_copy(update={"predict": predict}))

    def find_inputs(self, paths: Sequence[Path]) -> list[Path]:
        """Files of points, alone or in folders."""
        return find_point_files(paths)

    def result_path(self, source: Path, out: Path) -> Path:
        """`room.ply` -> `out/room.json`."""
        return out / f"{points_file_stem(source)}.json"

    def predict(self, models: Sequence[nn.Module], source: Path, out: Path, device: torch.device) -> dict[str, Any]:
        """Writes the boxes of one scan as `room.json` and, as lines, `room.boxes.ply`; returns how many of each."""
        settings = self.settings.predict
        cloud = read_points(source, columns=settings.columns, up=settings.up, units=settings.units)
        if cloud.faces is not None:
            cloud = sample_surface(cloud, max(self.settings.points, len(cloud)), np.random.default_rng(0))
        choice = self.settings.postprocess.model_copy(update={"per_class": False, "min_score": settings.score})
        if settings.align and self.settings.model.angle_bins == 1:
            found, note = self._detect_aligned(models, cloud, device, choice)
            cloud = replace(cloud, notes=(*cloud.notes, note))
        else:
            found = self.detect(models, cloud, device, choice)
        path = self.result_path(source, out)
        write_box_lines(path.with_suffix(BOX_LINES_SUFFIX), found, cloud)  # never the name of a scan
        write_detections(path, found, cloud)
        names = found.names()
        told = ", ".join(f"{names.count(name)} {name}" for name in self.class_names if name in names)
        notes = {"assumed": list(cloud.notes)} if cloud.notes else {}
        return {"output": str(path), "boxes": len(found), "found": told, **notes}
