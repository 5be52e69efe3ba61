"""SECOND's head on anchors: class scores, offsets and direction of every anchor.

Yan, Mao, Li, "SECOND", Sensors 2018, section 3.2: focal loss, the sine of the difference of angles, which cannot tell
front from back, and a classifier that can. PointPillars has the same head.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.anchors.anchors import (
    AnchorMatches,
    AnchorSettings,
    GroundRange,
    decode_offsets,
    encode_offsets,
    kitti_anchors,
    match_sample,
    place_anchors,
)
from pointcloud.structures.detections import to_detections
from pointcloud.structures.detector import LidarDetector, SplitDetector
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from vol3d.class_names import of_each_class
from vol3d.engine.settings import Settings
from vol3d.geometry import nms_rotated, wrap_yaw
from vol3d.geometry.boxes import YAW
from vol3d.matching.losses import sigmoid_focal_loss
from vol3d.scans.results.detections import Detections


class AnchorHeadSettings(Settings):
    """The head; the defaults are PointPillars' and SECOND's on KITTI."""

    anchors: dict[str, AnchorSettings] = Field(default_factory=kitti_anchors, description="of every class, by its name")
    shared: bool = Field(
        False, description="anchors are for objects of every class; their names are free (mmdetection3d on nuScenes)"
    )
    placement: Literal["centres", "corners"] = Field("corners", description="of anchors in their cells")
    range_m: GroundRange | None = Field(
        None, description="lowest x y, highest x y over which anchors are spread; null: the range of the points"
    )
    scales: tuple[float, ...] = Field((1.0,), min_length=1, description="of anchors on each map of the neck")
    velocity: bool = Field(False, description="boxes have a velocity")
    classes: float = Field(1.0, ge=0, description="weight of the focal loss")
    boxes: float = Field(2.0, ge=0, description="weight of the smooth L1 loss")
    directions: float = Field(0.2, ge=0, description="weight of the direction's cross entropy")
    velocities: float = Field(0.2, ge=0, description="weight of velocities within the box term")
    smooth: float = Field(1 / 9, gt=0, description="below it the L1 loss is quadratic")
    per: Literal["sample", "batch"] = Field("sample", description="whose positives divide a term (mmdet3d: batch)")
    direction_from: float = Field(math.pi / 4, description="yaw at which the first of the two directions begins")
    labels: Literal["best", "every"] = Field(
        "best", description="classes of a box: its best, or every one above score (mmdet3d: every)"
    )
    score: float = Field(0.1, ge=0, le=1, description="boxes of a lower score are left out")
    nms_iou: float = Field(0.01, ge=0, le=1, description="boxes that overlap more with a better one go")
    nms_classes: Literal["together", "apart"] = Field("together", description="apart: a class suppresses itself only")
    nms_before: int = Field(1000, ge=1, description="best boxes of each map that enter")
    nms_after: int = Field(500, ge=1, description="boxes that leave")

    @model_validator(mode="after")
    def _check(self) -> AnchorHeadSettings:
        rules = {(a.positive, a.negative, a.least) for a in self.anchors.values()}
        if self.shared and len(rules) > 1:
            raise ValueError("shared anchors must have the same positive, negative and least")
        if self.labels == "every" and self.nms_classes == "together":
            raise ValueError("labels: every needs nms_classes: apart, else a box suppresses its own other classes")
        if min(self.scales) <= 0:
            raise ValueError(f"scales must be positive, got {self.scales}")
        return self


class AnchorOutputs(NamedTuple):
    """Outputs for every anchor, float32: N = the sum of Y * X * A over the maps."""

    classes: Float[Tensor, "b n c"]  # logits
    offsets: Float[Tensor, "b n d"]
    directions: Float[Tensor, "b n 2"]  # logits


@dataclass(frozen=True, eq=False)
class AnchorPrediction:
    """What the network predicts for every anchor.

    outputs: of the head.
    maps: (B, C, Y, X) what the head saw, finest first.
    grids: where the cells of each map lie.
    left_out: voxels of each cloud beyond the limit, which are dropped.
    """

    outputs: AnchorOutputs
    maps: tuple[Float[Tensor, "b c _y _x"], ...]
    grids: tuple[MapGrid, ...]
    left_out: tuple[int, ...]

    @property
    def bev(self) -> Float[Tensor, "b c y x"]:
        """The finest map."""
        return self.maps[0]

    @property
    def grid(self) -> MapGrid:
        """Where its cells lie."""
        return self.grids[0]


class AnchorHead(nn.Module):
    """Three 1 x 1 convolutions, the same on every map.

    Args:
        channels: of the maps.
        class_names: of all classes, each with anchors.
        settings: anchors and weights.

    Raises:
        UsageError: a class has no anchors, or anchors have no class.
    """

    def __init__(self, channels: int, class_names: tuple[str, ...], settings: AnchorHeadSettings) -> None:
        super().__init__()
        self.settings, self.class_names = settings, class_names
        named = class_names if not settings.shared else tuple(settings.anchors)
        self.rules = of_each_class(settings.anchors, named, "anchors", "model.head.anchors")
        self.columns = 9 if settings.velocity else 7
        self.make_layers(channels)

    def make_layers(self, channels: int) -> None:
        """The convolutions."""
        count = sum(len(rule.yaws) for rule in self.rules)
        self.classes = nn.Conv2d(channels, count * len(self.class_names), 1)
        self.offsets = nn.Conv2d(channels, count * self.columns, 1)
        self.directions = nn.Conv2d(channels, count * 2, 1)
        self.start(self.classes, self.offsets)

    @staticmethod
    def start(classes: nn.Conv2d, offsets: nn.Conv2d) -> None:
        """Fresh weights: nearly all is background, and boxes are their anchors."""
        nn.init.constant_(classes.bias, -math.log(99))  # type: ignore[arg-type]
        nn.init.normal_(offsets.weight, std=0.001)

    def forward(self, maps: Sequence[Float[Tensor, "b c _y _x"]]) -> AnchorOutputs:
        columns = (len(self.class_names), self.columns, 2)
        layers = (self.classes, self.offsets, self.directions)
        return AnchorOutputs(
            *(
                torch.cat([per_anchor(layer(x), count) for x in maps], dim=1)
                for layer, count in zip(layers, columns, strict=True)
            )
        )

    def anchors(self, grids: Sequence[MapGrid]) -> list[Float[Tensor, "_y _x a 7"]]:
        """Boxes of every cell of each map."""
        settings, device = self.settings, next(self.parameters()).device
        return [
            place_anchors(grid, self.rules, settings.placement, range_m=settings.range_m, scale=scale).to(device)
            for grid, scale in zip(grids, settings.scales, strict=True)
        ]

    def match(self, levels: Sequence[Tensor], target: BoxTargets) -> AnchorMatches:
        """Which anchors of all maps have which object."""
        return match_sample(levels, target, self.rules, shared=self.settings.shared)

    def competing(self, levels: Sequence[Tensor]) -> list[int]:
        """Anchors among which the best enter the suppression: those of each map."""
        return [level[..., 0].numel() for level in levels]

    def loss(self, outputs: AnchorOutputs, targets: list[BoxTargets], grids: Sequence[MapGrid]) -> dict[str, Tensor]:
        """Weighted terms `class`, `box` and `direction`.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        check_targets(targets, len(outputs.classes), len(self.class_names))
        levels, settings = self.anchors(grids), self.settings
        samples = []
        with torch.autocast(outputs.classes.device.type, enabled=False):
            for sample, target in zip(zip(*outputs, strict=True), targets, strict=True):
                samples.append(self._sample_loss(AnchorOutputs(*sample), target, levels))

        sums, positives = zip(*samples, strict=True)
        counts, fewest = torch.stack(positives).float(), 1.0
        if settings.per == "batch":
            counts, fewest = counts.mean().expand_as(counts), 1 / len(counts)
        table = torch.stack(sums) / counts.clamp(min=fewest)[:, None] / len(counts)  # (B, 3)

        weights = {"class": settings.classes, "box": settings.boxes, "direction": settings.directions}
        return {name: weight * term for (name, weight), term in zip(weights.items(), table.sum(dim=0), strict=True)}

    def _sample_loss(
        self, outputs: AnchorOutputs, target: BoxTargets, levels: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Sums of class, box and direction loss of one sample, and its number of positives."""
        matches, anchors = self.match(levels, target), flat(levels)
        positive = matches.object >= 0
        labels = torch.full_like(matches.object, -1)
        labels[positive] = target.labels[matches.object[positive]]

        focal = sigmoid_focal_loss(outputs.classes, labels)[0] * (positive | matches.background)
        boxes, own = target.boxes[matches.object[positive]].float(), anchors[positive]
        box = offset_loss(outputs.offsets[positive], encode_offsets(boxes, own), self.settings).sum()
        bins = direction(boxes[:, YAW], self.settings.direction_from)
        turned = F.cross_entropy(outputs.directions[positive], bins, reduction="sum")
        return torch.stack([focal.sum(), box, turned]), positive.sum()

    @torch.no_grad()
    def decode(self, outputs: AnchorOutputs, grids: Sequence[MapGrid]) -> list[Detections]:
        """Boxes of each sample, best first."""
        levels, settings = self.anchors(grids), self.settings
        anchors, sizes = flat(levels), self.competing(levels)
        found = []
        for sample in (AnchorOutputs(*values) for values in zip(*outputs, strict=True)):
            probabilities = sample.classes.sigmoid()
            rows = best_of_each(probabilities.amax(dim=1), sizes, settings.score, settings.nms_before)
            boxes = decode_offsets(sample.offsets[rows], anchors[rows])
            boxes[:, YAW] = facing(boxes[:, YAW], sample.directions[rows].argmax(dim=1), settings.direction_from)

            scores, labels = probabilities[rows].max(dim=1)
            if settings.labels == "every":
                box, labels = (probabilities[rows] > settings.score).nonzero(as_tuple=True)
                boxes, scores = boxes[box], probabilities[rows][box, labels]
            apart = labels if settings.nms_classes == "apart" else None
            keep = nms_rotated(boxes[:, :7], scores, settings.nms_iou, labels=apart)[: settings.nms_after]
            found.append(to_detections(boxes[keep], scores[keep], labels[keep], self.class_names))
        return found


class AnchorDetector(SplitDetector[AnchorPrediction], LidarDetector[AnchorPrediction]):
    """What detectors with this head have in common: dense layers, loss and decoding."""

    backbone: nn.Module
    neck: nn.Module
    head: AnchorHead
    class_layers: ClassVar[tuple[str, ...]] = ("head.classes", "head.offsets", "head.directions")

    @property
    @abstractmethod
    def strides(self) -> tuple[int, ...]:
        """Voxels along a side of a cell of each map that the head sees, finest first."""

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the head says of every anchor, then the maps that it sees."""
        found = self.neck(self.backbone(*inputs))
        maps = tuple(found) if isinstance(found, list) else (found,)  # (B, C, Y, X), finest first
        return *self.head(maps), *maps

    @property
    def output_names(self) -> tuple[str, ...]:
        """`classes`, `offsets`, `directions`, then `map_0` and so on."""
        return *AnchorOutputs._fields, *(f"map_{level}" for level in range(len(self.strides)))

    def prediction(self, outputs: Sequence[Tensor], context: tuple[int, ...]) -> AnchorPrediction:
        """What the network predicts for every anchor."""
        count, voxels = len(AnchorOutputs._fields), self.settings.voxels
        grids = tuple(voxels.map_grid(stride) for stride in self.strides)
        return AnchorPrediction(AnchorOutputs(*outputs[:count]), tuple(outputs[count:]), grids, context)

    def loss(self, prediction: AnchorPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms; errors as `AnchorHead.loss`."""
        return self.head.loss(prediction.outputs, targets, prediction.grids)

    @torch.no_grad()
    def decode(self, prediction: AnchorPrediction) -> list[Detections]:
        """Objects of each cloud, best first."""
        return self.head.decode(prediction.outputs, prediction.grids)


def offset_loss(
    offsets: Float[Tensor, "*n d"], targets: Float[Tensor, "*n _"], settings: AnchorHeadSettings
) -> Float[Tensor, "*n"]:
    """Smooth L1 of the offsets of each box, that of the yaw of the sine of the difference (SECOND, equation 5)."""
    columns, missing = offsets.shape[-1], offsets.shape[-1] - targets.shape[-1]
    # Velocities that the model lacks are dropped, those that the data lack are not learned.
    targets = F.pad(targets, (0, missing), value=math.nan) if missing > 0 else targets[..., :columns]
    away = (offsets - targets.nan_to_num()) * ~targets.isnan()
    away = torch.cat([away[..., :YAW], away[..., YAW : YAW + 1].sin(), away[..., YAW + 1 :]], dim=-1)

    weights = away.new_tensor([1.0] * 7 + [settings.velocities] * (columns - 7))
    losses = F.smooth_l1_loss(away, torch.zeros_like(away), beta=settings.smooth, reduction="none")
    return (losses * weights).sum(dim=-1)


def direction(yaw: Tensor, begin: float) -> Tensor:
    """0 for the half turn counter-clockwise from `begin`, else 1."""
    return ((yaw - begin) % (2 * math.pi) >= math.pi).long()


def facing(yaw: Tensor, side: Tensor, begin: float) -> Tensor:
    """The yaw, or its opposite, whichever lies on the side (0 or 1) that `direction` gives; in [-pi, pi)."""
    return wrap_yaw((yaw - begin) % math.pi + begin + math.pi * side)


def best_of_each(scores: Float[Tensor, " n"], sizes: Sequence[int], above: float, count: int) -> Tensor:
    """Rows of the best scores of each map, best first within a map."""
    rows, first = [], 0
    for of_map in scores.split(list(sizes)):
        good = (of_map > above).nonzero()[:, 0]
        rows.append(first + good[of_map[good].argsort(descending=True, stable=True)[:count]])
        first += len(of_map)
    return torch.cat(rows)


def flat(levels: Sequence[Float[Tensor, "_y _x _a 7"]]) -> Float[Tensor, "n 7"]:
    """Anchors of all maps in the order of the outputs."""
    return torch.cat([level.flatten(0, 2) for level in levels])


def per_anchor(x: Float[Tensor, "b ad y x"], columns: int) -> Float[Tensor, "b n d"]:
    """The channels of a map as rows of its anchors."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, columns).float()  # a length would be fixed in an export
