"""SECOND's head on anchors: class scores, offsets and direction of every anchor.

Yan, Mao, Li, "SECOND", Sensors 2018, section 3.2: focal loss, the sine of the difference of angles, which cannot tell
front from back, and a classifier that can. PointPillars has the same head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.anchors.anchors import (
    AnchorSettings,
    decode_offsets,
    encode_offsets,
    kitti_anchors,
    match_sample,
    place_anchors,
)
from pointcloud.models.layers.bev_backbones import Second, SecondFpn
from pointcloud.models.layers.bev_encoder import OneMapSettings
from pointcloud.structures.detections import to_detections
from pointcloud.structures.detector import LidarDetector, SplitDetector
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.engine.settings import Settings
from vol3d.errors import UsageError
from vol3d.geometry import nms_rotated, wrap_yaw
from vol3d.geometry.boxes import YAW
from vol3d.matching.losses import sigmoid_focal_loss
from vol3d.scans.results.detections import Detections


class AnchorHeadSettings(Settings):
    """The head; the defaults are PointPillars' and SECOND's on KITTI."""

    anchors: dict[str, AnchorSettings] = Field(default_factory=kitti_anchors, description="of every class, by its name")
    placement: Literal["centres", "corners"] = Field("corners", description="of anchors in their cells")
    velocity: bool = Field(False, description="boxes have a velocity")
    classes: float = Field(1.0, ge=0, description="weight of the focal loss")
    boxes: float = Field(2.0, ge=0, description="weight of the smooth L1 loss")
    directions: float = Field(0.2, ge=0, description="weight of the direction's cross entropy")
    velocities: float = Field(0.2, ge=0, description="weight of velocities within the box term")
    smooth: float = Field(1 / 9, gt=0, description="below it the L1 loss is quadratic")
    per: Literal["sample", "batch"] = Field("sample", description="whose positives divide a term (mmdet3d: batch)")
    direction_from: float = Field(math.pi / 4, description="yaw at which the first of the two directions begins")
    score: float = Field(0.1, ge=0, le=1, description="boxes of a lower score are left out")
    nms_iou: float = Field(0.01, ge=0, le=1, description="boxes that overlap more with a better one go")
    nms_classes: Literal["together", "apart"] = Field("together", description="apart: a class suppresses itself only")
    nms_before: int = Field(1000, ge=1, description="best boxes that enter")
    nms_after: int = Field(500, ge=1, description="boxes that leave")


class AnchorOutputs(NamedTuple):
    """Outputs for every anchor, float32: N = Y * X * A."""

    classes: Float[Tensor, "b n c"]  # logits
    offsets: Float[Tensor, "b n d"]
    directions: Float[Tensor, "b n 2"]  # logits


@dataclass(frozen=True, eq=False)
class AnchorPrediction:
    """What the network predicts for every anchor.

    outputs: of the head.
    bev: (B, C, Y, X) what the head saw.
    grid: where the map's cells lie.
    left_out: voxels of each cloud beyond the limit, which are dropped.
    """

    outputs: AnchorOutputs
    bev: Float[Tensor, "b c y x"]
    grid: MapGrid
    left_out: tuple[int, ...]


class AnchorHead(nn.Module):
    """Three 1 x 1 convolutions.

    Args:
        channels: of the map.
        class_names: of all classes, each with anchors.
        settings: anchors and weights.

    Raises:
        UsageError: a class has no anchors, or anchors have no class.
    """

    def __init__(self, channels: int, class_names: tuple[str, ...], settings: AnchorHeadSettings) -> None:
        super().__init__()
        if set(settings.anchors) != set(class_names):
            got = ", ".join(settings.anchors)
            wanted = "anchors for " + ", ".join(class_names)
            raise UsageError("anchors of other classes", where="head.anchors", got=got, wanted=wanted)
        self.settings, self.class_names = settings, class_names
        self.rules = tuple(settings.anchors[name] for name in class_names)
        count, columns = sum(len(rule.yaws) for rule in self.rules), 9 if settings.velocity else 7
        self.classes = nn.Conv2d(channels, count * len(class_names), 1)
        self.offsets = nn.Conv2d(channels, count * columns, 1)
        self.directions = nn.Conv2d(channels, count * 2, 1)
        nn.init.constant_(self.classes.bias, -math.log(99))  # type: ignore[arg-type]
        nn.init.normal_(self.offsets.weight, std=0.001)

    def forward(self, bev: Float[Tensor, "b c y x"]) -> AnchorOutputs:
        columns = 9 if self.settings.velocity else 7
        return AnchorOutputs(
            _per_anchor(self.classes(bev), len(self.class_names)),
            _per_anchor(self.offsets(bev), columns),
            _per_anchor(self.directions(bev), 2),
        )

    def anchors(self, grid: MapGrid) -> Float[Tensor, "y x a 7"]:
        """Boxes of every cell."""
        return place_anchors(grid, self.rules, self.settings.placement).to(self.classes.weight.device)

    def loss(self, outputs: AnchorOutputs, targets: list[BoxTargets], grid: MapGrid) -> dict[str, Tensor]:
        """Weighted terms `class`, `box` and `direction`.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        check_targets(targets, len(outputs.classes), len(self.class_names))
        anchors, settings = self.anchors(grid), self.settings
        samples = []
        with torch.autocast(outputs.classes.device.type, enabled=False):
            for sample, target in zip(zip(*outputs, strict=True), targets, strict=True):
                samples.append(self._sample_loss(AnchorOutputs(*sample), target, anchors))

        sums, positives = zip(*samples, strict=True)
        counts, fewest = torch.stack(positives).float(), 1.0
        if settings.per == "batch":
            counts, fewest = counts.mean().expand_as(counts), 1 / len(counts)
        table = torch.stack(sums) / counts.clamp(min=fewest)[:, None] / len(counts)  # (B, 3)

        weights = {"class": settings.classes, "box": settings.boxes, "direction": settings.directions}
        return {name: weight * term for (name, weight), term in zip(weights.items(), table.sum(dim=0), strict=True)}

    def _sample_loss(self, outputs: AnchorOutputs, target: BoxTargets, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of class, box and direction loss of one sample, and its number of positives."""
        matches = match_sample(anchors, target, self.rules)
        positive = matches.object >= 0
        labels = torch.full_like(matches.object, -1)
        labels[positive] = target.labels[matches.object[positive]]

        focal = sigmoid_focal_loss(outputs.classes, labels)[0] * (positive | matches.background)
        boxes, own = target.boxes[matches.object[positive]].float(), anchors.flatten(0, 2)[positive]
        box = offset_loss(outputs.offsets[positive], encode_offsets(boxes, own), self.settings)
        bins = direction(boxes[:, YAW], self.settings.direction_from)
        turned = F.cross_entropy(outputs.directions[positive], bins, reduction="sum")
        return torch.stack([focal.sum(), box, turned]), positive.sum()

    @torch.no_grad()
    def decode(self, outputs: AnchorOutputs, grid: MapGrid) -> list[Detections]:
        """Boxes of each sample, best first."""
        anchors, settings = self.anchors(grid).flatten(0, 2), self.settings
        found = []
        for sample in (AnchorOutputs(*values) for values in zip(*outputs, strict=True)):
            scores, labels = sample.classes.sigmoid().max(dim=1)
            rows = (scores > settings.score).nonzero()[:, 0]
            rows = rows[scores[rows].argsort(descending=True, stable=True)[: settings.nms_before]]

            boxes = decode_offsets(sample.offsets[rows], anchors[rows])
            boxes[:, YAW] = facing(boxes[:, YAW], sample.directions[rows].argmax(dim=1), settings.direction_from)

            apart = labels[rows] if settings.nms_classes == "apart" else None
            keep = nms_rotated(boxes[:, :7], scores[rows], settings.nms_iou, labels=apart)[: settings.nms_after]
            found.append(to_detections(boxes[keep], scores[rows][keep], labels[rows][keep], self.class_names))
        return found


class AnchorDetector(SplitDetector[AnchorPrediction], LidarDetector[AnchorPrediction]):
    """What detectors with this head have in common: dense layers, loss and decoding."""

    settings: OneMapSettings
    backbone: Second
    neck: SecondFpn
    head: AnchorHead
    class_layers: ClassVar[tuple[str, ...]] = ("head.classes", "head.offsets", "head.directions")

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The map that the head sees, then what it says of every anchor."""
        bev = self.neck(self.backbone(*inputs))  # (B, C, Y, X)
        return bev, *self.head(bev)

    @property
    def output_names(self) -> tuple[str, ...]:
        """`map`, `classes`, `offsets`, `directions`."""
        return "map", *AnchorOutputs._fields

    def prediction(self, outputs: Sequence[Tensor], context: tuple[int, ...]) -> AnchorPrediction:
        """What the network predicts for every anchor."""
        bev, *rest = outputs
        return AnchorPrediction(AnchorOutputs(*rest), bev, self.settings.voxels.map_grid(self.settings.stride), context)

    def loss(self, prediction: AnchorPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms; errors as `AnchorHead.loss`."""
        return self.head.loss(prediction.outputs, targets, prediction.grid)

    @torch.no_grad()
    def decode(self, prediction: AnchorPrediction) -> list[Detections]:
        """Objects of each cloud, best first."""
        return self.head.decode(prediction.outputs, prediction.grid)


def offset_loss(offsets: Tensor, targets: Tensor, settings: AnchorHeadSettings) -> Tensor:
    """Smooth L1 of the offsets, that of the yaw of the sine of the difference (SECOND, equation 5); summed."""
    columns, missing = offsets.shape[1], offsets.shape[1] - targets.shape[1]
    # Velocities that the model lacks are dropped, those that the data lack are not learned.
    targets = F.pad(targets, (0, missing), value=math.nan) if missing > 0 else targets[:, :columns]
    away = (offsets - targets.nan_to_num()) * ~targets.isnan()
    away = torch.cat([away[:, :YAW], away[:, YAW : YAW + 1].sin(), away[:, YAW + 1 :]], dim=1)

    weights = away.new_tensor([1.0] * 7 + [settings.velocities] * (columns - 7))
    losses = F.smooth_l1_loss(away, torch.zeros_like(away), beta=settings.smooth, reduction="none")
    return (losses * weights).sum()


def direction(yaw: Tensor, begin: float) -> Tensor:
    """0 for the half turn counter-clockwise from `begin`, else 1."""
    return ((yaw - begin) % (2 * math.pi) >= math.pi).long()


def facing(yaw: Tensor, side: Tensor, begin: float) -> Tensor:
    """The yaw, or its opposite, whichever lies on the side (0 or 1) that `direction` gives; in [-pi, pi)."""
    return wrap_yaw((yaw - begin) % math.pi + begin + math.pi * side)


def _per_anchor(x: Float[Tensor, "b ad y x"], columns: int) -> Float[Tensor, "b n d"]:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, columns).float()  # a length would be fixed in an export
