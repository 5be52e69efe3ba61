"""Layers of Pillar-OD: 3 x 3 convolutions that keep a map's extent, what a point passes through, one view's network.

Wang et al., ECCV 2020, section 3.2 and figure 3. Sizes are those of the authors' code: its convolutions have a bias
even before a norm, and pad a strided map behind its last row and column only, as TensorFlow does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pointcloud.models.layers.voxel_encoders import NORM_EPS, NORM_MOMENTUM
from pointcloud.models.pillar_od.views import Align, ViewPoints
from vol3d.sparse import SparseBatchNorm

Map = Float[Tensor, "b _c _y _x"]


class Conv(nn.Conv2d):
    """A 3 x 3 convolution; with a stride the map's sides must be multiples of it."""

    def __init__(self, channels: int, width: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__(channels, width, 3, stride, padding=1 if stride == 1 else 0, bias=bias)

    def forward(self, input: Map) -> Map:
        behind = 3 - self.stride[0]  # rows and columns that the last window misses
        return super().forward(F.pad(input, (0, behind, 0, behind)) if 1 < self.stride[0] < 3 else input)


class Upsample(nn.ConvTranspose2d):
    """The transpose of `Conv`: a map as many times as wide and long as the stride."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(channels, width, 3, stride, padding=1 if stride == 1 else 0, output_padding=max(0, stride - 3))

    def forward(self, input: Map, output_size: list[int] | None = None) -> Map:
        y, x = (self.stride[0] * size for size in input.shape[2:])
        return super().forward(input, output_size)[:, :, :y, :x]


def norm(width: int) -> nn.BatchNorm2d:
    """The norm of every map."""
    return nn.BatchNorm2d(width, eps=NORM_EPS, momentum=NORM_MOMENTUM)


class PointLayer(nn.Sequential):
    """Linear map, norm, ReLU of every point."""

    def __init__(self, columns: int, width: int) -> None:
        super().__init__(
            nn.Linear(columns, width, bias=False),
            SparseBatchNorm(width, eps=NORM_EPS, momentum=NORM_MOMENTUM),
            nn.ReLU(),
        )


class Residual(nn.Module):
    """ResNet's basic block."""

    def __init__(self, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(Conv(width, width, stride), norm(width), nn.ReLU())
        self.second = nn.Sequential(Conv(width, width), norm(width))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(width, width, 1, stride), norm(width))

    def forward(self, x: Map) -> Map:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class ViewNet(nn.Module):
    """Points to the cells of a view, three residual blocks at three resolutions, back to the points (figure 3)."""

    def __init__(self, width: int, align: Align) -> None:
        super().__init__()
        self.align: Align = align
        self.points = PointLayer(width, width)
        self.fine, self.middle, self.coarse = Residual(width), Residual(width, 2), Residual(width, 2)
        self.up_middle, self.up_coarse = Upsample(width, width, 2), Upsample(width, width, 4)
        self.join = Conv(3 * width, width)

    def forward(self, x: Float[Tensor, "n c"], view: ViewPoints) -> Float[Tensor, "n c"]:
        cells = view.to_map(self.points(x))  # (B, C, Y, X)
        middle = self.middle(cells)  # (B, C, Y / 2, X / 2)
        maps = [self.fine(cells), self.up_middle(middle), self.up_coarse(self.coarse(middle))]
        return view.from_map(self.join(torch.cat(maps, dim=1)), self.align)
