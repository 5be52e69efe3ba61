"""The losses of proposals from votes (VoteNet, BoxNet, H3DNet): each belongs to the nearest object; nothing is matched.

Qi et al., "Deep Hough Voting for 3D Object Detection in Point Clouds", ICCV 2019, section 4.3 and appendix. Here the
annotated boxes say which object a seed is in, all boxes that hold it count, and only annotated boxes are objects. The
released code takes ScanNet's instance masks, keeps three boxes at most, and pads a scene's objects with some at 0 0 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from pointcloud.models.layers.proposal_head import ProposalOutputs
from pointcloud.structures.angle_bins import encode_angle
from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.geometry import points_in_boxes
from vol3d.matching import cross_entropy_loss, huber_loss


class ProposalLossSettings(Settings):
    """Weights of the terms, VoteNet's; its code has a tenth of each and multiplies the sum by 10."""

    objectness: float = Field(5.0, ge=0, description="cross entropy of object or not")
    negative: float = Field(0.2, ge=0, description="weight of proposals without an object in it")
    positive: float = Field(0.8, ge=0, description="weight of proposals with one")
    center: float = Field(10.0, ge=0, description="squared distances of predicted and annotated centres, both ways")
    angle_bin: float = Field(1.0, ge=0, description="cross entropy of the bins of the angle")
    angle_residual: float = Field(10.0, ge=0, description="Huber loss of the residual in the right bin")
    size_class: float = Field(1.0, ge=0, description="cross entropy of the mean sizes")
    size_residual: float = Field(10.0, ge=0, description="Huber loss of the edges as shares of the mean size")
    classes: float = Field(1.0, ge=0, description="cross entropy of the classes")


class VoteLossSettings(ProposalLossSettings):
    """As above, and of the votes."""

    vote: float = Field(10.0, ge=0, description="L1 from each vote of an object's seed to the object's centre")
    near_m: float = Field(0.3, gt=0, description="a proposal this near to an object's centre has an object")
    far_m: float = Field(0.6, gt=0, description="one farther than this from all has none; those between do not count")

    @model_validator(mode="after")
    def _near_before_far(self) -> VoteLossSettings:
        if self.near_m > self.far_m:
            raise ValueError(f"near_m must not be above far_m, got {self.near_m} and {self.far_m}")
        return self


class Assignment(NamedTuple):
    """What each proposal should predict.

    Args:
        positive: it has an object.
        counted: its objectness counts.
        boxes, labels: of the object whose centre is the nearest; zeros in a scene without objects.
    """

    positive: Bool[Tensor, "b q"]
    counted: Bool[Tensor, "b q"]
    boxes: Float[Tensor, "b q 7"]
    labels: Int64[Tensor, "b q"]


def assign_by_distance(
    places: Float[Tensor, "b q 3"], targets: Sequence[BoxTargets], near_m: float, far_m: float
) -> Assignment:
    """VoteNet's: proposals near to a centre have an object, those far from all have none."""
    distance, boxes, labels = _nearest(places, targets)
    return Assignment(distance < near_m, (distance < near_m) | (distance > far_m), boxes, labels)


def assign_by_membership(places: Float[Tensor, "b q 3"], targets: Sequence[BoxTargets]) -> Assignment:
    """BoxNet's: proposals that lie in a box have an object, the nearest; all count."""
    distance, boxes, labels = _nearest(places, targets)
    inside = [
        points_in_boxes(xyz, target.boxes[:, :7].float()).any(dim=0)
        for xyz, target in zip(places, targets, strict=True)
    ]
    return Assignment(torch.stack(inside), torch.ones_like(distance, dtype=torch.bool), boxes, labels)


def vote_loss(
    seeds: Float[Tensor, "b s 3"], votes: Float[Tensor, "b s 3"], targets: Sequence[BoxTargets]
) -> Float[Tensor, ""]:
    """Mean L1 distance from the votes of seeds in boxes to the centre of the box that holds the seed (equation 1).

    Of several boxes the one counts whose centre is nearest to the vote. 0 where no seed is in a box.
    """
    away = [votes.sum(dim=(1, 2))[:0]]
    for xyz, voted, target in zip(seeds, votes, targets, strict=True):
        if len(target.boxes):  # the minimum over no boxes does not exist
            boxes = target.boxes[:, :7].float()
            inside = points_in_boxes(xyz, boxes).T  # (S, K)
            held = inside.any(dim=1)
            distance = (voted[held, None] - boxes[:, :3]).abs().sum(dim=2)  # (held, K)
            away.append(torch.where(inside[held], distance, torch.inf).min(dim=1).values)
    return mean_of(torch.cat(away))


def proposal_losses(
    outputs: ProposalOutputs,
    centers: Float[Tensor, "b q 3"],
    assignment: Assignment,
    targets: Sequence[BoxTargets],
    mean_sizes: Float[Tensor, "classes 3"],
    settings: ProposalLossSettings,
) -> dict[str, Tensor]:
    """Weighted terms of objectness, box and class.

    Args:
        outputs: of the head, (B, Q, ...).
        centers: that were predicted, metres.
        assignment: what the proposals should predict.
        targets: annotated boxes of each scan.
        mean_sizes: of the classes.
    """
    positive = assignment.positive
    boxes, labels = assignment.boxes[positive], assignment.labels[positive]  # (P, 7), (P,)
    angle_bin, angle_residual = encode_angle(-boxes[:, 6], outputs.angle_logits.shape[-1])

    sizes = mean_sizes[labels]
    share = outputs.size_residual[positive].take_along_dim(labels[:, None, None], dim=1)[:, 0]  # (P, 3)
    size = F.huber_loss(share, (boxes[:, 3:6] - sizes) / sizes, reduction="none").mean(dim=1)

    return {
        "objectness": settings.objectness * _objectness(outputs.objectness, assignment, settings),
        "center": settings.center * center_loss(centers, positive, targets),
        "angle_bin": settings.angle_bin * mean_of(cross_entropy_loss(outputs.angle_logits[positive], angle_bin)),
        "angle_residual": settings.angle_residual
        * mean_of(huber_loss(outputs.angle_residual[positive], angle_bin, angle_residual)),
        "size_class": settings.size_class * mean_of(cross_entropy_loss(outputs.size_logits[positive], labels)),
        "size_residual": settings.size_residual * mean_of(size),
        "class": settings.classes * mean_of(cross_entropy_loss(outputs.class_logits[positive], labels)),
    }


def center_loss(
    centers: Float[Tensor, "b q 3"], positive: Bool[Tensor, "b q"], targets: Sequence[BoxTargets]
) -> Float[Tensor, ""]:
    """Squared distance of positive proposals' centres to the nearest object, and of objects to the nearest centre.

    The second is over all proposals and moves the nearest one, wherever it is.
    """
    to_object, to_center = ([centers.sum(dim=(1, 2))[:0]] for _ in range(2))
    for predicted, chosen, target in zip(centers, positive, targets, strict=True):
        if len(target.boxes):
            squared = (predicted[:, None] - target.boxes[:, :3].float()).square().sum(dim=2)  # (Q, K)
            to_object.append(squared[chosen].min(dim=1).values)
            to_center.append(squared.min(dim=0).values)
    return mean_of(torch.cat(to_object)) + mean_of(torch.cat(to_center))


def _nearest(places: Tensor, targets: Sequence[BoxTargets]) -> tuple[Tensor, Tensor, Tensor]:
    """Distance (B, Q) to the nearest object's centre, infinite where there is none; its box (B, Q, 7) and label."""
    distance = places.new_full(places.shape[:2], torch.inf)
    boxes = places.new_zeros(*places.shape[:2], 7)
    labels = torch.zeros_like(distance, dtype=torch.int64)
    for i, target in enumerate(targets):
        if len(target.boxes):
            away = (places[i, :, None].detach() - target.boxes[:, :3].float()).square().sum(dim=2)
            squared, which = away.min(dim=1)
            distance[i], boxes[i], labels[i] = squared.sqrt(), target.boxes[which, :7].float(), target.labels[which]
    return distance, boxes, labels


def _objectness(logits: Tensor, assignment: Assignment, settings: ProposalLossSettings) -> Tensor:
    """Weighted cross entropy, its mean over the proposals that count: the weights do not enter the divisor."""
    return mean_of(weighted_loss(logits, assignment.positive, settings.positive, settings.negative)[assignment.counted])


def weighted_loss(logits: Tensor, wanted: Tensor, positive: float, negative: float) -> Tensor:
    """Cross entropy (...) of no and yes (..., 2), times the weight of what is `wanted` (...)."""
    return torch.where(wanted, positive, negative) * cross_entropy_loss(logits, wanted.long())


def mean_of(values: Tensor) -> Tensor:
    """The mean; 0 for no values."""
    return values.sum() / max(len(values), 1)
