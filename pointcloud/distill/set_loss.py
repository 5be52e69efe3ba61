"""Set-to-set distillation: a trained detector teaches another one with the set that it predicts.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021 (arXiv 2110.06923). T is the
teacher, S the student, j runs over the teacher's predictions, c is a class (or no object) and b a box:

    matching (11)   sigma_d = argmin over sigma of  sum_j  -log p_sigma(j)(c_j^T) + L_box(b_j^T, b_sigma(j)^S)
    loss (12)       L_distill = sum_j  -log p_sigma_d(j)(c_j^T) + L_box(b_j^T, b_sigma_d(j)^S)
    total           L = alpha L_sup + beta L_distill,  alpha = beta = 1

Any two `SetDetector`s are a pair. Three things that the paper leaves open are settings: what a teacher's prediction of
the background teaches (`background`, `object_score`), the scale of the two terms (`classes`, `box`, `divide_by`), and
whether a class or its whole distribution is learned (`class_term`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from pointcloud.structures.predicted_set import PredictedSet
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.matching import (
    Cost,
    HungarianMatcher,
    Matches,
    PairLoss,
    SetLoss,
    SetTargets,
    average_count,
    l1_cost,
    l1_loss,
)

Ground = tuple[float, ...]
"""Lowest x y z, then highest, metres."""


class DistillSettings(Settings):
    """What is compared. The weights are those of Object DGCNN's own loss; those of a pair weigh the matching too."""

    alpha: float = Field(1.0, ge=0, description="weight of the loss against annotations")
    beta: float = Field(1.0, ge=0, description="weight of the loss against the teacher")
    classes: float = Field(2.0, ge=0, description="weight of a pair's class term")
    box: float = Field(0.25, ge=0, description="L1 of the box codes")
    velocity: float = Field(0.05, ge=0, description="L1 of the velocities; 0: they are not compared")
    class_term: Literal["likelihood", "divergence"] = Field(
        "likelihood",
        description="likelihood: of the teacher's class, as printed; divergence: Kullback-Leibler, of the probability "
        "of each class by itself",
    )
    object_score: float = Field(
        0.3,
        ge=0,
        le=1,
        description="a prediction whose best class is less probable is of no object; 0: every prediction is an object",
    )
    background: Literal["no_object", "class_only", "left_out"] = Field(
        "no_object",
        description="what the teacher's predictions of no object teach; no_object: that, and their boxes, as "
        "printed for every pair; class_only: that alone; left_out: nothing",
    )
    divide_by: Literal["annotated", "pairs"] = Field(
        "annotated",
        description="what the printed sum is divided by; annotated: the number of annotated boxes, as the sum of the "
        "supervised loss, so that alpha and beta weigh as printed; pairs: its own number of pairs",
    )
    taught: Literal["last", "all"] = Field(
        "last", description="the student's layers that learn; the teacher's last teaches"
    )
    sure_boxes: bool = Field(False, description="weigh a pair's box by the teacher's highest class probability")

    @model_validator(mode="after")
    def _teaches(self) -> DistillSettings:
        if self.alpha == self.beta == 0:
            raise ValueError("alpha and beta are both 0: the student would learn nothing")
        unused = self.class_term == "divergence" and self.background == "no_object"
        if unused and self.object_score != type(self).model_fields["object_score"].default:
            raise ValueError("object_score means nothing to the divergence where every pair counts")
        return self


def likelihood_loss(
    log_likelihood: Float[Tensor, "*q choices"], target: Float[Tensor, "*q choices"]
) -> Float[Tensor, "*q"]:
    """-log p(c): the target is 1, or the pair's weight, in the column of the teacher's class; the last: no object."""
    return -(target * log_likelihood).sum(-1)


def likelihood_cost(log_likelihood: Tensor, target: Float[Tensor, "batch t choices"]) -> Tensor:
    """`likelihood_loss` of every pair: (..., batch, teacher's queries, student's queries)."""
    return -(target @ log_likelihood.transpose(-1, -2))


def divergence_loss(log_odds: Float[Tensor, "*q classes"], teacher: Float[Tensor, "*q classes"]) -> Float[Tensor, "*q"]:
    """Divergence of the student's classes from the teacher's, both as log-odds, summed over the classes; 0 if equal."""
    divergence = teacher.sigmoid() * (teacher - log_odds) + F.softplus(log_odds) - F.softplus(teacher)
    return divergence.sum(-1)


def divergence_cost(log_odds: Tensor, teacher: Float[Tensor, "batch t classes"]) -> Tensor:
    """`divergence_loss` of every pair: (..., batch, teacher's queries, student's queries)."""
    probability = teacher.sigmoid()
    own = (probability * teacher - F.softplus(teacher)).sum(-1)
    return own[..., None] + F.softplus(log_odds).sum(-1)[..., None, :] - probability @ log_odds.transpose(-1, -2)


def match_sets(
    student: PredictedSet, teacher: PredictedSet, settings: DistillSettings, ground: Ground | None = None
) -> Matches:
    """The optimal one-to-one matching of the two sets (equation 11): for each query of the teacher one of the student.

    Args:
        student: any number of layers, each matched for itself.
        teacher: one layer, no more queries than the student has.
        settings: weights of the costs, which are the terms of the loss.
        ground: that the student sees; a teacher's prediction elsewhere costs nothing and takes the query that is left.

    Raises:
        DataError: sets that cannot be compared, a prediction that is not finite.
    """
    _check_pair(student, teacher)
    terms = _pair_terms(student, teacher, settings)
    costs = {name: Cost(term.cost, term.prediction, name, term.weight) for name, term in terms.items()}
    return HungarianMatcher(costs)(_fields(student), _targets(teacher, settings, ground))


def set_to_set_loss(
    student: PredictedSet,
    teacher: PredictedSet,
    settings: DistillSettings,
    annotated: Int64[Tensor, " b"],
    ground: Ground | None = None,
) -> dict[str, Tensor]:
    """Weighted terms against the teacher (equation 12), without beta.

    Args:
        student: its last layer learns, or all do.
        teacher: its last layer teaches and gets no gradient. If it has more queries than the student, those with the
            highest probability of a class teach; a student's further queries learn from the annotations only.
        settings: weights, and what the paper leaves open.
        annotated: how many boxes each sample has.
        ground: as `match_sets`.

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

        matches = match_sets(student, teacher, settings, ground)
        targets = _targets(teacher, settings, ground)
        divisor = teacher.box.new_tensor(max(len(targets.counts) * targets.most, 1))
        if settings.divide_by == "annotated":
            divisor = average_count(annotated, teacher.box.device)
        terms = _pair_terms(student, teacher, settings)
        losses = {name: PairLoss(term.loss, (term.prediction,), (name,), term.weight) for name, term in terms.items()}
        return SetLoss(losses)(_fields(student), targets, matches, divisor)


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
    return teacher.queries(teacher.log_odds.amax(-1).topk(count, dim=-1).indices)


class PairTerm(NamedTuple):
    """One term of a pair: what the matching pays for it is what the loss has of it.

    cost, loss: functions as `Cost` and `PairLoss` take them.
    prediction: what they look at of the student; of the teacher they get the field of the term's own name.
    weight: of both.
    """

    cost: Callable[[Tensor, Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    prediction: str
    weight: float


def _pair_terms(student: PredictedSet, teacher: PredictedSet, settings: DistillSettings) -> dict[str, PairTerm]:
    by_class = PairTerm(likelihood_cost, likelihood_loss, "log_likelihood", settings.classes)
    if settings.class_term == "divergence":
        by_class = PairTerm(_weighted_divergence_cost, _weighted_divergence, "log_odds", settings.classes)
    both = student.velocity is not None and teacher.velocity is not None
    return {
        "class": by_class,
        "box": PairTerm(_weighted_l1_cost, _weighted_l1, "box", settings.box),
        "velocity": PairTerm(_weighted_l1_cost, _weighted_l1, "velocity", settings.velocity if both else 0),
    }


def _weighted_divergence(prediction: Tensor, target: Tensor) -> Tensor:
    return target[..., -1] * divergence_loss(prediction, target[..., :-1])


def _weighted_divergence_cost(prediction: Tensor, target: Tensor) -> Tensor:
    return target[..., -1:] * divergence_cost(prediction, target[..., :-1])


def _weighted_l1(prediction: Tensor, target: Tensor) -> Tensor:
    return target[..., -1] * l1_loss(prediction, target[..., :-1])


def _weighted_l1_cost(prediction: Tensor, target: Tensor) -> Tensor:
    return target[..., -1:] * l1_cost(prediction, target[..., :-1])


def _fields(student: PredictedSet) -> dict[str, Tensor]:
    """By name, in float32."""
    fields = {"log_odds": student.log_odds.float(), "box": student.box.float()}
    fields["log_likelihood"] = student.log_likelihood().float()
    return fields if student.velocity is None else fields | {"velocity": student.velocity.float()}


def _targets(teacher: PredictedSet, settings: DistillSettings, ground: Ground | None) -> SetTargets:
    """What the student is compared with; the last column of a field is the pair's weight."""
    score, best = teacher.probability.float().max(-1)  # (B, T)
    is_object, counted = score >= settings.object_score, inside(teacher.box, ground).float()
    box_weight = counted if settings.background == "no_object" else counted * is_object
    class_weight = counted * is_object if settings.background == "left_out" else counted
    if settings.sure_boxes:
        box_weight = box_weight * score / score.mean()

    def weighed(values: Tensor, weight: Tensor) -> Tensor:
        return torch.cat([values.float(), weight[..., None]], dim=-1)

    classes = weighed(teacher.log_odds, class_weight)
    if settings.class_term == "likelihood":
        nothing = teacher.log_odds.shape[-1]  # the column of no object
        classes = F.one_hot(torch.where(is_object, best, nothing), nothing + 1) * class_weight[..., None]
    fields = {"class": classes, "box": weighed(teacher.box, box_weight)}
    fields |= {} if teacher.velocity is None else {"velocity": weighed(teacher.velocity, box_weight)}
    return SetTargets(fields, torch.full((len(score),), score.shape[1]))


def inside(box: Float[Tensor, "*n c"], ground: Ground | None) -> Bool[Tensor, "*n"]:
    """Which boxes, or codes of boxes, have their centre on the ground seen from above; all where it has no limits."""
    if ground is None:
        return torch.ones_like(box[..., 0], dtype=torch.bool)
    low, high = box.new_tensor(ground[:2]), box.new_tensor(ground[3:5])
    return ((box[..., :2] >= low) & (box[..., :2] <= high)).all(-1)


def _check_pair(student: PredictedSet, teacher: PredictedSet) -> None:
    own, other = student.log_odds.shape, teacher.log_odds.shape
    if len(other) != 3 or own[-3] != other[0] or own[-1] != other[-1] or own[-2] < other[-2]:
        wanted = f"(..., {other[0]}, {other[-2]} or more, {other[-1]})" if len(other) == 3 else "a teacher of one layer"
        raise DataError("sets that cannot be compared", where="student.log_odds", got=tuple(own), wanted=wanted)
