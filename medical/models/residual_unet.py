"""nnU-Net's U-Nets: a plain or a residual encoder, a light decoder, logits at every stage of it.

Isensee et al., "nnU-Net", Nature Methods 2021 (plain encoder); Isensee et al., "nnU-Net Revisited: A Call for Rigorous
Validation in 3D Medical Image Segmentation", MICCAI 2024 (residual encoder, "ResEnc"). The networks of nnU-Net's model
folders (`medical.nnunet`) are these, too.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from medical.models.common import Size, check_window
from medical.models.unet_blocks import Architecture, Blocks, Stack, convolution, initialise
from vol3d.engine.settings import Settings

_LEVELS = 6
_THREES: Size = (3, 3, 3)


class _UnetSettings(Settings):
    """What both encoders have; each stage after the first begins with its stride."""

    features: tuple[int, ...] = Field((32, 64, 128, 256, 320, 320), min_length=2, description="channels of each stage")
    kernels: tuple[Size, ...] = Field((_THREES,) * _LEVELS, description="of each stage; 1 along an axis ignores it")
    strides: tuple[Size, ...] = Field(((1, 1, 1), *((2, 2, 2),) * (_LEVELS - 1)), description="of each stage")
    deep_supervision: bool = Field(True, description="the loss counts the logits of coarser stages, too")

    @model_validator(mode="after")
    def _check(self) -> _UnetSettings:
        for name in ("kernels", "strides", self._depth):
            if (got := len(getattr(self, name))) != len(self.features):
                raise ValueError(f"{len(self.features)} stages need as many {name}, got {got}")
        numbers = [*self.features, *getattr(self, self._depth), *(n for size in self.strides for n in size)]
        if min(numbers) < 1:
            raise ValueError(f"features, {self._depth} and strides must be at least 1, got {min(numbers)}")
        if even := [size for size in self.kernels if any(n < 1 or n % 2 == 0 for n in size)]:
            raise ValueError(f"kernels must be odd, got {even[0]}")
        return self

    @property
    def _depth(self) -> str:
        """The setting with the number of convolutions or blocks of each stage."""
        raise NotImplementedError

    def _build(
        self, kind: Literal["plain", "residual"], decoder: int, channels: int, outputs: int, window: Size
    ) -> Any:
        check_window(window, self.multiple_of)
        stages = len(self.features)
        encoder = getattr(self, self._depth)
        architecture = Architecture(
            kind,
            3,
            self.features,
            self.kernels,
            self.strides,
            encoder,
            (decoder,) * (stages - 1),
            stem=self.features[0],
        )
        # nnU-Net gives the coarsest logits the weight 0.
        network = UNet(architecture, channels, outputs, heads=max(stages - 2, 1) if self.deep_supervision else 1)
        initialise(network)
        return network

    @property
    def multiple_of(self) -> Size:
        """What the edges of a window must be multiples of."""
        i, j, k = (math.prod(axis) for axis in zip(*self.strides, strict=True))
        return i, j, k


class ResidualUnetSettings(_UnetSettings):
    """The residual-encoder U-Net; the defaults are ResEnc M and L, which differ in the window and the batch."""

    name: Literal["residual_unet"] = "residual_unet"
    blocks: tuple[int, ...] = Field((1, 3, 4, 6, 6, 6), description="residual blocks of each stage of the encoder")
    decoder: int = Field(1, ge=1, description="convolutions of each stage of the decoder")

    @property
    def _depth(self) -> str:
        return "blocks"

    def build(self, in_channels: int, out_channels: int, window: Size = (128, 128, 128)) -> UNet:
        """The network with fresh weights for windows of (i, j, k) voxels, multiples of the product of the strides."""
        return self._build("residual", self.decoder, in_channels, out_channels, window)


class PlainUnetSettings(_UnetSettings):
    """nnU-Net's U-Net of 2021."""

    name: Literal["plain_unet"] = "plain_unet"
    convolutions: tuple[int, ...] = Field((2,) * _LEVELS, description="of each stage of the encoder")
    decoder: int = Field(2, ge=1, description="convolutions of each stage of the decoder")

    @property
    def _depth(self) -> str:
        return "convolutions"

    def build(self, in_channels: int, out_channels: int, window: Size = (128, 128, 128)) -> UNet:
        """The network with fresh weights for windows of (i, j, k) voxels, multiples of the product of the strides."""
        return self._build("plain", self.decoder, in_channels, out_channels, window)


class UNet(nn.Module):
    """The network.

    A window of slices has an axis of length 1 in front, which a network of two dimensions does not see.

    Args:
        settings: sizes and layers.
        channels: of the image.
        outputs: classes (with background) or regions.
        heads: stages of the decoder that give logits, counted from the finest; None for all.
    """

    def __init__(self, settings: Architecture, channels: int, outputs: int, heads: int | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(settings, channels)
        self.decoder = Decoder(settings, outputs, heads)
        self.flat = settings.dimension == 2

    def forward(self, image: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b o *grid"]:
        """Logits of each voxel (B, outputs, *window)."""
        (logits,) = self.logits(image, 1)
        return logits

    def logits(self, image: Float[Tensor, "b c *grid"], stages: int | None = None) -> list[Tensor]:
        """Logits of stages of the decoder, the finest first, each at its own resolution.

        Args:
            stages: how many; None for all that have a head.
        """
        skips = self.encoder(
            image.squeeze(2) if self.flat else image
        )  # (B, features[n], *grid / strides), the finest first
        logits = self.decoder(skips, stages)
        return [one.unsqueeze(2) for one in logits] if self.flat else logits


class Encoder(nn.Module):
    """Stages that each begin with a strided convolution or block; a residual one has a stem in front."""

    def __init__(self, settings: Architecture, channels: int) -> None:
        super().__init__()
        plain = settings.kind == "plain"
        if not plain:
            self.stem = Stack(settings, 1, channels, settings.stem, settings.kernels[0])
            channels = settings.stem
        stages: list[nn.Module] = []
        for stage, width in enumerate(settings.features):
            kernel, stride, count = settings.kernels[stage], settings.strides[stage], settings.encoder[stage]
            if plain:
                stages.append(nn.Sequential(Stack(settings, count, channels, width, kernel, stride)))
            else:
                inner = None if settings.bottleneck is None else settings.bottleneck[stage]
                stages.append(Blocks(settings, count, channels, width, kernel, stride, inner))
            channels = width
        self.stages = nn.Sequential(*stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of each stage, the finest first."""
        features = self.stem(image) if hasattr(self, "stem") else image
        skips = []
        for stage in self.stages:
            features = stage(features)
            skips.append(features)
        return skips


class Decoder(nn.Module):
    """From the coarsest stage up: a transposed convolution, the skip beside it, convolutions."""

    def __init__(self, settings: Architecture, outputs: int, heads: int | None = None) -> None:
        super().__init__()
        features, widths = settings.features[::-1], settings.features[-2::-1]
        up: Any = nn.ConvTranspose2d if settings.dimension == 2 else nn.ConvTranspose3d
        strides, kernels = settings.strides[:0:-1], settings.kernels[-2::-1]
        self.transpconvs = nn.ModuleList(
            up(below, width, stride, stride, bias=settings.bias)
            for below, width, stride in zip(features[:-1], widths, strides, strict=True)
        )
        self.stages = nn.ModuleList(
            Stack(settings, count, 2 * width, width, kernel)
            for count, width, kernel in zip(settings.decoder, widths, kernels, strict=True)
        )
        head, finest = convolution(settings.dimension), widths[-heads:] if heads else widths
        self.seg_layers = nn.ModuleList(head(width, outputs, 1) for width in finest)

    def forward(self, skips: list[Tensor], stages: int | None = None) -> list[Tensor]:
        """Features of the encoder, the finest first -> logits of the finest stages, the finest first."""
        wanted = len(self.seg_layers) if stages is None else stages
        features, logits = skips[-1], list[Tensor]()
        for number, (up, stage) in enumerate(zip(self.transpconvs, self.stages, strict=True)):
            features = stage(torch.cat([up(features), skips[-2 - number]], dim=1))
            above = len(self.stages) - 1 - number  # stages that are finer than this one
            if above < wanted:
                logits.append(self.seg_layers[-1 - above](features))
        return logits[::-1]
