"""RegNetX: residual blocks of grouped convolutions whose widths follow a straight line.

Radosavovic, Kosaraju, Girshick, He, Dollár, "Designing Network Design Spaces", CVPR 2020: the X block of figure 4,
widths by equations 2 to 4. On a bird's-eye-view map it has no stem: an encoder of points stands where the stem stood,
and the first stage keeps the map's size (mmdetection3d's NoStemRegNet).
"""

from __future__ import annotations

import math
from itertools import accumulate, groupby
from operator import mul
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.bev_backbones import Map, convolution
from pointcloud.models.layers.voxel_encoders import NORM_EPS, NORM_MOMENTUM
from vol3d.engine.settings import Settings

_MULTIPLE = 8  # widths are rounded to it before the groups are fitted (section 3.3)


class RegNetSettings(Settings):
    """A RegNetX by the parameters of its design space; the defaults are RegNetX-400MF (figure 15)."""

    kind: Literal["regnet"] = "regnet"
    first_width: int = Field(24, ge=8, multiple_of=8, description="w_0")
    slope: float = Field(24.48, ge=0, description="w_a: channels by which the line rises from block to block")
    step: float = Field(2.54, gt=1, description="w_m: ratio of the widths of two stages")
    depth: int = Field(22, ge=1, description="blocks of all stages")
    group_width: int = Field(16, ge=1, description="channels of a group")
    strides: tuple[int, ...] = Field((1, 2, 2, 2), min_length=1, description="of each stage's first block")
    first_map: int = Field(1, ge=0, description="the first stage whose map is given, counted from 0")

    @model_validator(mode="after")
    def _check(self) -> RegNetSettings:
        count = len(self.stages)
        if len(self.strides) != count or min(self.strides) < 1:
            raise ValueError(f"these widths make {count} stages, so strides must be {count} positive numbers")
        if self.first_map >= count:
            raise ValueError(f"first_map must be below the number of stages, {count}")
        return self

    @property
    def stages(self) -> list[tuple[int, int]]:
        """Width and number of blocks of each stage."""
        line = [self.first_width + self.slope * block for block in range(self.depth)]  # equation 2
        powers = [round(math.log(width / self.first_width, self.step)) for width in line]  # equation 3
        widths = [_nearest(self.first_width * self.step**power, _MULTIPLE) for power in powers]  # equation 4
        return [(_nearest(width, min(self.group_width, width)), len([*same])) for width, same in groupby(widths)]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the maps that are given."""
        return tuple(width for width, _ in self.stages[self.first_map :])

    @property
    def map_strides(self) -> tuple[int, ...]:
        """Cells of the input along a side of a cell of each of these maps."""
        return tuple(accumulate(self.strides, mul))[self.first_map :]

    @property
    def stride(self) -> int:
        """That of the last map."""
        return self.map_strides[-1]


class RegNet(nn.Module):
    """Stages of X blocks; gives the maps of the last ones, finest first.

    Args:
        channels: of the input.
        settings: sizes.
    """

    def __init__(self, channels: int, settings: RegNetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.stages = nn.ModuleList()
        for (width, blocks), stride in zip(settings.stages, settings.strides, strict=True):
            groups = width // min(settings.group_width, width)
            first = XBlock(channels, width, groups, stride)
            self.stages.append(nn.Sequential(first, *(XBlock(width, width, groups) for _ in range(blocks - 1))))
            channels = width

    def forward(self, x: Map) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[self.settings.first_map :]


class XBlock(nn.Module):
    """1 x 1, grouped 3 x 3 and 1 x 1 convolutions beside a shortcut (figure 4)."""

    def __init__(self, channels: int, width: int, groups: int, stride: int = 1) -> None:
        super().__init__()
        self.reduce = convolution(channels, width, 1)
        self.grouped = convolution(width, width, 3, stride=stride, padding=1, groups=groups)
        self.restore = _without_relu(width, width)
        self.shortcut = _without_relu(channels, width, stride) if stride > 1 or channels != width else nn.Identity()

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b w _y _x"]:
        return F.relu(self.restore(self.grouped(self.reduce(x))) + self.shortcut(x))


def _without_relu(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(channels, width, 1, stride=stride, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width, eps=NORM_EPS, momentum=NORM_MOMENTUM))


def _nearest(value: float, step: int) -> int:
    """The multiple of `step`, at least one of it."""
    return max(round(value / step), 1) * step
