"""Losses that a set loss is made of. Pair losses give one value per matched pair; class losses one per query.

Pair losses take predictions (..., columns) and targets of the matched pairs, and return (...). Class losses take logits
(..., queries, classes) and the label of each query, -1 where it has no target, and return values and weights
(..., queries); a weighted mean divides by the sum of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry.giou import Enclosing, Intersection, giou_3d_paired


def l1_loss(prediction: Tensor, target: Tensor, *, column_weights: Sequence[float] | None = None) -> Tensor:
    """Sum of absolute differences over the columns, each with its weight (1 by default).

    Raises:
        DataError: another number of weights than columns.
    """
    away = (prediction - target).abs()
    if column_weights is None:
        return away.sum(-1)
    if len(column_weights) != away.shape[-1]:
        wanted = f"{away.shape[-1]}, one per column"
        raise DataError("wrong number of weights", where="column_weights", got=len(column_weights), wanted=wanted)
    return (away * away.new_tensor(column_weights)).sum(-1)


def giou_loss(
    boxes: Tensor,
    target_boxes: Tensor,
    *,
    enclosing: Enclosing = "axis_aligned",
    intersection: Intersection = "exact",
) -> Tensor:
    """1 minus the generalised IoU; the options are those of `vol3d.geometry.giou_3d`."""
    return 1 - giou_3d_paired(boxes, target_boxes, enclosing=enclosing, intersection=intersection)


def cross_entropy_loss(logits: Tensor, classes: Int64[Tensor, "*pairs"]) -> Tensor:
    """Cross entropy of each pair's logits (..., classes), such as 3DETR's angle bins."""
    return -logits.log_softmax(-1).take_along_dim(classes[..., None], dim=-1)[..., 0]


def huber_loss(residuals: Tensor, classes: Int64[Tensor, "*pairs"], target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Huber loss of the residual (..., bins) at the target's bin, such as 3DETR's angle residual."""
    chosen = residuals.take_along_dim(classes[..., None], dim=-1)[..., 0]
    return F.huber_loss(chosen, target, reduction="none", delta=delta)


def softmax_class_loss(
    logits: Tensor, labels: Int64[Tensor, "*batch queries"], *, background_weight: float
) -> tuple[Tensor, Tensor]:
    """Cross entropy over the classes and, last, the background, which queries without a target should choose.

    Args:
        logits: (..., queries, classes + 1).
        labels: class of each query, -1 for the background.
        background_weight: weight of the background; that of every class is 1.

    Returns:
        Weighted values and weights, (..., queries): DETR divides the sum of the one by the sum of the other.
    """
    classes = torch.where(labels < 0, logits.shape[-1] - 1, labels)
    weights = torch.where(labels < 0, background_weight, 1.0).to(logits.dtype)
    return weights * cross_entropy_loss(logits, classes), weights


def sigmoid_focal_loss(
    logits: Tensor, labels: Int64[Tensor, "*batch queries"], *, alpha: float = 0.25, gamma: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Focal loss (Lin et al., ICCV 2017, equation 5) summed over the classes; no class is true without a target.

    Args:
        logits: (..., queries, classes).
        labels: class of each query, -1 for none.
        alpha: weight of the true class.
        gamma: how much sure answers count less.
    """
    true = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    probability = logits.sigmoid()
    miss = torch.where(true, 1 - probability, probability)
    weight = torch.where(true, alpha, 1 - alpha) * miss**gamma
    values = weight * F.binary_cross_entropy_with_logits(logits, true.to(logits.dtype), reduction="none")
    return values.sum(-1), torch.ones_like(values[..., 0])
