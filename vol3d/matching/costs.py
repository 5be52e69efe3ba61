"""Costs of pairing queries with targets, (..., targets, queries): lower is better.

Predictions are (..., batch, queries, ...) with decoder layers in front where there are any; targets (batch, most, ...).
The targets come first in the result, because the solver walks along the queries.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vol3d.geometry.giou import Enclosing, Intersection, giou_3d


def class_probability_cost(probability: Tensor, labels: Int64[Tensor, "batch most"]) -> Tensor:
    """Minus the probability of the target's class (DETR section 3.1; 3DETR appendix).

    Args:
        probability: (..., batch, queries, classes), after softmax or sigmoid.
        labels: class of each target; padding may hold any class.
    """
    return -_of_class(probability, labels)


def focal_class_cost(
    logits: Tensor, labels: Int64[Tensor, "batch most"], *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Focal loss of predicting the target's class minus that of not predicting it (Deformable DETR's matcher).

    Args:
        logits: (..., batch, queries, classes), before the sigmoid.
        labels: class of each target.
        alpha: weight of the first.
        gamma: how much sure answers count less.
    """
    probability = logits.sigmoid()
    said = -alpha * (1 - probability) ** gamma * (probability + 1e-12).log()
    unsaid = -(1 - alpha) * probability**gamma * (1 - probability + 1e-12).log()
    return _of_class(said - unsaid, labels)


def cross_entropy_cost(logits: Tensor, teacher: Float[Tensor, "batch most classes"]) -> Tensor:
    """Cross entropy of the student's softmax with the teacher's probabilities, for distillation without labels."""
    return -teacher @ logits.log_softmax(-1).transpose(-1, -2)


def objectness_cost(objectness: Tensor, labels: Int64[Tensor, "batch most"]) -> Tensor:
    """Minus the objectness (..., batch, queries), the same for each target; 3DETR on SUN RGB-D."""
    return -objectness[..., None, :].expand(*objectness.shape[:-1], labels.shape[1], objectness.shape[-1])


def l1_cost(prediction: Tensor, target: Float[Tensor, "batch most columns"]) -> Tensor:
    """Sum of absolute differences over the last dimension, whatever it holds."""
    # Column by column: torch.cdist is slow for few columns, and all at once would hold columns times the result.
    cost = torch.zeros((), dtype=prediction.dtype, device=prediction.device)
    for column in range(prediction.shape[-1]):
        cost = cost + (prediction[..., None, :, column] - target[..., :, None, column]).abs()
    return cost


def center_distance_cost(prediction: Tensor, target: Float[Tensor, "batch most columns"]) -> Tensor:
    """Euclidean distance of the first three columns, metres for boxes."""
    away = prediction[..., None, :, :3] - target[..., :, None, :3]
    return away.square().sum(-1).sqrt()


def giou_cost(
    boxes: Tensor,
    target_boxes: Float[Tensor, "batch most columns"],
    *,
    enclosing: Enclosing = "axis_aligned",
    intersection: Intersection = "exact",
) -> Tensor:
    """Minus the generalised IoU of boxes; the options are those of `vol3d.geometry.giou_3d`."""
    first = target_boxes.expand(*boxes.shape[:-2], *target_boxes.shape[-2:])
    return -giou_3d(first, boxes, enclosing=enclosing, intersection=intersection)


def _of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Columns of (..., batch, queries, classes) at the targets' classes, as (..., batch, targets, queries)."""
    by_class = values.transpose(-1, -2)
    index = labels.expand(*by_class.shape[:-2], labels.shape[-1])[..., None]
    return by_class.take_along_dim(index, dim=-2)
