"""UNETR: a transformer encoder and a convolutional decoder for volumes.

Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation", WACV 2022; names follow its figure 2.

Where the released code differs from the paper: it takes the skips from blocks 4, 7 and 10 instead of 3, 6 and 9
(`skips`); `vol3d.load_released` sets that. Parameters that the forward pass never uses do not exist here.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from medical.models.common import Size, check_window
from medical.models.setr_decoders import SETR_DECODERS
from medical.models.vit import LearnedPositions, SelfAttention, TransformerBlock
from vol3d.engine.settings import Settings


class UnetrSettings(Settings):
    """Settings of UNETR. The defaults are the paper's ViT-B/16 for a 96^3 window.

    `skips` counts blocks from 1: z3, z6, z9 in the paper. A patch of 2^n voxels has n - 1 of them.
    """

    name: Literal["unetr"] = "unetr"
    patch: int = Field(16, ge=2, description="edge of a token in voxels, a power of two")
    width: int = Field(768, ge=1, description="length of a token")
    depth: int = Field(12, ge=1, description="transformer blocks")
    heads: int = Field(12, ge=1)
    mlp: int = Field(3072, ge=1, description="hidden width of a block's MLP")
    features: int = Field(16, ge=1, description="channels at full resolution, doubled at each level below")
    skips: tuple[int, ...] = (3, 6, 9)
    dropout: float = Field(0.0, ge=0, lt=1)
    decoder: Literal["unetr", "nup", "pup", "mla"] = Field("unetr", description="nup, pup, mla: SETR's, paper table 3")

    @property
    def levels(self) -> int:
        """Number of halvings between the image and the tokens."""
        return self.patch.bit_length() - 1

    @model_validator(mode="after")
    def _check(self) -> UnetrSettings:
        if self.patch != 1 << self.levels:
            raise ValueError(f"patch must be a power of two, got {self.patch}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        if len(self.skips) != self.levels - 1:
            raise ValueError(f"patch {self.patch} needs {self.levels - 1} skips, got {self.skips}")
        if list(self.skips) != sorted(set(self.skips)) or any(not 1 <= s <= self.depth for s in self.skips):
            raise ValueError(f"skips must rise within 1..{self.depth}, got {self.skips}")
        return self

    def build(self, in_channels: int, out_channels: int, window: Size = (96, 96, 96)) -> Unetr:
        """The network with fresh weights for windows of (i, j, k) voxels, multiples of the patch."""
        return Unetr(self, in_channels, out_channels, window)


class Unetr(nn.Module):
    """The network of figure 2.

    Args:
        settings: sizes.
        in_channels: channels of the image.
        out_channels: classes (with background) or regions.
        window: voxels (i, j, k) that it is trained on; the position embedding has one vector for each of their patches.
    """

    def __init__(self, settings: UnetrSettings, in_channels: int, out_channels: int, window: Size) -> None:
        super().__init__()
        check_window(window, (settings.patch,) * 3)
        self.settings, self.window = settings, window
        self.in_channels, self.out_channels = in_channels, out_channels
        self.embed = PatchEmbedding(settings, in_channels, window)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                SelfAttention(settings.width, settings.heads, settings.dropout), settings.mlp, settings.dropout
            )
            for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(settings.width)
        if settings.decoder == "unetr":
            self.decoder: nn.Module = UnetrDecoder(settings, in_channels, out_channels)
        else:
            self.decoder = SETR_DECODERS[settings.decoder](
                settings.width, settings.features, settings.patch, out_channels
            )

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits for each voxel. Edges may differ from the training window's but must be multiples of the patch."""
        tokens, grid = self.embed(image)  # (B, N, width), grid = (i, j, k) / patch
        states = []
        for block in self.blocks:
            tokens = block(tokens)
            states.append(tokens)
        # Only the last state is normalised; the skips are taken as they are, as in the released code.
        chosen = [states[s - 1] for s in self.settings.skips] + [self.norm(tokens)]
        maps = [state.transpose(1, 2).unflatten(2, grid) for state in chosen]  # each (B, width, *grid)
        return self.decoder(image, maps)


class PatchEmbedding(LearnedPositions):
    """Equation 1: non-overlapping patches, one linear map each, plus a learned position embedding."""

    def __init__(self, settings: UnetrSettings, in_channels: int, window: Size) -> None:
        super().__init__(settings.width, window, (settings.patch,) * 3)
        # A linear map of disjoint patches is a convolution whose stride is its kernel.
        self.projection = nn.Conv3d(in_channels, settings.width, settings.patch, settings.patch)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.trunc_normal_(self.position, std=0.02, a=-2.0, b=2.0)
        nn.init.trunc_normal_(self.projection.weight, std=0.02, a=-2.0, b=2.0)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """(B, C, i, j, k) -> tokens (B, N, width) and the grid they came from."""
        patch = self.projection.stride[0]
        if any(size % patch for size in image.shape[2:]):
            raise ValueError(f"image edges must be multiples of patch {patch}, got {tuple(image.shape[2:])}")
        tokens = self.projection(image)  # (B, width, i/p, j/p, k/p)
        grid = tuple(tokens.shape[2:])
        return self.dropout((tokens + self.at(grid)).flatten(2).transpose(1, 2)), grid


class UnetrDecoder(nn.Module):
    """The right half of figure 2: skips brought to their resolution, merged from the bottleneck upwards."""

    def __init__(self, settings: UnetrSettings, in_channels: int, out_channels: int) -> None:
        super().__init__()
        levels = settings.levels
        widths = [settings.features * 2**level for level in range(levels)]  # at 1, 1/2, 1/4 ... of the resolution
        self.image_path = ResidualBlock(in_channels, widths[0])
        self.skip_paths = nn.ModuleList(
            SkipPath(settings.width, widths[level], levels - 1 - level) for level in range(1, levels)
        )
        below = [*widths[1:], settings.width]
        self.merges = nn.ModuleList(Merge(below[level], widths[level]) for level in range(levels))
        self.head = nn.Conv3d(widths[0], out_channels, 1)

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        """Image (B, C, i, j, k) and the chosen tokens (B, width, *grid), shallow to deep -> logits of each voxel."""
        *skips, x = maps  # tokens of the chosen blocks, shallow to deep; the last one is the bottleneck
        details = [self.image_path(image)] + [path(skip) for path, skip in zip(self.skip_paths, skips, strict=True)]
        for merge, detail in zip(reversed(self.merges), reversed(details), strict=True):
            x = merge(x, detail)  # doubles the resolution
        return self.head(x)


class SkipPath(nn.Sequential):
    """Deconvolutions that bring tokens up to one level of the decoder (figure 2, blue and green)."""

    def __init__(self, width: int, channels: int, doublings: int) -> None:
        steps: list[nn.Module] = [upsample(width, channels)]
        for _ in range(doublings):
            steps += [upsample(channels, channels), ResidualBlock(channels, channels)]
        super().__init__(*steps)


class Merge(nn.Module):
    """Doubles the resolution of the deeper map and joins it with the detail of that level."""

    def __init__(self, below: int, channels: int) -> None:
        super().__init__()
        self.up = upsample(below, channels)
        self.block = ResidualBlock(2 * channels, channels)

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:
        """(B, below, *grid) and a detail (B, channels, *2 grid) -> (B, channels, *2 grid)."""
        return self.block(torch.cat([self.up(x), detail], dim=1))


class ResidualBlock(nn.Module):
    """Two 3^3 convolutions with instance norm and leaky ReLU around a shortcut, which is projected if widths differ."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = nn.Conv3d(in_channels, out_channels, 1, bias=False) if in_channels != out_channels else None

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Another number of channels on the same grid."""
        y = F.leaky_relu(instance_norm(self.conv1(x)), 0.01, inplace=True)
        y = instance_norm(self.conv2(y))
        y = y + (x if self.shortcut is None else instance_norm(self.shortcut(x)))
        return F.leaky_relu(y, 0.01, inplace=True)


def upsample(in_channels: int, out_channels: int) -> nn.ConvTranspose3d:
    """A deconvolution that doubles the resolution."""
    return nn.ConvTranspose3d(in_channels, out_channels, 2, 2, bias=False)


def instance_norm(x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
    """Zero mean and unit variance per sample and channel, no affine part.

    One group per channel is the same thing, and several times faster on CPU.
    """
    return F.group_norm(x, x.shape[1], eps=1e-5)
