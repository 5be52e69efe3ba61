"""What a student can learn from its teacher: the predicted set, the feature maps or the boxes.

`SetMethod` is the paper's method (Wang and Solomon, "Object DGCNN", NeurIPS 2021, section 4); the other two are the
baselines that it is compared with. A teacher's output for a sample is a dict of tensors, so that it can be cached.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pointcloud.distill.baselines import feature_loss, pseudo_labels
from pointcloud.distill.motion import moved_boxes, moved_code, moved_velocity
from pointcloud.distill.set_loss import DistillSettings, inside, set_to_set_loss
from pointcloud.models.layers.bev_backbones import Fpn
from pointcloud.models.object_dgcnn.model import ObjectDgcnnPrediction
from pointcloud.structures.detector import (
    Detector,
    DetectorSettings,
    LidarDetectorSettings,
    P,
    RoomDetectorSettings,
    SetDetector,
)
from pointcloud.structures.predicted_set import PredictedSet
from pointcloud.structures.similarity import Similarity
from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError

TeacherOutput = dict[str, Tensor]
"""What is learned from the teacher about one sample."""


class PseudoLabelSettings(Settings):
    """Which of the teacher's boxes count as annotated; with `alpha: 0` they replace the annotated ones."""

    least_score: float = Field(0.3, ge=0, le=1)
    most: int = Field(50, ge=1, description="of a sample, and no more than the student has queries")


class DistillMethod(nn.Module, ABC):
    """One of the methods; its parameters, if it has any, are trained with the student's."""

    @abstractmethod
    def outputs(self, teacher: Detector[P], prediction: P) -> list[TeacherOutput]:
        """What the method needs of the teacher's prediction, one dict for each sample."""

    @abstractmethod
    def terms(
        self, student: Detector[P], prediction: P, outputs: Sequence[TeacherOutput], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """Terms of the loss against the teacher's outputs, without beta.

        Args:
            student: it learns.
            prediction: of the student.
            outputs: of the teacher, one for each sample.
            targets: what is annotated.
        """

    @abstractmethod
    def moved(self, output: TeacherOutput, how: Similarity) -> TeacherOutput:
        """The output for a scene as if the scene had been moved before the teacher saw it, on the CPU."""


class SetMethod(DistillMethod):
    """Equations 11 and 12: both sets matched one to one, then compared.

    Raises:
        UsageError: one of the two predicts no set, or both state different things of a box.
    """

    def __init__(self, settings: DistillSettings, student: Detector[Any], teacher: Detector[Any]) -> None:
        super().__init__()
        self.settings = settings
        self.ground, self.turns = ground_of(student.settings), turns(student.settings)
        own, other = _compared_code(student, "student", settings), _compared_code(teacher, "teacher", settings)
        if own != other:
            what = "the teacher states other things of a box than the student"
            do = "Give distill.velocity=0 where only velocities differ, or distil pseudo_labels."
            raise UsageError(what, where="distill.teacher", got=" ".join(other), wanted=" ".join(own), do=do)

    def outputs(self, teacher: Detector[P], prediction: P) -> list[TeacherOutput]:
        """The set that the last layer predicts."""
        predicted = _as_set(teacher, prediction)
        predicted = predicted.layers(-1) if predicted.log_odds.ndim == 4 else predicted
        fields = {"log_odds": predicted.log_odds, "box": predicted.box}
        fields |= {} if predicted.velocity is None else {"velocity": predicted.velocity}
        return [{name: values[row] for name, values in fields.items()} for row in range(len(predicted.log_odds))]

    def terms(
        self, student: Detector[P], prediction: P, outputs: Sequence[TeacherOutput], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """As `set_to_set_loss`."""
        teacher = PredictedSet(**{name: torch.stack([output[name] for output in outputs]) for name in outputs[0]})
        annotated = torch.tensor([len(target.labels) for target in targets])
        return set_to_set_loss(_as_set(student, prediction), teacher, self.settings, annotated, self.ground)

    def moved(self, output: TeacherOutput, how: Similarity) -> TeacherOutput:
        """The boxes and their velocities."""
        velocity = {"velocity": moved_velocity(output["velocity"], how)} if "velocity" in output else {}
        return {**output, "box": moved_code(output["box"], how, self.turns), **velocity}


class FeatureMethod(DistillMethod):
    """The maps that the queries attend to; a 1 x 1 convolution where the numbers of channels differ."""

    def __init__(self, student: Detector[Any], teacher: Detector[Any]) -> None:
        super().__init__()
        own, other = (_pyramid(model, who) for model, who in ((student, "student"), (teacher, "teacher")))
        if own.levels != other.levels:
            got, wanted = f"{own.levels} levels", f"{other.levels} as the teacher's"
            raise UsageError("feature pyramids that cannot be compared", where="model.neck", got=got, wanted=wanted)
        ground, shown = (ground_of(model.settings) for model in (student, teacher))
        if ground != shown:
            what = "feature maps of different ground cannot be compared"
            raise UsageError(what, where="model.voxels.point_range_m", got=ground, wanted=f"{shown} as the teacher's")
        same = own.width == other.width
        bridges = (nn.Identity() if same else nn.Conv2d(own.width, other.width, 1) for _ in range(own.levels))
        self.bridges = nn.ModuleList(bridges)

    def outputs(self, teacher: Detector[P], prediction: P) -> list[TeacherOutput]:
        """The maps, finest first."""
        maps = _maps(prediction)
        named = {f"map{level}": one for level, one in enumerate(maps)}
        return [{name: one[row] for name, one in named.items()} for row in range(len(maps[0]))]

    def terms(
        self, student: Detector[P], prediction: P, outputs: Sequence[TeacherOutput], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """Mean squared difference, see `feature_loss`."""
        own = [bridge(one.float()) for bridge, one in zip(self.bridges, _maps(prediction), strict=True)]
        other = [torch.stack([output[f"map{level}"] for output in outputs]) for level in range(len(own))]
        return {"features": feature_loss(own, other)}

    def moved(self, output: TeacherOutput, how: Similarity) -> TeacherOutput:
        """Maps cannot follow; `DistillTask` refuses to keep them where scenes are moved."""
        raise TypeError("maps cannot be moved")


class PseudoLabelMethod(DistillMethod):
    """The teacher's highest-scoring boxes, as if they were annotated."""

    def __init__(self, settings: PseudoLabelSettings, student: Detector[Any]) -> None:
        super().__init__()
        self.settings = settings
        self.ground, self.turns = ground_of(student.settings), turns(student.settings)

    def outputs(self, teacher: Detector[P], prediction: P) -> list[TeacherOutput]:
        """Boxes and labels."""
        found = pseudo_labels(teacher.decode(prediction), self.settings.least_score, self.settings.most)
        return [{"boxes": one.boxes, "labels": one.labels} for one in found]

    def terms(
        self, student: Detector[P], prediction: P, outputs: Sequence[TeacherOutput], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """The student's own loss."""
        device = next(student.parameters()).device
        queries = None  # boxes are sorted by score
        if isinstance(student, SetDetector):
            queries = student.as_set(prediction).log_odds.shape[-2]

        found = [BoxTargets(output["boxes"][:queries], output["labels"][:queries]).to(device) for output in outputs]
        return student.loss(prediction, found)

    def moved(self, output: TeacherOutput, how: Similarity) -> TeacherOutput:
        """The boxes; those that leave the ground that the student sees are left out, as annotated ones are."""
        boxes = moved_boxes(output["boxes"], how, self.turns)
        kept = inside(boxes, self.ground)
        return {"boxes": boxes[kept], "labels": output["labels"][kept]}


def turns(settings: DetectorSettings) -> bool:
    """Whether the boxes of a detector turn."""
    return not isinstance(settings, RoomDetectorSettings) or settings.angle_bins > 1


def ground_of(settings: DetectorSettings) -> tuple[float, ...] | None:
    """The range that a detector covers; None if it has no limit."""
    return settings.voxels.point_range_m if isinstance(settings, LidarDetectorSettings) else None


def _compared_code(model: Detector[Any], who: str, settings: DistillSettings) -> tuple[str, ...]:
    """What is compared of the boxes that a detector states."""
    if not isinstance(model, SetDetector):
        do = "Distil pseudo_labels, or take an Object DGCNN or a 3DETR."
        what = f"the {who} predicts no set of boxes, one of each query"
        raise UsageError(what, where="distill.method", got=type(model).__name__, do=do)
    return tuple(name for name in model.box_code if settings.velocity > 0 or name not in ("vx", "vy"))


def _as_set(model: Detector[P], prediction: P) -> PredictedSet:
    if not isinstance(model, SetDetector):
        raise TypeError(f"{type(model).__name__} predicts no set")  # `SetMethod` refused it before
    return model.as_set(prediction)


def _maps(prediction: object) -> tuple[Tensor, ...]:
    """The maps that the queries attend to, finest first."""
    if not isinstance(prediction, ObjectDgcnnPrediction):
        raise TypeError(f"{type(prediction).__name__} has no maps")  # `_pyramid` refused its detector before
    return prediction.maps


def _pyramid(model: nn.Module, who: str) -> Fpn:
    neck = getattr(model, "neck", None)
    if not isinstance(neck, Fpn):
        do = "Choose distill.method set or pseudo_labels."
        what = f"the {who} has no feature pyramid whose maps could be compared"
        raise UsageError(what, where="distill.method", got=type(model).__name__, wanted="object_dgcnn", do=do)
    return neck
