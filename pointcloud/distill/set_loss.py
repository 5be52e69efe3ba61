"""Set-to-set distillation: a trained detector teaches another one with the set that it predicts.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021 (arXiv 2110.06923), equations
11 and 12. The authors published no code; the form of the class term, the weights and the mean over the pairs are ours.
Any two `SetDetector`s are a pair: the probabilities of a class are compared by the Kullback-Leibler divergence of two
Bernoulli distributions, so that detectors with a softmax and detectors with a sigmoid for each class can teach each
other.

matching: one to one, with the lowest total cost;
loss: alpha x the loss against the annotations + beta x the cost of the matched pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.structures.detector import Detector, P
from pointcloud.structures.predicted_set import PredictedSet
from pointcloud.structures.targets import BoxTargets, to_targets
from vol3d.engine.settings import Settings
from vol3d.errors import DataError, UsageError
from vol3d.matching import Cost, HungarianMatcher, Matches, PairLoss, SetLoss, SetTargets, l1_cost, l1_loss
from vol3d.scans.results.detections import Detections

Map = Float[Tensor, "b c _y _x"]


class DistillSettings(Settings):
    """Weights; `classes` and `box` weigh the cost of matching too, and are those of Object DGCNN's own loss."""

    alpha: float = Field(1.0, ge=0, description="weight of the loss against annotations")
    beta: float = Field(1.0, ge=0, description="weight of the loss against the teacher")
    classes: float = Field(2.0, ge=0, description="divergence of the classes' probabilities")
    box: float = Field(0.25, ge=0, description="L1 of the box codes")
    velocity: float = Field(0.05, ge=0, description="L1 of the velocities, if both predict them")
    taught: Literal["last", "all"] = Field(
        "last", description="the student's layers that learn; the teacher's last teaches"
    )
    sure_boxes: bool = Field(
        False,
        description="weigh a pair's box by the teacher's highest class probability: background counts little",
    )

    @model_validator(mode="after")
    def _teaches(self) -> DistillSettings:
        if self.alpha == self.beta == 0:
            raise ValueError("alpha and beta are both 0: the student would learn nothing")
        return self


class Teacher(Generic[P]):
    """A trained detector that predicts and never learns. It is part of neither the student nor its checkpoints.

    Args:
        model: put into evaluation mode, its parameters without gradients.
    """

    @classmethod
    def of(cls, model: nn.Module) -> Teacher[Any]:
        """The model of a checkpoint as a teacher.

        Raises:
            UsageError: it finds no objects.
        """
        if not isinstance(model, Detector):
            what, got = "a teacher that finds no objects", type(model).__name__
            raise UsageError(what, where="distill.teacher", got=got, wanted="a detector")
        return Teacher(model)

    def __init__(self, model: Detector[P]) -> None:
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, clouds: list[Tensor]) -> P:
        """What the model predicts for clouds, on their device."""
        return self.model.eval().to(clouds[0].device)(clouds)

    def check_classes(self, class_names: Sequence[str]) -> None:
        """Refuse a student with other classes.

        Raises:
            UsageError: other names, or another order.
        """
        own = self.model.class_names
        if tuple(class_names) != own:
            raise UsageError(
                "the teacher was trained for other classes than the student",
                where="distill.teacher",
                got=", ".join(own),
                wanted=", ".join(class_names),
                do="Train both on one data set.",
            )


def soft_class_loss(log_odds: Float[Tensor, "*q classes"], teacher: Float[Tensor, "*q classes"]) -> Float[Tensor, "*q"]:
    """Divergence of the student's classes from the teacher's, both as log-odds, summed over the classes; 0 if equal."""
    divergence = teacher.sigmoid() * (teacher - log_odds) + F.softplus(log_odds) - F.softplus(teacher)
    return divergence.sum(-1)


def soft_class_cost(log_odds: Tensor, teacher: Float[Tensor, "batch t classes"]) -> Tensor:
    """`soft_class_loss` of every pair: (..., batch, teacher's queries, student's queries)."""
    probability = teacher.sigmoid()
    own = (probability * teacher - F.softplus(teacher)).sum(-1)
    return own[..., None] + F.softplus(log_odds).sum(-1)[..., None, :] - probability @ log_odds.transpose(-1, -2)


def match_sets(student: PredictedSet, teacher: PredictedSet, settings: DistillSettings) -> Matches:
    """The optimal one-to-one matching of the two sets (equation 11): for each query of the teacher one of the student.

    Args:
        student: any number of layers, each matched for itself.
        teacher: one layer, no more queries than the student has.
        settings: weights of the costs.

    Raises:
        DataError: sets that cannot be compared, a prediction that is not finite.
    """
    _check_pair(student, teacher)
    matcher = HungarianMatcher(
        {
            "class": Cost(soft_class_cost, "log_odds", "log_odds", settings.classes),
            "box": Cost(l1_cost, "box", "box", settings.box),
        }
    )
    return matcher(_fields(student), _targets(teacher, settings))


def set_to_set_loss(student: PredictedSet, teacher: PredictedSet, settings: DistillSettings) -> dict[str, Tensor]:
    """Weighted terms against the teacher (equation 12), without beta; means over the pairs.

    Args:
        student: its last layer learns, or all do.
        teacher: its last layer teaches and gets no gradient. If it has more queries than the student, those with the
            highest probability of a class teach; a student's further queries learn from the annotations only.
        settings: weights.

    Returns:
        `class`, `box` and, if both predict it, `velocity`; `class/layer0` and so on for layers before the last.

    Raises:
        DataError: as `match_sets`.
    """
    with torch.autocast(student.log_odds.device.type, enabled=False):
        if student.log_odds.ndim == 4 and settings.taught == "last":
            student = student.layers(-1)
        teacher = (teacher.layers(-1) if teacher.log_odds.ndim == 4 else teacher).detach()
        teacher = top_queries(teacher, student.log_odds.shape[-2])
        matches = match_sets(student, teacher, settings)
        targets = _targets(teacher, settings)
        pairs = teacher.box.new_tensor(max(len(targets.counts) * targets.most, 1))
        return _terms(student, teacher, settings)(_fields(student), targets, matches, pairs)


def combine(
    supervised: Mapping[str, Tensor], distilled: Mapping[str, Tensor], settings: DistillSettings
) -> dict[str, Tensor]:
    """Terms whose sum is alpha x supervised + beta x distilled; names of the latter begin with `teacher_`."""
    own = {name: settings.alpha * term for name, term in supervised.items()}
    return own | {f"teacher_{name}": settings.beta * term for name, term in distilled.items()}


def top_queries(teacher: PredictedSet, count: int) -> PredictedSet:
    """The `count` queries (B, Q, ...) with the highest probability of a class; all of them if there are no more."""
    if teacher.log_odds.shape[-2] <= count:
        return teacher
    best = teacher.log_odds.amax(-1).topk(count, dim=-1).indices[..., None]

    def take(values: Tensor) -> Tensor:
        return values.take_along_dim(best, dim=-2)

    velocity = None if teacher.velocity is None else take(teacher.velocity)
    return PredictedSet(take(teacher.log_odds), take(teacher.box), velocity)


def feature_loss(student: Sequence[Map], teacher: Sequence[Map]) -> Tensor:
    """Mean squared difference of feature maps, the mean over the levels: one of the paper's two baselines.

    Args:
        student: maps of the student; each is resized to the teacher's.
        teacher: maps of the same ground; no gradient goes to them.

    Raises:
        DataError: another number of maps, samples or channels.
    """
    if not student or [x.shape[:2] for x in student] != [x.shape[:2] for x in teacher]:
        got, wanted = ([tuple(x.shape[:2]) for x in maps] for maps in (student, teacher))
        raise DataError("feature maps that cannot be compared", where="student", got=got, wanted=wanted)
    differences = [
        F.mse_loss(F.interpolate(own, size=other.shape[2:], mode="bilinear").float(), other.detach().float())
        for own, other in zip(student, teacher, strict=True)
    ]
    return torch.stack(differences).mean()


def pseudo_labels(found: Sequence[Detections], min_score: float, max_boxes: int) -> list[BoxTargets]:
    """The teacher's detections as if they were annotated: the best `max_boxes` of those with the minimum score."""
    labelled = []
    for scan in found:
        order = (-scan.scores).argsort(kind="stable")
        labelled.append(to_targets(scan.select(order[scan.scores[order] >= min_score][:max_boxes])))
    return labelled


def _terms(student: PredictedSet, teacher: PredictedSet, settings: DistillSettings) -> SetLoss:
    both = student.velocity is not None and teacher.velocity is not None
    velocity = PairLoss(_weighted_l1, ("velocity",), ("velocity", "weight"), settings.velocity if both else 0)
    return SetLoss(
        {
            "class": PairLoss(soft_class_loss, ("log_odds",), ("log_odds",), settings.classes),
            "box": PairLoss(_weighted_l1, ("box",), ("box", "weight"), settings.box),
            "velocity": velocity,
        }
    )


def _weighted_l1(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return weight * l1_loss(prediction, target)


def _fields(predicted: PredictedSet) -> dict[str, Tensor]:
    """By name, in float32."""
    fields = {"log_odds": predicted.log_odds.float(), "box": predicted.box.float()}
    return fields if predicted.velocity is None else fields | {"velocity": predicted.velocity.float()}


def _targets(teacher: PredictedSet, settings: DistillSettings) -> SetTargets:
    """What the student is compared with; the weights of the pairs are 1 on average."""
    batch, queries = teacher.log_odds.shape[:2]
    weight = teacher.probability.amax(-1) if settings.sure_boxes else teacher.log_odds.new_ones(batch, queries)
    fields = {**_fields(teacher), "weight": weight / weight.mean()}
    return SetTargets(fields, torch.full((batch,), queries))


def _check_pair(student: PredictedSet, teacher: PredictedSet) -> None:
    own, other = student.log_odds.shape, teacher.log_odds.shape
    if len(other) != 3 or own[-3] != other[0] or own[-1] != other[-1] or own[-2] < other[-2]:
        wanted = f"(..., {other[0]}, {other[-2]} or more, {other[-1]})" if len(other) == 3 else "a teacher of one layer"
        raise DataError("sets that cannot be compared", where="student.log_odds", got=tuple(own), wanted=wanted)
