"""SECOND's encoder: sparse 3D convolutions from voxels to a bird's-eye-view map, eight times coarser.

Yan, Mao, Li, "SECOND: Sparsely Embedded Convolutional Detection", Sensors 2018, section 3.1.2 (plain); CenterPoint
(Yin, Zhou, Krähenbühl, CVPR 2021) stacks residual blocks instead. mmdetection3d counts a stage's strided convolution to
the stage before; the layers and their order are the same.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.models.layers.voxel_encoders import NORM_EPS, NORM_MOMENTUM, Voxels
from vol3d.engine.settings import Settings
from vol3d.ops import VoxelGrid
from vol3d.sparse import SparseBatchNorm, SparseConv3d, SparseSequential, SparseTensor, SubMConv3d

Triple = tuple[int, int, int]


class SparseEncoderSettings(Settings):
    """The defaults are CenterPoint's; SECOND's on KITTI: plain, widths 16 32 64 64, blocks 1 2 2 2."""

    block: Literal["residual", "plain"] = Field("residual", description="two convolutions and a shortcut, or one")
    widths: tuple[int, ...] = Field((16, 32, 64, 128), min_length=1, description="channels of the stages")
    blocks: tuple[int, ...] = Field((2, 2, 2, 2), description="in each stage, behind its strided convolution")
    paddings: tuple[Triple, ...] = Field(
        ((1, 1, 1), (1, 1, 1), (0, 1, 1)), description="z y x of the strided convolution of each stage but the first"
    )
    out_width: int = Field(128, ge=1, description="channels of a position; those above each other are joined")
    out_padding: int = Field(0, ge=0, description="along z, of the last convolution (OpenPCDet's last_pad)")
    bias: bool = Field(False, description="of the residual blocks' convolutions, as CenterPoint and OpenPCDet have it")

    @model_validator(mode="after")
    def _check(self) -> SparseEncoderSettings:
        if len(self.blocks) != len(self.widths) or len(self.paddings) != len(self.widths) - 1:
            raise ValueError(
                f"blocks and paddings must fit {len(self.widths)} stages, got {self.blocks}, {self.paddings}"
            )
        return self

    @property
    def stride(self) -> int:
        """Voxels along x and y in a position of the map."""
        return 2 ** len(self.paddings)

    def layers(self, cells: int) -> int:
        """Positions above each other in the map, from the grid's cells along z.

        Raises:
            ValueError: the cells are too few for the strided convolutions.
        """
        z = cells + 1  # as all of these networks have it: one empty layer on top
        for padding in self.paddings:
            z = (z + 2 * padding[0] - 3) // 2 + 1
        z = (z + 2 * self.out_padding - 3) // 2 + 1
        if z < 1:
            raise ValueError(f"{cells} cells along z are too few for {len(self.widths)} stages of the sparse encoder")
        return z

    def map_width(self, cells: int) -> int:
        """Channels of the map."""
        return self.out_width * self.layers(cells)


class SparseEncoder(nn.Module):
    """Voxels to a map.

    Args:
        channels: of a voxel.
        settings: sizes.
    """

    def __init__(self, channels: int, settings: SparseEncoderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.input = _layer(SubMConv3d(channels, settings.widths[0], bias=False), settings.widths[0])
        self.stages = nn.ModuleList()
        before = settings.widths[0]
        for stage, (width, blocks) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
            layers: list[nn.Module] = []
            if stage:
                padding = settings.paddings[stage - 1]
                layers.append(_layer(SparseConv3d(before, width, 3, stride=2, padding=padding, bias=False), width))
            if settings.block == "residual":
                layers += [ResidualBlock(width, settings.bias) for _ in range(blocks)]
            else:
                layers += [_layer(SubMConv3d(width, width, bias=False), width) for _ in range(blocks)]
            self.stages.append(SparseSequential(*layers))
            before = width
        last = SparseConv3d(
            before, settings.out_width, (3, 1, 1), stride=(2, 1, 1), padding=(settings.out_padding, 0, 0), bias=False
        )
        self.output = _layer(last, settings.out_width)
        self.windows = [layer.window for layer in self.modules() if isinstance(layer, SparseConv3d)]

    def forward(self, voxels: Voxels, grid: VoxelGrid) -> Float[Tensor, "b c y x"]:
        """The map: channel c of layer z is c * layers + z."""
        nz, ny, nx = grid.shape
        x = SparseTensor(voxels.coordinates, voxels.features.float(), (nz + 1, ny, nx), voxels.samples, check=False)
        levels = x.sites.coarser_levels(self.windows)  # all at once: a GPU is waited for once; the layers find them
        with torch.autocast(voxels.features.device.type, enabled=False):  # bfloat16 has steps of 0.25 m at 50 m
            x = self.input(x)
        for stage in self.stages:
            x = stage(x)
        x = self.output(x)
        del levels
        return x.to_dense().flatten(1, 2)


class ResidualBlock(nn.Module):
    """Two submanifold convolutions with a shortcut around them."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.first, self.second = (SubMConv3d(width, width, bias=bias) for _ in range(2))
        self.first_norm, self.second_norm = (_norm(width) for _ in range(2))

    def forward(self, x: SparseTensor) -> SparseTensor:
        inner = self.first(x)
        inner = self.second(inner.with_features(F.relu(self.first_norm(inner.features))))
        return x.with_features(F.relu(self.second_norm(inner.features) + x.features))


def _layer(convolution: nn.Module, width: int) -> SparseSequential:
    return SparseSequential(convolution, _norm(width), nn.ReLU())


def _norm(width: int) -> SparseBatchNorm:
    return SparseBatchNorm(width, eps=NORM_EPS, momentum=NORM_MOMENTUM)
