"""Detection from LiDAR as a task: sweeps -> samples -> network -> boxes in the scanner's frame -> benchmark scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field, ValidationInfo, field_validator, model_validator
from torch import nn

from pointcloud.datasets.scenes import SceneReader
from pointcloud.datasets.settings import SceneSettings
from pointcloud.inference.extent import unlike_a_street
from pointcloud.inference.file_features import for_network, unseen
from pointcloud.inference.ground import GroundChoice, choice_of, ground_notes, ground_shift, raised, shift_note
from pointcloud.inference.intensity import Rescaling, brightened, rescaling
from pointcloud.inference.traits import (
    BRIGHTEST,
    COUNTED,
    GROUND,
    OF_SWEEPS,
    brightest_of,
    counted,
    of_sensor,
    of_sweep,
)
from pointcloud.inference.tta import SAME_OBJECT_IOU, Flips, check_symmetric, detect_flipped, merge_views
from pointcloud.structures.detector import LidarDetector, LidarDetectorSettings
from pointcloud.tasks.base import CloudTask, in_evaluation, ordered, surface_of
from pointcloud.tasks.grounded import GroundedScene, GroundRule, lifted
from pointcloud.tasks.precision import computing, condition, noted
from pointcloud.tasks.settings import CloudSettings, ReadSettings
from pointcloud.tasks.start_from import other_ground, rescale_input, takes_input
from pointcloud.training.lidar_augment import LidarAugmentSettings
from pointcloud.training.lidar_samples import LidarSamples
from pointcloud.training.object_bank import PasteSettings, object_bank
from pointcloud.training.object_noise import ObjectNoiseSettings
from pointcloud.training.samples import to_network
from vol3d.config.chosen import LATER, FromCatalogue
from vol3d.engine.seen import Seen, SeenRange, Trait, some_of, unlike
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Evaluation
from vol3d.errors import CheckpointError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.options import Axis, LengthUnit
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background


class LidarReadSettings(ReadSettings):
    """As all files are read; scanners on vehicles write metres with z up, and their files do not state it."""

    up: Axis | None = Field(None, description="the axis up; null: z, and in recordings as the frame of a cloud says")
    units: LengthUnit = "m"
    ground: GroundChoice = Field(None, description="auto, or its z in the file, m: shifted to where it was in training")

    @field_validator("up", mode="before")
    @classmethod
    def _not_stated(cls, up: Any, info: ValidationInfo) -> Any:
        """Checkpoints of before have `z` where nobody stated an axis."""
        return None if up == "z" and info.context and LATER in info.context else up

    @property
    def up_of_files(self) -> Axis:
        """The axis up in files of points."""
        return self.up or "z"


@dataclass(frozen=True, eq=False)
class PreparedSweep(PointCloud):
    """A person's sweep where its file has it, and by how many metres higher the network is to see it."""

    shift_m: float = 0.0


class LidarSettings(CloudSettings):
    """Everything about a run; a recipe in `configs/` is one of these."""

    model: Annotated[LidarDetectorSettings, FromCatalogue("models", "lidar")]
    data: Annotated[SceneSettings, FromCatalogue("datasets", "lidar")]
    balance: bool = Field(False, description="show rare classes as often as others (CBGS, Zhu et al. 2019)")
    paste: PasteSettings | None = Field(None, description="objects of other scenes put into each (GT sampling)")
    noise: ObjectNoiseSettings | None = Field(None, description="objects moved one by one (SECOND, PointPillars)")
    augment: LidarAugmentSettings = LidarAugmentSettings()
    test_flips: Flips = Field("none", description="mirror images that are looked at together with each scene")
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
    traits: ClassVar[tuple[Trait, ...]] = OF_SWEEPS

    def adapt(self, other: CloudTask, network: nn.Module) -> tuple[Note, ...]:
        """Refuses other features; intensities may be on another scale, and another ground is noted."""
        notes = super().adapt(other, network)
        return (*notes, *self.fit(other, network)) if takes_input(network, self.settings.start_from) else notes

    def fit(self, other: CloudTask, network: nn.Module) -> tuple[Note, ...]:
        """Makes another network expect the intensities of these training scenes, in place; notes another ground."""
        change, notes = None, other_ground(self.seen().ranges.get(GROUND), _range(other, GROUND))
        if "intensity" in other.settings.model.features:
            change = _other_scale(self.split.require("train").train, _range(other, BRIGHTEST))
        return notes if change is None else (rescale_input(network, change), *notes)

    @property
    def ground_rule(self) -> GroundRule | None:
        """How the data set's sweeps are shifted; None: they stay as they are."""
        aim = self.settings.model.ground
        return None if aim is None else GroundRule(aim, self.data.sensor.ground_m)

    def shown(self, scenes: Sequence[SceneReader]) -> Sequence[SceneReader]:
        """With the ground where the model has it."""
        rule = self.ground_rule
        return scenes if rule is None else tuple(GroundedScene(reader, rule) for reader in scenes)

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> LidarSamples:
        """The training scenes."""
        settings, model = self.settings, self.settings.model
        scenes, bank = self.shown(self.training_split().train), None
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
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """The data set's own benchmark on the validation scenes; of a test set what it takes, without a score."""
        from pointcloud.evaluation.benchmark import benchmark_of, submit  # not for prediction
        from pointcloud.evaluation.common_classes import CommonDetections

        models = list(model) if isinstance(model, nn.ModuleList) else [model]
        scenes, notes = self.scored_scenes(), dict[tuple[str, str | None, str | None], Note]()
        conditions = {"data": self.split.name, "models": str(len(models)), "test flips": self.settings.test_flips}
        names, change = self.common.common, None
        both = CommonDetections(self.common, self.class_names, self.split.class_names)
        if self.settings.seen is not None and "intensity" in self.settings.model.features:
            change = _other_scale(scenes, self.settings.seen.ranges.get(BRIGHTEST))
        if change is not None:
            conditions["intensities"] = str(change.note)

        rule = self.ground_rule
        if rule is not None:
            conditions["ground"] = f"as found in each sweep, shifted to {rule.aim_m:g} m"
        conditions |= condition(self.in_bfloat16(device))

        def detect(cloud: PointCloud) -> Detections:
            shown = cloud if change is None else brightened(cloud, change.factor)
            found, assumed = self.detect_on_ground(models, shown, device)
            notes.update((note.kind, note) for note in (*cloud.notes, *assumed))
            return both.of(found)

        if not self.scored:
            written = submit(self.data.name, scenes, detect, names, progress, self.submission)
            return both.stated(written, scenes, scored=False)
        benchmark = benchmark_of(self.data.name)
        evaluation = benchmark(scenes, detect, names, progress, conditions, pictures, self.submission)
        evaluation.summary.update(self.noted(scenes, list(notes.values())))
        return both.stated(evaluation, scenes)

    def detect_on_ground(
        self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device
    ) -> tuple[Detections, tuple[Note, ...]]:
        """`detect` with the ground where the model has it; the boxes are in the frame of the points all the same.

        Also returns a note where the ground had to be assumed.
        """
        rule = self.ground_rule
        shift, assumed = (0.0, ()) if rule is None else rule.shift_m(cloud, str(cloud.source))
        return lifted(self.detect(models, raised(cloud, shift), device), -shift), assumed

    @torch.no_grad()
    def detect(self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device) -> Detections:
        """Objects around one place, in the frame of the points; several models' boxes of one object are averaged."""
        points = to_network(cloud, None, self.settings.model.features).to(device)
        detectors: list[LidarDetector[Any]] = [in_evaluation(LidarDetector.of(model)) for model in models]
        _check_grounds(detectors)
        with computing(self.in_bfloat16(device), device):
            found = [detect_flipped(detector, [points], self.settings.test_flips)[0] for detector in detectors]
        return found[0] if len(found) == 1 else merge_views(found, SAME_OBJECT_IOU)

    def with_options(self, options: Mapping[str, Any]) -> CloudTask:
        """As of all clouds, and where the `ground` lies."""
        ground = options.get("ground")
        return super().with_options(options if ground is None else {**options, "ground": choice_of(ground)})

    def only_moved(self) -> LidarSettings:
        """Without pasted objects and without objects moved one by one."""
        return self.settings.model_copy(update={"paste": None, "noise": None})

    def undistorted(self) -> LidarSettings:
        """Without distortions, every scene as often as any other."""
        plain = {"augment": LidarAugmentSettings(), "balance": False, "paste": None, "noise": None}
        return self.settings.model_copy(update=plain)

    @property
    def sweeps(self) -> int:
        """Those of the training scenes, where the network sees the age of each point."""
        density = self.data.density
        return density.sweeps if density is not None and "time" in self.settings.model.features else 1

    def prepared(self, cloud: PointCloud) -> PreparedSweep:
        """With ages and intensities on the network's scale; what it will not see, or has never seen, is noted."""
        model, known = self.settings.model, self.known
        cloud = for_network(surface_of(cloud, points=200_000), model.features, known.ranges.get(BRIGHTEST))
        shift, shown, notes = self._on_the_ground(cloud)
        notes += _scanner_note(cloud)
        notes += unseen(shown, model.voxels)
        notes += unlike_a_street(cloud) or unlike(known, counted(cloud, model.voxels.point_range_m), COUNTED)
        parts = {part.name: getattr(cloud, part.name) for part in fields(PointCloud)}
        return PreparedSweep(**{**parts, "notes": (*cloud.notes, *notes)}, shift_m=shift)

    def numbers(self, cloud: PointCloud) -> dict[str, float]:
        """Points, view, reach, ground and intensity of a sweep."""
        return of_sweep(cloud, self.settings.model.voxels.point_range_m)

    @cached_property
    def known(self) -> Seen:
        """What is known of the training scans; where they were not measured, what is known of their scanner."""
        return self.settings.seen or of_sensor(self.data.sensor, self.data.name, published=False)

    def for_model(self, model: nn.Module) -> CloudTask:
        """As of all clouds; released weights were trained on the data set of their recipe."""
        task, seen = super().for_model(model), of_sensor(self.data.sensor, self.data.name, published=True)
        return self.with_settings(task.settings.model_copy(update={"seen": seen}))

    @property
    def _ground(self) -> tuple[GroundChoice, SeenRange | None]:
        """Where the ground is in a person's file, and where the model has it; a model with `ground` has it found."""
        choice, aim = self.settings.predict.ground, self.settings.model.ground
        if aim is None:
            return choice, self.known.ranges.get(GROUND)
        return "auto" if choice is None else choice, SeenRange(low=aim, high=aim, unit="m")

    def _on_the_ground(self, cloud: PointCloud) -> tuple[float, PointCloud, tuple[Note, ...]]:
        """By how many metres the network sees the points higher, the points there, and the notes on their ground."""
        choice, trained = self._ground
        shift = ground_shift(cloud, choice, trained)
        shown = raised(cloud, shift)
        if trained is None:
            return shift, shown, ()
        notes = () if choice is None else (shift_note(shift, trained, choice),)
        return shift, shown, (*notes, *(() if choice == "auto" else ground_notes(shown.xyz, trained)))

    def find(
        self, models: Sequence[nn.Module], cloud: PointCloud, device: torch.device
    ) -> tuple[Detections, PointCloud]:
        """Boxes that are sure enough, in a cloud that is `prepared`."""
        shift = cloud.shift_m if isinstance(cloud, PreparedSweep) else ground_shift(cloud, *self._ground)
        shown = ordered(raised(cloud, shift), self.settings.model.features)
        found = replace(lifted(self.detect(models, shown, device), -shift), frame="scan")
        return found.select(found.scores >= self.settings.predict.score), noted(cloud, self.in_bfloat16(device))


def _scanner_note(cloud: PointCloud) -> tuple[Note, ...]:
    """That points far from the origin of their file were not measured from there, and from where instead."""
    if not cloud.origin[:2].any():
        return ()
    text = "the points lie far from the origin of their file, where the model has the scanner: it was assumed in their "
    text += "middle, at ({x:.0f}, {y:.0f}) m"
    numbers = dict(zip("xy", cloud.origin[:2].tolist(), strict=True))
    return (Note("scanner-assumed", text, assumed=True, numbers=numbers),)


def _check_grounds(detectors: Sequence[LidarDetector[Any]]) -> None:
    """Raises CheckpointError if the models of an ensemble have the ground at different heights."""
    grounds = [detector.settings.ground for detector in detectors]
    if len(set(grounds)) > 1:
        got = ", ".join("null" if ground is None else f"{ground:g}" for ground in grounds)
        raise CheckpointError("the models of an ensemble have the ground elsewhere", where="model.ground", got=got)


def _range(task: CloudTask, trait: str) -> SeenRange | None:
    """What is known of the scans that a detector was trained on."""
    return task.known.ranges.get(trait) if task.known is not None else None


def _other_scale(scenes: Sequence[SceneReader], brightest: SeenRange | None) -> Rescaling | None:
    """What brings the intensities of scenes to the scale of a training, where that is known and another."""
    if brightest is None:
        return None
    tops = [brightest_of(reader.read().cloud) or 0.0 for reader in some_of(scenes, most=8)]
    return rescaling(max(tops), brightest)
