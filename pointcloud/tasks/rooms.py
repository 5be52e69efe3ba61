"""Detection in scans of rooms: scenes -> samples -> network -> proposals -> boxes in each scan's frame -> scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from pointcloud.datasets.settings import SceneSettings
from pointcloud.inference.align import turn_about_z, turned, turned_cloud, wall_angle
from pointcloud.inference.extent import unlike_a_room
from pointcloud.inference.postprocess import FOR_PEOPLE, DetectionPostprocessSettings, postprocess
from pointcloud.inference.traits import OF_ROOMS, of_room
from pointcloud.structures.detector import AttendingDetector, RoomDetector, RoomDetectorSettings
from pointcloud.structures.proposals import join_proposals
from pointcloud.tasks.base import CloudTask, in_evaluation, ordered, surface_of
from pointcloud.tasks.precision import computing, condition, noted
from pointcloud.tasks.settings import CloudSettings, ReadSettings
from pointcloud.training.augment import CuboidSettings, SceneAugmentSettings
from pointcloud.training.samples import SceneSamples, to_network
from vol3d.config.chosen import FromCatalogue
from vol3d.engine.seen import Trait, unlike
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Evaluation
from vol3d.errors import UsageError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.recordings.recording import Recording
from vol3d.scans.results.attention import AttentionMap
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background


class PredictSettings(ReadSettings):
    """As all files are read; and rooms are turned."""

    align: bool = Field(True, description="a model whose boxes do not turn sees the room with its walls along the axes")
    score: float = Field(FOR_PEOPLE.min_score, ge=0, le=1, description="boxes of a lower score are not written")


class DetectionSettings(CloudSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[RoomDetectorSettings, FromCatalogue("models", "detection")]
    data: Annotated[SceneSettings, FromCatalogue("datasets", "detection")]
    points: int = Field(40_000, ge=1, description="points drawn from each scene; scans to predict keep at most so many")
    augment: SceneAugmentSettings = SceneAugmentSettings()
    postprocess: DetectionPostprocessSettings = DetectionPostprocessSettings()
    predict: PredictSettings = PredictSettings()


class DetectionTask(CloudTask):
    """Detection of objects in rooms."""

    name: ClassVar[str] = "detection"
    settings_type: ClassVar[type[RunSettings]] = DetectionSettings
    settings: DetectionSettings
    traits: ClassVar[tuple[Trait, ...]] = OF_ROOMS

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> SceneSamples:
        """The training scenes."""
        settings, model = self.settings, self.settings.model
        scenes = self.training_split().train
        return SceneSamples(
            scenes, settings.points, model.features, settings.augment, settings.repeat, model.floor_percent
        )

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """Average precision on the validation scenes."""
        from pointcloud.evaluation.common_classes import CommonDetections  # not for prediction
        from pointcloud.evaluation.scenes import ScoredScene, evaluate_scenes

        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        scenes, names = self.scored_scenes(), self.common.common
        both = CommonDetections(self.common, self.class_names, self.split.class_names)

        def detected() -> Iterator[ScoredScene]:
            for done, reader in enumerate(scenes):
                progress(done, len(scenes), reader.name)
                scene = reader.read()
                found = both.of(self.detect(models, scene.cloud, device, self.settings.postprocess, seed=done))
                yield ScoredScene(scene.name, scene.cloud, scene.truth.of_classes(names), found)

        conditions = self._conditions(len(models)) | condition(self.in_bfloat16(device)) | self.noted(scenes)
        return both.stated(evaluate_scenes(detected(), names, conditions, pictures), scenes)

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
        columns = self.settings.model
        points = to_network(cloud, self.settings.points, columns.features, seed, columns.floor_percent).to(device)
        detectors: list[RoomDetector[Any]] = [in_evaluation(RoomDetector.of(model)) for model in models]
        with computing(self.in_bfloat16(device), device):
            predictions = [detector([points]) for detector in detectors]
        proposals = [detector.proposals(one)[0] for detector, one in zip(detectors, predictions, strict=True)]
        return postprocess(join_proposals(proposals), self.class_names, choice)

    def in_bfloat16(self, device: torch.device) -> bool:
        """As of all clouds; on a CPU only if asked for, which saves a twelfth of a small network's time there."""
        return super().in_bfloat16(device) and (device.type != "cpu" or self.settings.predict.amp == "bf16")

    def _detect_aligned(
        self,
        models: Sequence[nn.Module],
        cloud: PointCloud,
        device: torch.device,
        choice: DetectionPostprocessSettings,
    ) -> tuple[Detections, Note]:
        """Objects in a room that is shown to the models with its walls along the axes, and what was done."""
        angle = wall_angle(cloud.xyz)
        if angle is None:
            note = Note("walls-not-found", "no clear walls, so the room was not turned")
            return self.detect(models, cloud, device, choice), note
        found = self.detect(models, turned_cloud(cloud, angle), device, choice)
        text = "turned by {degrees:.1f} degrees to lay walls along the axes (--no-align does not)"
        note = Note("room-turned", text, "align", numbers={"degrees": math.degrees(angle)})
        return turned(found, -angle), note

    def only_moved(self) -> DetectionSettings:
        """Without cuts, whose boxes depend on what was cut away."""
        augment = self.settings.augment.model_copy(update={"cuboid": CuboidSettings()})
        return self.settings.model_copy(update={"augment": augment})

    @torch.no_grad()
    def attention(
        self, models: Sequence[nn.Module], scan: PointCloud | Recording, device: torch.device, place: np.ndarray
    ) -> AttentionMap:
        """As the network is shown a person's scan, turned for it where that helps."""
        if isinstance(scan, Recording):
            raise UsageError("attention is shown of one cloud, not of a recording", where=scan.path)
        settings, columns = self.settings, self.settings.model
        if len(models) != 1:
            raise UsageError("attention is shown of one model", where="--model", got=f"an ensemble of {len(models)}")
        detector = in_evaluation(models[0])
        if not isinstance(detector, AttendingDetector):
            return super().attention(models, scan, device, place)

        shown = ordered(scan, columns.features, settings.points)
        aligned = settings.predict.align and columns.angle_bins == 1
        turn = turn_about_z((wall_angle(shown.xyz) if aligned else None) or 0.0)
        shown = replace(shown, xyz=(shown.xyz @ turn[:3, :3].T).astype(np.float32))

        points = to_network(shown, settings.points, columns.features, 0, columns.floor_percent).to(device)
        there = torch.from_numpy(turn[:3, :3] @ (place - scan.origin)).float().to(device)
        back = turn.T.copy()
        back[:3, 3] = scan.origin
        return detector.attention(points, there).moved(back)

    def undistorted(self) -> DetectionSettings:
        """Without distortions."""
        return self.settings.model_copy(update={"augment": SceneAugmentSettings()})

    def prepared(self, cloud: PointCloud) -> PointCloud:
        """Of a mesh as many points as the network takes; a scan unlike those of the training is noted."""
        notes = unlike_a_room(cloud) or unlike(self.known, self.numbers(cloud), self.traits)
        cloud = surface_of(cloud, self.settings.points)
        return replace(cloud, notes=(*cloud.notes, *notes))

    def numbers(self, cloud: PointCloud) -> dict[str, float]:
        """Points, extent and density of a room."""
        return of_room(cloud)

    def find(
        self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device
    ) -> tuple[Detections, PointCloud]:
        """One class per box, of those that are sure enough; the room turned for it where that helps."""
        settings = self.settings
        choice = settings.postprocess.model_copy(update={"per_class": False, "min_score": settings.predict.score})
        shown = ordered(cloud, settings.model.features, settings.points)
        cloud = noted(cloud, self.in_bfloat16(device))
        if not settings.predict.align or settings.model.angle_bins != 1:
            return self.detect(models, shown, device, choice), cloud
        found, note = self._detect_aligned(models, shown, device, choice)
        return found, replace(cloud, notes=(*cloud.notes, note))
