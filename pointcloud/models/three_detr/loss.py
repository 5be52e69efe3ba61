"""3DETR's loss: queries matched with annotated boxes one to one, then compared; every decoder layer for itself.

Misra et al., "An End-to-End Transformer Model for 3D Object Detection", ICCV 2021, section 3.4 and appendix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pointcloud.structures.angle_bins import encode_angle
from pointcloud.structures.bounds import Bounds
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.engine.settings import Settings
from vol3d.errors import DataError
from vol3d.geometry import wrap_yaw
from vol3d.geometry.giou import Intersection
from vol3d.matching import (
    ClassLoss,
    Cost,
    HungarianMatcher,
    PairLoss,
    SetLoss,
    SetTargets,
    class_probability_cost,
    cross_entropy_loss,
    giou_cost,
    giou_loss,
    huber_loss,
    l1_cost,
    l1_loss,
    objectness_cost,
    softmax_class_loss,
)


class MatchSettings(Settings):
    """Weights of the costs by which queries and boxes are matched."""

    class_probability: float = Field(1.0, ge=0)
    giou: float = Field(2.0, ge=0)
    center: float = Field(0.0, ge=0, description="L1 of centres as shares of the scan")
    objectness: float = Field(0.0, ge=0)


class SetLossSettings(Settings):
    """Weights of the terms. The defaults are those of 3DETR on ScanNet; `SUN_RGBD` holds the others.

    Two quirks of the released code are here by name; weights that come from it were trained with both. `intersection`
    "3detr" takes many rotated boxes that overlap for disjoint (see `vol3d.geometry.giou_3d`); `rotation_switch` takes
    all boxes of a batch for axis-aligned unless one of them is turned clockwise.
    """

    match: MatchSettings = MatchSettings()
    classes: float = Field(1.0, ge=0, description="cross entropy of the classes, the background one of them")
    background: float = Field(0.25, ge=0, description="weight of the background in it; that of every class is 1")
    angle_bin: float = Field(0.1, ge=0, description="cross entropy of the bins of the angle")
    angle_residual: float = Field(0.5, ge=0, description="Huber loss of the residual in the right bin")
    center: float = Field(5.0, ge=0, description="L1 of centres as shares of the scan")
    size: float = Field(1.0, ge=0, description="L1 of sizes as shares of the scan")
    giou: float = Field(1.0, ge=0, description="1 - GIoU of the boxes")
    intersection: Literal["exact", "3detr"] = Field("exact", description="3detr: as the released code computes GIoU")
    rotation_switch: bool = Field(False, description="as the released code: no clockwise box, no rotation in GIoU")


SUN_RGBD = SetLossSettings(
    match=MatchSettings(class_probability=1, giou=3, center=5, objectness=5), background=0.1, giou=0
)
"""3DETR on SUN RGB-D; 3DETR-m has `classes` 0.8 there."""


def set_loss(
    outputs: Mapping[str, Tensor], bounds: Bounds, targets: Sequence[BoxTargets], settings: SetLossSettings
) -> dict[str, Tensor]:
    """Weighted terms: `name` of the last decoder layer, `name/layer0` and so on of those before it.

    Args:
        outputs: (layers, B, Q, ...) each: class_logits, class_probability, objectness, center (normalised), size
            (normalised), angle_logits, angle_residual (in half bins), boxes.
        bounds: of the scans.
        targets: annotated boxes of each scan, in the frame of its points.
        settings: weights and quirks.

    Raises:
        DataError: more boxes than queries in a scan, a class that the model does not have, boxes that turn though the
            model's do not, values that are not finite.
    """
    with torch.autocast(bounds.low.device.type, enabled=False):
        *_, queries, classes = outputs["class_probability"].shape
        _check_counts(targets, queries)
        check_targets(targets, len(bounds.low), classes, outputs["angle_logits"].shape[-1] > 1)
        fields = encode_targets(targets, bounds, outputs["angle_logits"].shape[-1])
        intersection = _intersection(fields, settings)
        matches = matcher(settings.match, intersection)(outputs, fields)
        return _terms(settings, intersection)(outputs, fields, matches)


def encode_targets(targets: Sequence[BoxTargets], bounds: Bounds, angle_bins: int) -> SetTargets:
    """Boxes in the terms of the heads: places and sizes as shares of the scan, clockwise angles as bin and residual."""
    samples = []
    for target, low, extent in zip(targets, bounds.low, bounds.extent, strict=True):
        boxes = target.boxes[:, :7].float()
        angle_bin, residual = encode_angle(-boxes[:, 6], angle_bins)
        samples.append(
            {
                "label": target.labels,
                "center": (boxes[:, :3] - low) / extent,
                "size": boxes[:, 3:6] / extent,
                "angle_bin": angle_bin,
                "angle_residual": residual,
                "boxes": boxes,
            }
        )
    return SetTargets.pad(samples)


def matcher(weights: MatchSettings, intersection: Intersection = "exact") -> HungarianMatcher:
    """The costs of pairing a query with a box (3DETR, equation 2 of its appendix)."""
    return HungarianMatcher(
        {
            "class": Cost(class_probability_cost, "class_probability", "label", weights.class_probability),
            "objectness": Cost(objectness_cost, "objectness", "label", weights.objectness),
            "center": Cost(l1_cost, "center", "center", weights.center),
            "giou": Cost(partial(giou_cost, intersection=intersection), "boxes", "boxes", weights.giou),
        }
    )


def _terms(settings: SetLossSettings, intersection: Intersection) -> SetLoss:
    entropy = partial(softmax_class_loss, background_weight=settings.background)
    overlap = partial(giou_loss, intersection=intersection)
    residual = PairLoss(huber_loss, ("angle_residual",), ("angle_bin", "angle_residual"), settings.angle_residual)
    return SetLoss(
        {
            "class": ClassLoss(entropy, "class_logits", "label", divide_by="weights", weight=settings.classes),
            "angle_bin": PairLoss(cross_entropy_loss, ("angle_logits",), ("angle_bin",), settings.angle_bin),
            "angle_residual": residual,
            "center": PairLoss(l1_loss, ("center",), ("center",), settings.center),
            "size": PairLoss(l1_loss, ("size",), ("size",), settings.size),
            "giou": PairLoss(overlap, ("boxes",), ("boxes",), settings.giou),
        }
    )


def _intersection(targets: SetTargets, settings: SetLossSettings) -> Intersection:
    clockwise = -targets.fields["boxes"][..., 6]
    if settings.rotation_switch and not bool((wrap_yaw(clockwise) > 0).any()):
        return "3detr_unrotated"
    return settings.intersection


def _check_counts(targets: Sequence[BoxTargets], queries: int) -> None:
    for index, target in enumerate(targets):
        if len(target.labels) > queries:
            got, do = len(target.labels), "Train with more of them (model.queries), or leave boxes out."
            where, wanted = f"targets[{index}]", f"{queries} at most"
            raise DataError("more boxes than queries", where=where, got=got, wanted=wanted, do=do, index=index)
