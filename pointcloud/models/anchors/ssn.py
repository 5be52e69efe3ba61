"""SSN's shape-aware grouping heads: classes of a like shape and size share a head, and large ones a coarser map.

Zhu, Ma, Wang, Xu, Shi, Lin, "SSN: Shape Signature Networks for Multi-class Object Detection from Point Clouds", ECCV
2020, the part on grouping heads, as mmdetection3d publishes it (configs/ssn): PointPillars with one head for each
group of classes, whose convolutions fit the size of its objects. The paper's other part, an auxiliary loss on shape
signatures of the objects' points, is neither here nor in mmdetection3d, whose scores are the published row.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.anchors.anchors import AnchorMatches, AnchorSettings, match_sample, place_anchors
from pointcloud.models.anchors.head import AnchorHead, AnchorHeadSettings, AnchorOutputs, per_anchor
from pointcloud.models.anchors.point_pillars import PillarSettings, PointPillars
from pointcloud.models.layers.bev_backbones import SecondFpnSettings, convolution
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from vol3d.class_names import chosen_names
from vol3d.engine.settings import Settings

_NORM_EPS, _NORM_MOMENTUM = 1e-5, 0.1  # of the heads' norms: torch's own, unlike the backbone's


class ShapeGroupSettings(Settings):
    """Classes of one head, and its 3 x 3 convolutions; the defaults are those of small objects."""

    classes: tuple[str, ...] = Field(min_length=1, description="that share the head")
    widths: tuple[int, ...] = Field((64, 64), min_length=1, description="channels of the convolutions")
    strides: tuple[int, ...] = Field((1, 1), description="of each of them: 2 halves the map, for large objects")

    @model_validator(mode="after")
    def _check(self) -> ShapeGroupSettings:
        if len(self.widths) != len(self.strides) or min(*self.widths, *self.strides) < 1:
            raise ValueError(f"widths and strides must be as many positive numbers, got {self.widths}, {self.strides}")
        return self

    @property
    def stride(self) -> int:
        """Cells of the neck's map along a side of a cell of the head's."""
        return prod(self.strides)


def nuscenes_groups() -> tuple[ShapeGroupSettings, ...]:
    """Published for nuScenes: two-wheelers, people, what stands at the road, cars, large vehicles."""
    coarse = {"widths": (64, 64, 64), "strides": (2, 1, 1)}
    return (
        ShapeGroupSettings(classes=("bicycle", "motorcycle")),
        ShapeGroupSettings(classes=("pedestrian",)),
        ShapeGroupSettings(classes=("traffic_cone", "barrier")),
        ShapeGroupSettings(classes=("car",), **coarse),
        ShapeGroupSettings(classes=("truck", "trailer", "bus", "construction_vehicle"), **coarse),
    )


def mean_anchors() -> dict[str, AnchorSettings]:
    """Published for nuScenes: mean l w h, height of the bottom, IoU of positives and negatives of each class."""
    table = {
        "bicycle": (1.68452161, 0.60058911, 1.27192197, -1.67339111, 0.5, 0.35),
        "motorcycle": (2.09973778, 0.76279481, 1.44403034, -1.71396371, 0.5, 0.3),
        "pedestrian": (0.72564370, 0.66344886, 1.75748069, -1.61785072, 0.6, 0.4),
        "traffic_cone": (0.40359262, 0.39694519, 1.06232151, -1.80984986, 0.6, 0.4),
        "barrier": (0.48578221, 2.49008838, 0.98297065, -1.76396500, 0.55, 0.4),
        "car": (4.60718145, 1.95017717, 1.72270761, -1.80032795, 0.6, 0.45),
        "truck": (6.73778078, 2.45609390, 2.73004906, -1.74440365, 0.55, 0.4),
        "trailer": (12.01320693, 2.87427237, 3.81509561, -1.68526504, 0.5, 0.35),
        "bus": (11.1885991, 2.94046906, 3.47030982, -1.80673031, 0.55, 0.4),
        "construction_vehicle": (6.38352896, 2.73050468, 3.13312415, -1.64824291, 0.5, 0.35),
    }
    return {
        name: AnchorSettings(
            size_m=(length, width, height),
            z_m=bottom + height / 2,
            positive=positive,
            negative=negative,
            least=negative,
            claim=True,
        )
        for name, (length, width, height, bottom, positive, negative) in table.items()
    }


class SsnHeadSettings(AnchorHeadSettings):
    """A head for each group of classes; the defaults are nuScenes'."""

    groups: tuple[ShapeGroupSettings, ...] = Field(
        default_factory=nuscenes_groups, min_length=1, description="of classes, together all of them"
    )
    anchors: dict[str, AnchorSettings] = Field(default_factory=mean_anchors, description="of every class, by its name")
    shared: Literal[False] = Field(False, description="anchors are those of their class")
    placement: Literal["centres", "corners"] = Field("centres", description="of anchors in their cells")

    @model_validator(mode="after")
    def _check_groups(self) -> SsnHeadSettings:
        names = [name for group in self.groups for name in group.classes]
        if sorted(names) != sorted(self.anchors):
            raise ValueError("every class that has anchors must be in exactly one group, and no other class in any")
        return self


class SsnSettings(PillarSettings):
    """PointPillars with SSN's grouping heads."""

    name: Literal["ssn"] = "ssn"
    neck: SecondFpnSettings = SecondFpnSettings()
    head: SsnHeadSettings = Field(default_factory=SsnHeadSettings)

    @model_validator(mode="after")
    def _check_grid_of_heads(self) -> SsnSettings:
        for group in self.head.groups:
            self.voxels.require_multiple(self.strides[0] * group.stride)
        return self

    def build(self, class_names: tuple[str, ...]) -> Ssn:
        """The network with fresh weights."""
        return Ssn(self, class_names)


class ShapeHead(nn.Module):
    """The convolutions of one group, then its class scores, offsets and directions of every anchor."""

    def __init__(self, channels: int, group: ShapeGroupSettings, count: int, columns: Sequence[int]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        layers = []
        for width, stride in zip(group.widths, group.strides, strict=True):
            layers.append(convolution(channels, width, 3, stride, 1, _NORM_EPS, _NORM_MOMENTUM))
            channels = width
        self.shared = nn.Sequential(*layers)
        self.classes, self.offsets, self.directions = (nn.Conv2d(channels, count * column, 1) for column in columns)

    def forward(self, bev: Float[Tensor, "b c y x"]) -> AnchorOutputs:
        x = self.shared(bev)  # (B, W, Y / stride, X / stride)
        layers = (self.classes, self.offsets, self.directions)
        return AnchorOutputs(*(per_anchor(layer(x), n) for layer, n in zip(layers, self.columns, strict=True)))


class SsnHead(AnchorHead):
    """SECOND's head group by group; an anchor of a group has a score for every class.

    Raises:
        UsageError: the groups, or the anchors, are those of other classes.
    """

    settings: SsnHeadSettings

    def make_layers(self, channels: int) -> None:
        columns = (len(self.class_names), self.columns, 2)
        self.groups = nn.ModuleList()
        for group in self.settings.groups:
            head = ShapeHead(channels, group, sum(len(rule.yaws) for rule in self._rules(group)), columns)
            self.start(head.classes, head.offsets)
            self.groups.append(head)

    def forward(self, maps: Sequence[Float[Tensor, "b c _y _x"]]) -> AnchorOutputs:
        (bev,) = maps
        found = [group(bev) for group in self.groups]
        return AnchorOutputs(*(torch.cat(parts, dim=1) for parts in zip(*found, strict=True)))

    def anchors(self, grids: Sequence[MapGrid]) -> list[Float[Tensor, "_y _x _a 7"]]:
        """Boxes of every cell of each group's map."""
        ((low, voxel, stride, (ny, nx)),) = grids
        settings, device, found = self.settings, next(self.parameters()).device, []
        for group in settings.groups:
            grid = MapGrid(low, voxel, stride * group.stride, (ny // group.stride, nx // group.stride))
            own = place_anchors(
                grid, self._rules(group), settings.placement, range_m=settings.range_m, scale=settings.scales[0]
            )
            found.append(own.to(device))
        return found

    def match(self, levels: Sequence[Tensor], target: BoxTargets) -> AnchorMatches:
        """Which anchors of all groups have which object; a class is matched with its own anchors."""
        parts = []
        for group, anchors in zip(self.settings.groups, levels, strict=True):
            place = torch.full_like(target.labels, -1)
            for number, name in enumerate(chosen_names(group.classes, self.class_names, "model.head.groups")):
                place[target.labels == self.class_names.index(name)] = number
            parts.append(match_sample([anchors], BoxTargets(target.boxes, place), self._rules(group)))
        return AnchorMatches(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def competing(self, levels: Sequence[Tensor]) -> list[int]:
        """Anchors among which the best enter the suppression: those of all groups together."""
        return [sum(super().competing(levels))]

    def _rules(self, group: ShapeGroupSettings) -> tuple[AnchorSettings, ...]:
        return tuple(self.settings.anchors[name] for name in group.classes)


class Ssn(PointPillars):
    """PointPillars whose classes have a head for each group of like shape."""

    settings: SsnSettings
    head_type: ClassVar[type[AnchorHead]] = SsnHead
    class_layers: ClassVar[tuple[str, ...]] = (
        "head.groups.*.classes",
        "head.groups.*.offsets",
        "head.groups.*.directions",
    )
