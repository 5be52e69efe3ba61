"""FreeAnchor: objects choose among a bag of anchors by what the anchors predict, not by their overlap alone.

Zhang, Wan, Liu, Ji, Ye, "FreeAnchor: Learning to Match Anchors for Visual Object Detection", NeurIPS 2019. The loss is
the negative logarithm of a likelihood of two parts (section 3.2): of recall, that of each object's bag at least one
anchor classifies and places it; and of precision, that anchors which place no object are background. A soft maximum
over each bag lets all its anchors learn at first and the best one later (section 3.3). In 3D the place of a box has the
weights of SECOND's head, its direction among them (mmdetection3d, configs/free_anchor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from pointcloud.models.anchors.anchors import AnchorSettings, anchor_overlaps, decode_offsets, encode_offsets
from pointcloud.models.anchors.head import (
    AnchorHead,
    AnchorHeadSettings,
    AnchorOutputs,
    direction,
    flat,
    offset_loss,
)
from pointcloud.models.anchors.point_pillars import PillarSettings, PointPillars
from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.layers.bev_encoder import Neck
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.geometry import iou_bev_axis_aligned, nearest_axis_aligned
from vol3d.geometry.boxes import YAW

_LEAST = 1e-12  # of 1 - p and of likelihoods, so that logarithms are numbers


def shape_anchors() -> dict[str, AnchorSettings]:
    """Four shapes for the finest map (mmdetection3d on nuScenes); those of the other maps are multiples of them."""
    sides = {"long": (2.5981, 0.8660), "middling": (1.7321, 0.5774), "square": (1.0, 1.0), "small": (0.4, 0.4)}
    return {name: AnchorSettings(size_m=(length, width, 1.0), z_m=-1.3) for name, (length, width) in sides.items()}


class FreeAnchorHeadSettings(AnchorHeadSettings):
    """SECOND's head with FreeAnchor's loss; the defaults are mmdetection3d's."""

    anchors: dict[str, AnchorSettings] = Field(default_factory=shape_anchors, description="of every shape, by any name")
    shared: Literal[True] = Field(True, description="anchors are for objects of every class")
    scales: tuple[float, ...] = Field((1.0, 2.0, 4.0), min_length=1, description="of anchors on each map of the neck")
    bag: int = Field(25, ge=1, description="anchors of the highest IoU that an object chooses among")
    overlap: float = Field(0.5, ge=0, lt=1, description="IoU below which a predicted box places no object (t)")
    recall: float = Field(0.5, ge=0, le=1, description="weight of the recall term; the precision term has the rest")
    focus: float = Field(2.0, ge=0, description="gamma of the precision term's focal loss")

    @model_validator(mode="after")
    def _check_unused(self) -> FreeAnchorHeadSettings:
        plain = AnchorSettings(size_m=(1, 1, 1), z_m=0)
        matched = ("positive", "negative", "least", "claim")
        if any(getattr(a, name) != getattr(plain, name) for a in self.anchors.values() for name in matched):
            raise ValueError("anchors of FreeAnchor have no thresholds: leave out positive, negative, least and claim")
        if self.classes != 1 or self.per != "sample":
            raise ValueError("FreeAnchor's loss has neither classes nor per: leave them out")
        return self


class FreeAnchorSettings(PillarSettings):
    """PointPillars with FreeAnchor's loss."""

    name: Literal["free_anchor"] = "free_anchor"
    neck: Neck = FpnSettings(levels=3)
    head: FreeAnchorHeadSettings = Field(default_factory=FreeAnchorHeadSettings)

    def build(self, class_names: tuple[str, ...]) -> FreeAnchor:
        """The network with fresh weights."""
        return FreeAnchor(self, class_names)


class FreeAnchorHead(AnchorHead):
    """SECOND's head, learning to match; errors as `AnchorHead`."""

    settings: FreeAnchorHeadSettings

    def loss(self, outputs: AnchorOutputs, targets: list[BoxTargets], grids: Sequence[MapGrid]) -> dict[str, Tensor]:
        """Weighted terms `recall` and `precision` of the customised likelihood.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        check_targets(targets, len(outputs.classes), len(self.class_names))
        levels, settings = self.anchors(grids), self.settings
        recalls, precision = [], outputs.classes.new_zeros(())
        with torch.autocast(outputs.classes.device.type, enabled=False):
            for sample, target in zip(zip(*outputs, strict=True), targets, strict=True):
                recall, falsely = self._sample_terms(AnchorOutputs(*sample), target, levels)
                recalls.append(recall)
                precision = precision + falsely.sum()
            recall = torch.cat(recalls)
            objects = max(len(recall), 1)
            return {
                "recall": settings.recall * recall.sum() / objects,
                "precision": (1 - settings.recall) * precision / (objects * settings.bag),
            }

    def _sample_terms(
        self, outputs: AnchorOutputs, target: BoxTargets, levels: Sequence[Tensor]
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, "n c"]]:
        """Losses of each object, and of each anchor and class, of one sample."""
        anchors, boxes = flat(levels), target.boxes.float()
        with torch.no_grad():
            iou = _overlaps_of_boxes(decode_offsets(outputs.offsets, anchors), boxes)  # (N, K)
            places = placed(iou, target.labels, outputs.classes.shape[1], self.settings.overlap)  # (N, C)
            count = min(self.settings.bag, len(anchors))
            overlaps = anchor_overlaps(levels, boxes).T.contiguous()  # (K, N)
            bags = overlaps.topk(count, dim=1, sorted=False).indices  # (K, bag)

        likelihood = self._log_class(outputs, target, bags) - self._place_loss(outputs, boxes, anchors, bags)
        falsely = outputs.classes.sigmoid() * (1 - places)
        return -log_mean_max(likelihood), precision_loss(falsely, self.settings.focus)

    def _log_class(self, outputs: AnchorOutputs, target: BoxTargets, bags: Int64[Tensor, "k bag"]) -> Tensor:
        """Logarithm of the probability of each object's class in its bag (K, bag)."""
        return F.logsigmoid(outputs.classes[bags, target.labels[:, None]])

    def _place_loss(
        self, outputs: AnchorOutputs, boxes: Tensor, anchors: Float[Tensor, "n 7"], bags: Int64[Tensor, "k bag"]
    ) -> Float[Tensor, "k bag"]:
        """Loss of place and direction, whose exponential is the likelihood of the place."""
        settings, own = self.settings, anchors[bags]
        every = boxes[:, None].expand(-1, bags.shape[1], -1)  # (K, bag, 7 + n)
        place = offset_loss(outputs.offsets[bags], encode_offsets(every, own), settings)
        side = direction(every[..., YAW], settings.direction_from)
        turned = F.cross_entropy(outputs.directions[bags].flatten(0, 1), side.flatten(), reduction="none")
        return settings.boxes * place + settings.directions * turned.view_as(place)


class FreeAnchor(PointPillars):
    """PointPillars whose head learns to match."""

    settings: FreeAnchorSettings

    head_type: ClassVar[type[AnchorHead]] = FreeAnchorHead


def placed(
    iou: Float[Tensor, "n k"], labels: Int64[Tensor, " k"], classes: int, overlap: float
) -> Float[Tensor, "n c"]:
    """The chance that the box of an anchor places an object of a class (section 3.2).

    Of an object it rises in a straight line from 0 at `overlap` to 1 at the object's highest IoU; of a class it is that
    of the object which the box overlaps most surely.
    """
    best = iou.amax(dim=0).clamp(min=overlap + 1e-6) if len(iou) else iou.new_zeros(iou.shape[1])
    chance = ((iou - overlap) / (best - overlap)).clamp(0, 1)  # (N, K)
    found = iou.new_zeros(len(iou), classes)
    return found.scatter_reduce(1, labels.expand_as(chance), chance, "amax")


def log_mean_max(log_likelihood: Float[Tensor, "k bag"]) -> Float[Tensor, " k"]:
    """Logarithm of Mean-max (section 3.3): the mean of likelihoods p weighted by 1 / (1 - p).

    It is a mean while all are small, and the maximum once one is near 1. It is computed from logarithms, because
    likelihoods of an untrained network are too small for float32.
    """
    rest = (-torch.expm1(log_likelihood)).clamp(min=_LEAST).log()  # log (1 - p)
    return torch.logsumexp(log_likelihood - rest, dim=1) - torch.logsumexp(-rest, dim=1)


def precision_loss(probability: Float[Tensor, "n c"], gamma: float) -> Float[Tensor, "n c"]:
    """Focal loss of what should be 0: p^gamma times -log (1 - p)."""
    return probability**gamma * F.binary_cross_entropy(probability, torch.zeros_like(probability), reduction="none")


def _overlaps_of_boxes(predicted: Float[Tensor, "n _"], boxes: Float[Tensor, "k _"]) -> Float[Tensor, "n k"]:
    """IoU from above of boxes turned to the nearest axis."""
    return iou_bev_axis_aligned(nearest_axis_aligned(predicted[:, :7]), nearest_axis_aligned(boxes[:, :7]))
