"""Two-dimensional networks on the bird's-eye-view map.

SECOND's backbone and neck (Yan et al., 2018, section 3.1.3; PointPillars, section 2.2) and the feature pyramid of Lin
et al., CVPR 2017, as Object DGCNN and mmdetection3d's PointPillars use it.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from math import prod
from operator import mul
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.voxel_encoders import NORM_EPS, NORM_MOMENTUM
from vol3d.engine.settings import Settings

Map = Float[Tensor, "b c y x"]


class SecondSettings(Settings):
    """Blocks of convolutions; the defaults are PointPillars'."""

    kind: Literal["second"] = "second"
    widths: tuple[int, ...] = Field((64, 128, 256), min_length=1, description="channels of the blocks")
    layers: tuple[int, ...] = Field((3, 5, 5), description="convolutions of each block behind its strided one")
    strides: tuple[int, ...] = Field((2, 2, 2), description="of each block's first convolution")

    @model_validator(mode="after")
    def _check(self) -> SecondSettings:
        if not len(self.widths) == len(self.layers) == len(self.strides):
            raise ValueError(
                f"widths, layers and strides must be as many, got {self.widths}, {self.layers}, {self.strides}"
            )
        if min(*self.widths, *self.strides) < 1 or min(self.layers) < 0:
            raise ValueError("widths and strides must be positive")
        return self

    @property
    def stride(self) -> int:
        """Cells of the input along a side of a cell of the last map."""
        return prod(self.strides)

    @property
    def map_strides(self) -> tuple[int, ...]:
        """The same of every block's map."""
        return tuple(accumulate(self.strides, mul))


class SecondFpnSettings(Settings):
    """The map of every block brought to one resolution and joined; the defaults are PointPillars' on KITTI."""

    kind: Literal["second_fpn"] = "second_fpn"
    widths: tuple[int, ...] = Field((128, 128, 128), min_length=1, description="channels that each block contributes")
    upsample: tuple[float, ...] = Field((1, 2, 4), description="of each block's map; 0.5 halves it")

    @model_validator(mode="after")
    def _check(self) -> SecondFpnSettings:
        if len(self.widths) != len(self.upsample):
            raise ValueError(f"widths and upsample must be as many, got {self.widths}, {self.upsample}")
        if any(factor <= 0 or (factor % 1 and (1 / factor) % 1) for factor in self.upsample):
            raise ValueError(f"upsample must be whole numbers or one divided by them, got {self.upsample}")
        return self


VOXEL_BACKBONE = SecondSettings(widths=(128, 256), layers=(5, 5), strides=(1, 2))
VOXEL_NECK = SecondFpnSettings(widths=(256, 256), upsample=(1, 2))
"""Behind a sparse encoder, as published."""


class FpnSettings(Settings):
    """The feature pyramid; the defaults are Object DGCNN's."""

    kind: Literal["fpn"] = "fpn"
    width: int = Field(256, ge=1, description="channels of every level")
    levels: int = Field(
        4, ge=1, description="those beyond the backbone's blocks are every second cell of the one before"
    )


def neck_stride(map_strides: tuple[int, ...], neck: SecondFpnSettings) -> Fraction:
    """Cells of the backbone's input along a side of a cell of the neck's map; below 1 where the map is finer.

    Raises:
        ValueError: the neck does not fit the backbone.
    """
    if len(neck.widths) != len(map_strides):
        raise ValueError(f"the neck must have {len(map_strides)} widths, as the backbone has maps")
    strides = {
        stride / Fraction(factor).limit_denominator(64)
        for stride, factor in zip(map_strides, neck.upsample, strict=True)
    }
    if len(strides) > 1:
        got = ", ".join(map(str, sorted(strides)))
        raise ValueError(f"neck.upsample must bring all maps to one size, got strides {got}")
    return strides.pop()


def level_strides(map_strides: tuple[int, ...], neck: FpnSettings) -> tuple[int, ...]:
    """Cells of the backbone's input along a side of a cell of each level of the pyramid.

    Raises:
        ValueError: it has more levels than the backbone has maps, so that maps would not tile the range.
    """
    if neck.levels > len(map_strides):
        raise ValueError(f"neck.levels must be {len(map_strides)} at most: the backbone's maps")
    return map_strides[: neck.levels]


class Second(nn.Module):
    """Blocks of 3 x 3 convolutions, the first of each strided; gives the map of every block."""

    def __init__(self, channels: int, settings: SecondSettings) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList()
        for width, layers, stride in zip(settings.widths, settings.layers, settings.strides, strict=True):
            rest = [convolution(width, width, 3, padding=1) for _ in range(layers)]
            self.blocks.append(nn.Sequential(convolution(channels, width, 3, stride=stride, padding=1), *rest))
            channels = width

    def forward(self, x: Map) -> list[Tensor]:
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


class SecondFpn(nn.Module):
    """Maps of the blocks, each up- or downsampled by one convolution with its own stride, joined."""

    def __init__(self, channels: tuple[int, ...], settings: SecondFpnSettings) -> None:
        super().__init__()
        self.width = sum(settings.widths)
        self.branches = nn.ModuleList(
            _resample(c, w, factor) for c, w, factor in zip(channels, settings.widths, settings.upsample, strict=True)
        )

    def forward(self, maps: list[Tensor]) -> Map:
        return torch.cat([branch(x) for branch, x in zip(self.branches, maps, strict=True)], dim=1)


class Fpn(nn.Module):
    """Lateral 1 x 1 convolutions, sums from coarse to fine, a 3 x 3 convolution of each; levels finest first."""

    def __init__(self, channels: tuple[int, ...], settings: FpnSettings) -> None:
        super().__init__()
        self.width, self.levels = settings.width, settings.levels
        self.laterals = nn.ModuleList(convolution(c, settings.width, 1) for c in channels[: settings.levels])
        self.outputs = nn.ModuleList(convolution(settings.width, settings.width, 3, padding=1) for _ in self.laterals)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        sides = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=False)]
        for fine in range(len(sides) - 2, -1, -1):
            size = sides[fine].shape[2:]
            sides[fine] = sides[fine] + F.interpolate(sides[fine + 1], size=size, mode="nearest")
        levels = [output(x) for output, x in zip(self.outputs, sides, strict=True)]
        while len(levels) < self.levels:
            levels.append(levels[-1][:, :, ::2, ::2])
        return levels


class Conv(nn.Sequential):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, eps: float, momentum: float) -> None:
        super().__init__(layer, nn.BatchNorm2d(layer.out_channels, eps=eps, momentum=momentum), nn.ReLU())


def convolution(
    channels: int,
    width: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    eps: float = NORM_EPS,
    momentum: float = NORM_MOMENTUM,
    groups: int = 1,
) -> Conv:
    """The layer that all of these networks are made of."""
    layer = nn.Conv2d(channels, width, kernel, stride=stride, padding=padding, groups=groups, bias=False)
    return Conv(layer, eps, momentum)


def _resample(channels: int, width: int, factor: float) -> Conv:
    if factor > 1:
        layer = nn.ConvTranspose2d(channels, width, int(factor), stride=int(factor), bias=False)
        return Conv(layer, NORM_EPS, NORM_MOMENTUM)
    step = round(1 / factor)
    return convolution(channels, width, step, stride=step)
