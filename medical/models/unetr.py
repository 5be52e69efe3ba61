"""UNETR: a transformer encoder and a convolutional decoder for volumes.

Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation", WACV 2022; names follow its figure 2.

Where the released code differs from the paper: it takes the skips from blocks 4, 7 and 10 instead of 3, 6 and 9
(`skips`); `vol3d.load_released` sets that. Parameters that the forward pass never uses do not exist here.

Two options are not the paper's. `stem: convolution` puts a convolutional encoder before the tokens, whose maps join the
skips (early convolutions: Xiao et al., NeurIPS 2021; the hybrid: TransUNet, Chen et al., 2021). `deep_supervision`
trains coarser levels of the decoder, too (Lee et al., AISTATS 2015; nnU-Net).
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
    stem: Literal["convolution"] | None = Field(
        None, description="convolution: an encoder of convolutions before the tokens, joined to the skips"
    )
    deep_supervision: int | None = Field(
        None, ge=1, description="coarser levels of the decoder whose outputs are trained, too"
    )

    @property
    def levels(self) -> int:
        """Number of halvings between the image and the tokens."""
        return self.patch.bit_length() - 1

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps at 1, 1/2, 1/4 ... of the resolution, down to twice that of the tokens."""
        return tuple(self.features * 2**level for level in range(self.levels))

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
        if self.deep_supervision is not None and self.deep_supervision >= self.levels:
            raise ValueError(f"deep_supervision must be below {self.levels} for patch {self.patch}")
        if self.decoder != "unetr" and (self.stem or self.deep_supervision):
            raise ValueError(f"stem and deep_supervision need the decoder unetr, got {self.decoder}")
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
        self.stem = ConvolutionalStem(settings, in_channels) if settings.stem else None
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
        early, maps = self._encoded(image)
        return self.decoder(image, maps, *early)

    def logits(self, image: Float[Tensor, "b c i j k"]) -> list[Tensor]:
        """Logits at 1, 1/2, 1/4 ... of the resolution, as many as `deep_supervision` trains and the first."""
        early, maps = self._encoded(image)
        return self.decoder.logits(image, maps, *early)  # type: ignore[operator]

    def _encoded(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Maps of the stem, finest first (none of a linear one), and the chosen tokens, each (B, width, *grid)."""
        patch = self.settings.patch
        if any(size % patch for size in image.shape[2:]):
            raise ValueError(f"image edges must be multiples of patch {patch}, got {tuple(image.shape[2:])}")
        early = [] if self.stem is None else self.stem(image)
        tokens, grid = self.embed(early[-1] if early else image)  # (B, N, width), grid = (i, j, k) / patch
        states = []
        for block in self.blocks:
            tokens = block(tokens)
            states.append(tokens)
        # Only the last state is normalised; the skips are taken as they are, as in the released code.
        chosen = [states[s - 1] for s in self.settings.skips] + [self.norm(tokens)]
        return early, [state.transpose(1, 2).unflatten(2, grid) for state in chosen]


class PatchEmbedding(LearnedPositions):
    """Equation 1: non-overlapping patches, one linear map each, plus a learned position embedding.

    Behind a convolutional stem a patch has two voxels of the stem's last map along each axis.
    """

    def __init__(self, settings: UnetrSettings, in_channels: int, window: Size) -> None:
        super().__init__(settings.width, window, (settings.patch,) * 3)
        # A linear map of disjoint patches is a convolution whose stride is its kernel.
        channels, patch = (settings.channels[-1], 2) if settings.stem else (in_channels, settings.patch)
        self.projection = nn.Conv3d(channels, settings.width, patch, patch)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.trunc_normal_(self.position, std=0.02, a=-2.0, b=2.0)
        nn.init.trunc_normal_(self.projection.weight, std=0.02, a=-2.0, b=2.0)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """An image, or the last map of a stem -> tokens (B, N, width) and the grid they came from."""
        tokens = self.projection(image)  # (B, width, i/p, j/p, k/p)
        grid = tuple(tokens.shape[2:])
        return self.dropout((tokens + self.at(grid)).flatten(2).transpose(1, 2)), grid


class ConvolutionalStem(nn.Module):
    """Residual blocks, each at half the resolution of the one before and with twice its channels."""

    def __init__(self, settings: UnetrSettings, in_channels: int) -> None:
        super().__init__()
        before = (in_channels, *settings.channels)
        self.steps = nn.ModuleList(
            ResidualBlock(before[level], channels, stride=2 if level else 1)
            for level, channels in enumerate(settings.channels)
        )

    def forward(self, image: Float[Tensor, "b c i j k"]) -> list[Tensor]:
        """Maps (B, features * 2^n, (i, j, k) / 2^n), finest first."""
        maps = [image]
        for step in self.steps:
            maps.append(step(maps[-1]))
        return maps[1:]


class UnetrDecoder(nn.Module):
    """The right half of figure 2: skips brought to their resolution, merged from the bottleneck upwards."""

    def __init__(self, settings: UnetrSettings, in_channels: int, out_channels: int) -> None:
        super().__init__()
        levels, widths = settings.levels, settings.channels
        self.image_path = None if settings.stem else ResidualBlock(in_channels, widths[0])
        self.skip_paths = nn.ModuleList(
            SkipPath(settings.width, widths[level], levels - 1 - level) for level in range(1, levels)
        )
        below = [*widths[1:], settings.width]
        self.merges = nn.ModuleList(Merge(below[level], widths[level]) for level in range(levels))
        self.head = nn.Conv3d(widths[0], out_channels, 1)
        coarser = widths[1 : 1 + (settings.deep_supervision or 0)]
        self.deep_heads = nn.ModuleList(nn.Conv3d(width, out_channels, 1) for width in coarser)

    def forward(self, image: Tensor, maps: list[Tensor], *early: Tensor) -> Tensor:
        """Image (B, C, i, j, k) and the chosen tokens (B, width, *grid), shallow to deep -> logits of each voxel.

        `early` are the maps of a convolutional stem, finest first.
        """
        return self.head(self._decoded(image, maps, early)[0])

    def logits(self, image: Tensor, maps: list[Tensor], *early: Tensor) -> list[Tensor]:
        """The same, and logits at 1/2, 1/4 ... of the resolution: one for each deep head."""
        heads = (self.head, *self.deep_heads)
        return [head(x) for head, x in zip(heads, self._decoded(image, maps, early), strict=False)]

    def _decoded(self, image: Tensor, maps: list[Tensor], early: tuple[Tensor, ...]) -> list[Tensor]:
        """What the merges give, finest first."""
        *skips, x = maps  # tokens of the chosen blocks, shallow to deep; the last one is the bottleneck
        details = [path(skip) for path, skip in zip(self.skip_paths, skips, strict=True)]
        if self.image_path is not None:
            details = [self.image_path(image), *details]
        else:
            details = [early[0], *(map_ + detail for map_, detail in zip(early[1:], details, strict=True))]
        decoded = []
        for merge, detail in zip(reversed(self.merges), reversed(details), strict=True):
            x = merge(x, detail)  # doubles the resolution
            decoded.append(x)
        return decoded[::-1]


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

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        is_same = in_channels == out_channels and stride == 1
        self.shortcut = None if is_same else nn.Conv3d(in_channels, out_channels, stride, stride, bias=False)

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o x y z"]:
        """Another number of channels, on the same grid or, with a stride, a coarser one."""
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
