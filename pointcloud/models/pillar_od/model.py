"""Pillar-OD: points seen from above and from a cylinder around the sensor, pillars that state boxes, no anchors.

Wang, Fathi, Kundu, Ross, Pantofaru, Funkhouser, Solomon, "Pillar-based Object Detection for Autonomous Driving", ECCV
2020; layers and sizes are those of the authors' code, which is for Waymo. Steps follow its figure 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from math import lcm, prod
from operator import mul
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.clouds import check_clouds
from pointcloud.models.pillar_od.head import PillarHead, PillarHeadSettings, PillarOutputs
from pointcloud.models.pillar_od.layers import Conv, PointLayer, Upsample, ViewNet, norm
from pointcloud.models.pillar_od.views import STATISTICS, Align, CylinderSettings, ViewPoints, cylindrical
from pointcloud.structures.detector import LidarDetector, LidarDetectorSettings
from pointcloud.structures.features import Feature, width
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from pointcloud.structures.voxels import VoxelSettings
from vol3d.engine.settings import Settings
from vol3d.ops import assign_voxels
from vol3d.scans.results.detections import Detections

WAYMO_PILLARS = VoxelSettings(
    point_range_m=(-75.2, -75.2, -5.0, 75.2, 75.2, 5.0),
    voxel_size_m=(0.29375, 0.29375, 10.0),
    max_points=None,
    max_voxels=None,
)


class PillarBackboneSettings(Settings):
    """Blocks of 3 x 3 convolutions on the pillars; the defaults are the authors' for vehicles."""

    widths: tuple[int, ...] = Field((128, 128, 256), min_length=1, description="channels of the blocks")
    layers: tuple[int, ...] = Field((4, 6, 6), description="convolutions of each block")
    strides: tuple[int, ...] = Field((2, 1, 2), description="of each block's first (pedestrians: 1, 2, 2)")
    width: int = Field(256, ge=1, description="channels of the map that joins the blocks'")

    @model_validator(mode="after")
    def _check(self) -> PillarBackboneSettings:
        if not len(self.widths) == len(self.layers) == len(self.strides):
            got = f"{self.widths}, {self.layers}, {self.strides}"
            raise ValueError(f"widths, layers and strides must be as many, got {got}")
        if min(*self.widths, *self.layers, *self.strides) < 1:
            raise ValueError("widths, layers and strides must be positive")
        return self

    @property
    def upsample(self) -> tuple[int, ...]:
        """What brings each block's map to the size of the first's."""
        return tuple(accumulate((1, *self.strides[1:]), mul))


class PillarOdSettings(LidarDetectorSettings):
    """Pillar-OD; the defaults are the authors' for vehicles on Waymo."""

    name: Literal["pillar_od"] = "pillar_od"
    features: tuple[Feature, ...] = Field(("intensity",), description="what the network sees besides the place")
    voxels: VoxelSettings = WAYMO_PILLARS
    cylinder: CylinderSettings = CylinderSettings()
    width: int = Field(128, ge=1, description="channels of points, of both views and of pillars")
    align: Align = Field(
        "centres", description="where in a view's cell its value is exact (the authors' code: its lower corner)"
    )
    backbone: PillarBackboneSettings = PillarBackboneSettings()
    head: PillarHeadSettings = Field(default_factory=PillarHeadSettings)

    @model_validator(mode="after")
    def _check(self) -> PillarOdSettings:
        self.voxels.require_pillars()
        if self.voxels.max_points is not None:
            raise ValueError(f"voxels.max_points must be null: every point counts, got {self.voxels.max_points}")
        self.voxels.require_multiple(lcm(4, prod(self.backbone.strides)))
        return self

    def build(self, class_names: tuple[str, ...]) -> PillarOd:
        """The network with fresh weights."""
        return PillarOd(self, class_names)


@dataclass(frozen=True, eq=False)
class PillarPrediction:
    """What the network predicts for every pillar.

    outputs: of the head.
    bev: (B, C, Y, X) what the head saw.
    grid: where its cells lie.
    left_out: pillars of each cloud beyond the limit, which are dropped.
    """

    outputs: PillarOutputs
    bev: Float[Tensor, "b c y x"]
    grid: MapGrid
    left_out: tuple[int, ...]


class PillarBackbone(nn.Module):
    """The blocks one after the other, their maps brought to the size of the first, joined."""

    def __init__(self, channels: int, settings: PillarBackboneSettings) -> None:
        super().__init__()
        self.blocks, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, out in enumerate(settings.widths):
            layers: list[nn.Module] = []
            for number in range(settings.layers[i]):
                stride = settings.strides[i] if number == 0 else 1
                layers += [Conv(channels, out, stride), norm(out), nn.ReLU()]
                channels = out
            self.blocks.append(nn.Sequential(*layers))
            self.ups.append(nn.Sequential(Upsample(out, out, settings.upsample[i]), norm(out), nn.ReLU()))
        self.join = nn.Sequential(Conv(sum(settings.widths), settings.width), norm(settings.width), nn.ReLU())

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d _y _x"]:
        maps = []
        for block, up in zip(self.blocks, self.ups, strict=True):
            x = block(x)
            maps.append(up(x))
        return self.join(torch.cat(maps, dim=1))


class PillarOd(LidarDetector[PillarPrediction]):
    """The network of figure 2.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the head's priors are those of other classes.
    """

    settings: PillarOdSettings
    class_layers: ClassVar[tuple[str, ...]] = ("head.classes", "head.boxes")

    def __init__(self, settings: PillarOdSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        w = settings.width
        self.embed = PointLayer(2 * STATISTICS + width(settings.features), w)
        self.above, self.around = ViewNet(w, settings.align), ViewNet(w, settings.align)
        self.alone, self.fuse = PointLayer(w, w), PointLayer(3 * w, w)
        self.backbone = PillarBackbone(w, settings.backbone)
        self.head = PillarHead(settings.backbone.width, self.class_names, settings.head)
        self.apply(_begin)

    def forward(self, clouds: list[Tensor]) -> PillarPrediction:
        """What is in the clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: other columns than the features, values that are not finite.
        """
        above, around, features, left_out = self._views(clouds)
        x = torch.cat([above.statistics(), around.statistics(), features], dim=1)  # (N, 44 + C)
        x = self.embed(x)  # (N, W)
        x = torch.cat([self.above(x, above), self.around(x, around), self.alone(x)], dim=1)  # (N, 3 W)
        pillars = above.to_map(self.fuse(x))  # (B, W, ny, nx)
        bev = self.backbone(pillars)  # (B, D, Y, X)
        grid = self.settings.voxels.map_grid(self.settings.backbone.strides[0])
        return PillarPrediction(self.head(bev), bev, grid, left_out)

    def loss(self, prediction: PillarPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms; errors as `PillarHead.loss`."""
        return self.head.loss(prediction.outputs, targets, prediction.grid)

    @torch.no_grad()
    def decode(self, prediction: PillarPrediction) -> list[Detections]:
        """Objects of each cloud, class after class, best first within a class."""
        return self.head.decode(prediction.outputs, prediction.grid)

    def _views(self, clouds: list[Tensor]) -> tuple[ViewPoints, ViewPoints, Tensor, tuple[int, ...]]:
        """The points in the range, from above and from around; their features (N, C); what the limit left out."""
        settings = self.settings
        check_clouds(clouds, settings.features)
        grid = settings.voxels.grid
        pillars = assign_voxels([cloud.float() for cloud in clouds], grid, max_voxels=settings.voxels.max_voxels)
        inside = pillars.voxels >= 0
        lengths = [int(part.sum()) for part in inside.split([len(cloud) for cloud in clouds])]
        points = pillars.points[inside]
        xyz = points[:, :3]

        above = ViewPoints(replace(pillars, points=xyz, voxels=pillars.voxels[inside]), grid, lengths)
        cylinder = settings.cylinder.grid
        around = ViewPoints(assign_voxels(cylindrical(xyz).split(lengths), cylinder), cylinder, lengths)
        return above, around, points[:, 3:], tuple(pillars.left_out.tolist())


def _begin(layer: nn.Module) -> None:
    """Fresh weights: He's, uniform, without biases."""
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
