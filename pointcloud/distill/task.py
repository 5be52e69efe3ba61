"""Distillation as a task: a student's own task, and a teacher that adds terms to the student's loss.

Neither the student nor its task depends on it. A checkpoint of such a run is an ordinary checkpoint of the student; the
run's `config.yaml` names the teacher and the method.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.distill.cache import KeptOutputs
from pointcloud.distill.methods import (
    DistillMethod,
    FeatureMethod,
    PseudoLabelMethod,
    PseudoLabelSettings,
    SetMethod,
    TeacherOutput,
    ground_of,
)
from pointcloud.distill.set_loss import DistillSettings, combine
from pointcloud.distill.teacher import Teacher
from pointcloud.distill.views import SeenSettings, TwoClouds, TwoViews, Views, plan_views
from pointcloud.structures.detector import Detector, P
from pointcloud.structures.similarity import UNMOVED
from pointcloud.structures.targets import BoxTargets
from pointcloud.tasks.base import CloudTask
from pointcloud.tasks.lidar import LidarSettings, LidarTask
from pointcloud.tasks.rooms import DetectionSettings, DetectionTask
from vol3d import checkpoint
from vol3d.engine.seen import Seen
from vol3d.engine.settings import RunSettings
from vol3d.engine.task import Evaluation, Samples, TrainingTask
from vol3d.engine.trained_on import TrainedOn, inherited
from vol3d.errors import CheckpointError, UsageError
from vol3d.terminal import Progress, say

if TYPE_CHECKING:
    from vol3d.view.theme import Background

METHOD_OF = dict.fromkeys(set(DistillSettings.model_fields) - {"alpha", "beta"}, "set") | {
    "pseudo_labels": "pseudo_labels"
}
"""Settings that only one method uses."""

_AS_IT_LIES = "of the scene as it lies"
"""What cached outputs are of; those of 0.1.0 were of the first draw of a scene's points."""


class TeacherSettings(DistillSettings):
    """The teacher and the method; the rest of the configuration is a recipe of the student."""

    teacher: str = Field(description="a run's folder, its best.safetensors, or the name of a shipped model")
    sha256: str | None = Field(None, description="the teacher's fingerprint; null: whichever it has")
    method: Literal["set", "features", "pseudo_labels"] = Field("set", description="the paper's, or a baseline")
    pseudo_labels: PseudoLabelSettings = Field(PseudoLabelSettings(), description="if they are the method")
    teacher_sees: SeenSettings = SeenSettings()
    cache: Path | None = Field(
        None,
        description="folder that caches the teacher's outputs, once for each scene; boxes follow its motions",
    )

    @model_validator(mode="after")
    def _matters(self) -> TeacherSettings:
        for name, method in METHOD_OF.items():
            if self.method != method and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} means nothing to the method {self.method}")
        return self


class DistilledLidarSettings(LidarSettings):
    """A recipe for LiDAR with a teacher."""

    distill: TeacherSettings


class DistilledDetectionSettings(DetectionSettings):
    """A recipe for rooms with a teacher."""

    distill: TeacherSettings


class DistillTask(TrainingTask):
    """A student's task with a teacher."""

    student_type: ClassVar[type[CloudTask]]

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        recipe = self.student_type.settings_type
        self.student = self.student_type(recipe(**{name: getattr(settings, name) for name in recipe.model_fields}))
        self.few: int | None = None  # training scenes, where not all of them

    @cached_property
    def taught_by(self) -> checkpoint.Loaded:
        """The teacher.

        Raises:
            UsageError: no such checkpoint, an ensemble, other classes than the student's.
            CheckpointError: damaged, or not the one of the settings.
        """
        settings: TeacherSettings = self.settings.distill
        loaded = checkpoint.load(settings.teacher)
        if len(loaded.models) != 1:
            raise UsageError("an ensemble cannot teach", where="distill.teacher", got=settings.teacher)
        found = loaded.info[0]["sha256"]
        if settings.sha256 not in {None, found}:
            do = "Put the old teacher back, or leave distill.sha256 out for a new run."
            what = "not the teacher that the run began with"
            raise CheckpointError(what, where=settings.teacher, got=found, wanted=settings.sha256, do=do)
        Teacher.of(loaded.models[0]).check_classes(self.class_names)
        return loaded

    def teachers(self) -> tuple[str, ...]:
        """The one of the settings."""
        return (self.settings.distill.teacher,)

    def on(self, device: torch.device) -> DistillTask:
        """The student's, too."""
        task = super().on(device)
        if task is not self:
            task.student = self.student.on(device)
        return task

    def resolved(self) -> RunSettings:
        """The student's, without the teacher."""
        return self.student.resolved()

    def recipe(self) -> RunSettings:
        """The student's settings, and the teacher with its fingerprint."""
        student, sha256 = self.resolved(), self._fingerprint()
        known = {name: getattr(student, name) for name in type(student).model_fields}
        return self.settings.model_copy(
            update=known | {"distill": self.settings.distill.model_copy(update={"sha256": sha256})}
        )

    def seen(self) -> Seen | None:
        """What the student's training scans are like."""
        return self.student.seen()

    def trained_on(self, progress: Progress) -> TrainedOn:
        """The student's training scenes, and what its teacher has seen."""
        return self.student.trained_on(progress).joined(inherited("teacher", self.taught_by.info))

    def _fingerprint(self) -> str | None:
        """The teacher's; where it is gone, the one of the settings: a run that has ended needs no teacher."""
        try:
            checkpoint.resolve(self.settings.distill.teacher)
        except UsageError:
            return self.settings.distill.sha256
        return self.taught_by.info[0]["sha256"]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The student's."""
        return self.student.class_names

    def model(self) -> nn.Module:
        """The student with fresh weights."""
        return self.student.model()

    @property
    def learning(self) -> TrainingTask:
        """The student's."""
        return self.student

    @cached_property
    def teaching(self) -> nn.Module:
        """The teacher's network, expecting the intensities of the student's scenes; another ground is noted."""
        (network,) = self.taught_by.models
        for note in self.student.fit(cast(CloudTask, self.taught_by.task), network):
            say(f"note: the teacher: {note}")
        return network

    def training_module(self, model: nn.Module) -> nn.Module:
        """The student with its teacher."""
        settings, teacher = self.settings.distill, Teacher.of(self.teaching)
        student: Detector[Any] = Detector.of(model)
        method: DistillMethod
        if settings.method == "set":
            method = SetMethod(settings, student, teacher.model)
        elif settings.method == "features":
            method = FeatureMethod(student, teacher.model)
        else:
            method = PseudoLabelMethod(settings.pseudo_labels, student)
        return DistillWrapper(student, teacher, method, settings, self.kept)

    @cached_property
    def views(self) -> Views:
        """What each of the two sees.

        Raises:
            UsageError: as `plan_views`; pasted objects, whose moments are not those of the scene's sweeps.
        """
        own = self.student.settings
        teacher = self.taught_by.task.settings.model.features
        views = plan_views(own.data, own.model.features, teacher, self.settings.distill.teacher_sees)
        if views.student.sweeps is not None and getattr(own, "paste", None) is not None:
            do = "Leave paste out, or let both see the same sweeps."
            raise UsageError("the sweeps of pasted objects cannot be separated", where="paste", do=do)
        return views

    @cached_property
    def dense(self) -> CloudTask:
        """The student's task with all that the teacher sees."""
        own, views = self.student.settings, self.views
        seen = {"data": views.data, "model": own.model.model_copy(update={"features": views.features})}
        task = self.student.with_settings(own.model_copy(update=seen))
        return task if self.few is None else task.overfit(self.few)

    def samples(self, progress: Progress | None = None, device: torch.device | None = None) -> Samples:
        """The student's training scenes, in both views."""
        return TwoViews(self.dense.samples(progress, device), self.views, self.kept)

    def evaluate(
        self, model: nn.Module, device: torch.device, progress: Progress, pictures: Background | None = None
    ) -> Evaluation:
        """The student on its own view."""
        return self.student.evaluate(model, device, progress, pictures)

    def overfit(self, n: int) -> DistillTask:
        """With the first `n` training scenes of the student."""
        task = type(self)(self.settings)
        task.student, task.few = self.student.overfit(n), n
        return task

    def folds(self) -> int:
        """As the student's data set."""
        return self.student.folds()

    @cached_property
    def kept(self) -> KeptOutputs | None:
        """The teacher's cached outputs, for scenes as they lie; None: it sees every sample anew.

        Raises:
            UsageError: training distorts the scenes in ways that the outputs cannot follow.
        """
        settings = self.settings.distill
        if settings.cache is None:
            return None
        self._check_distortions()
        dense = self.dense
        scenes = [scene.fingerprint(quick=True) for scene in dense.split.require().train]
        seen = dense.settings.model_dump(mode="json", include={"points", "data"})
        del seen["data"]["root"]  # the scenes' fingerprints identify the data, wherever they lie
        model = dense.settings.model
        asked = [seen, self.views.features, getattr(model, "floor_percent", None), ground_of(model)]
        asked += [] if (shifted := getattr(model, "ground", None)) is None else [shifted]
        how = settings.model_dump(mode="json", include={"method", "pseudo_labels"})
        return KeptOutputs(settings.cache, [_AS_IT_LIES, self.taught_by.info[0]["sha256"], scenes, asked, how])

    def _check_distortions(self) -> None:
        """Boxes follow a motion of the whole scene, maps do not; none follows a cut or knows a pasted object."""
        own, maps = self.student.settings, self.settings.distill.method == "features"
        plain = self.student.undistorted() if maps else self.student.only_moved()
        names = [name for name in type(own).model_fields if name != "balance"]  # shows scenes oftener, and as they are
        distorted = [name for name in names if getattr(own, name) != getattr(plain, name)]
        if distorted:
            off = {"augment": "augment={}" if maps else "augment.cuboid.when=off"}
            words = " ".join(off.get(name, f"{name}=null") for name in distorted)
            do = f"Give {words}, or leave distill.cache out: the teacher then sees every sample."
            what = "the teacher's outputs cannot follow what happens to the scenes"
            raise UsageError(what, where="distill.cache", got=", ".join(distorted), do=do)


class DistillWrapper(nn.Module, Generic[P]):
    """A student with its teacher: one forward pass of each, one loss.

    Args:
        student: learns.
        teacher: no part of this module's state.
        method: what the student learns from it.
        settings: alpha and beta.
        kept: the teacher's cached outputs.
    """

    def __init__(
        self,
        student: Detector[P],
        teacher: Teacher[Any],
        method: DistillMethod,
        settings: DistillSettings,
        kept: KeptOutputs | None = None,
    ) -> None:
        super().__init__()
        self.student, self.method = student, method
        self.teacher, self.settings, self.kept = teacher, settings, kept
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def forward(self, inputs: TwoClouds) -> tuple[P, list[TeacherOutput]]:
        """The student's prediction, and its teacher's output for each sample; see `TwoViews`."""
        return self.student(inputs["student"]), self._outputs(inputs)

    def loss(self, prediction: tuple[P, list[TeacherOutput]], targets: list[BoxTargets]) -> dict[str, Tensor]:
        """alpha x the student's own terms, beta x those against the teacher, called `teacher_...`."""
        own, outputs = prediction
        supervised = self.student.loss(own, targets)
        return combine(supervised, self.method.terms(self.student, own, outputs, targets), self.settings)

    @torch.no_grad()
    def _outputs(self, inputs: TwoClouds) -> list[TeacherOutput]:
        if self.kept is None:
            return self._ask([cloud for cloud in inputs["teacher"] if cloud is not None])

        self._keep_new(self.kept, inputs)
        kept = self.kept.read(inputs["names"])  # also what was just computed: a resumed run sees the same
        pairs = zip(kept, inputs["motions"], strict=True)
        moved = [output if how == UNMOVED else self.method.moved(output, how) for output, how in pairs]
        device = inputs["student"][0].device
        return [{key: value.to(device) for key, value in output.items()} for output in moved]

    def _keep_new(self, kept: KeptOutputs, inputs: TwoClouds) -> None:
        """Asks the teacher about the scenes that it has not seen, each once even if a batch has it twice."""
        shown = zip(inputs["names"], inputs["teacher"], strict=True)
        new = {name: cloud for name, cloud in shown if cloud is not None and not kept.knows(name)}
        if new:
            kept.write(list(new), self._ask(list(new.values())))

    def _ask(self, clouds: list[Tensor]) -> list[TeacherOutput]:
        return self.method.outputs(self.teacher.model, self.teacher(clouds))


class DistillLidarTask(DistillTask):
    """Of detectors around a LiDAR scanner."""

    name: ClassVar[str] = LidarTask.name
    settings_type: ClassVar[type[RunSettings]] = DistilledLidarSettings
    student_type: ClassVar[type[CloudTask]] = LidarTask


class DistillDetectionTask(DistillTask):
    """Of detectors in rooms."""

    name: ClassVar[str] = DetectionTask.name
    settings_type: ClassVar[type[RunSettings]] = DistilledDetectionSettings
    student_type: ClassVar[type[CloudTask]] = DetectionTask


def _rename_old_keys(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Runs that began with version 0.1 have the method's parameters under another name."""
    for key in [key for key in state if key.startswith(f"{prefix}lesson.")]:
        state[key.replace("lesson.", "method.", 1)] = state.pop(key)
