"""TransBTS: a convolutional encoder and decoder with a transformer between them.

Wang et al., "TransBTS: Multimodal Brain Tumor Segmentation Using Transformer", MICCAI 2021, section 2; names follow its
figure 1.

Where the authors' code differs from the paper, ours is as the code: the decoder takes the last block's tokens without a
norm. Left out are parameters that their forward pass never uses (the norm behind the transformer, a linear map of
patches), and one fault: the code drops features of the first convolution in prediction too.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from medical.models.common import Size, check_window
from medical.models.vit import LearnedPositions, SelfAttention, TransformerBlock
from vol3d.engine.settings import Settings

DOWN = 8  # voxels of the window in a token along each axis: the encoder halves three times


class TransBtsSettings(Settings):
    """Settings of TransBTS; the defaults are the paper's (section 3, L = 4, d = 512) and the authors' code's."""

    name: Literal["transbts"] = "transbts"
    features: int = Field(16, ge=8, multiple_of=8, description="channels at full resolution, doubled at each level")
    width: int = Field(512, ge=1, description="length of a token, d in the paper")
    depth: int = Field(4, ge=1, description="transformer blocks, L in the paper")
    heads: int = Field(8, ge=1)
    mlp: int = Field(4096, ge=1, description="hidden width of a block's MLP")
    dropout: float = Field(0.1, ge=0, lt=1, description="in the transformer")
    image_dropout: float = Field(0.2, ge=0, lt=1, description="of whole channels after the first convolution")

    @model_validator(mode="after")
    def _check(self) -> TransBtsSettings:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> TransBts:
        """The network with fresh weights for windows of (i, j, k) voxels, multiples of 8."""
        return TransBts(self, in_channels, out_channels, window)


class TransBts(nn.Module):
    """The network of figure 1.

    Args:
        settings: sizes.
        in_channels: channels of the image.
        out_channels: classes (with background) or regions.
        window: voxels (i, j, k) that it is trained on; there is one learned position for each cell of 8^3 voxels.
    """

    def __init__(self, settings: TransBtsSettings, in_channels: int, out_channels: int, window: Size) -> None:
        super().__init__()
        check_window(window, (DOWN,) * 3)
        full, half, quarter, eighth = (settings.features * 2**level for level in range(4))
        self.stem = nn.Sequential(nn.Conv3d(in_channels, full, 3, padding=1), nn.Dropout3d(settings.image_dropout))
        self.encoder = nn.ModuleList(
            [
                nn.Sequential(EncoderBlock(full)),
                nn.Sequential(halve(full, half), EncoderBlock(half), EncoderBlock(half)),
                nn.Sequential(halve(half, quarter), EncoderBlock(quarter), EncoderBlock(quarter)),
                nn.Sequential(halve(quarter, eighth), *(EncoderBlock(eighth) for _ in range(4))),
            ]
        )
        self.embed = Embedding(settings, eighth, window)
        self.blocks = nn.ModuleList(transformer_block(settings) for _ in range(settings.depth))
        self.mapping = nn.Sequential(
            nn.Conv3d(settings.width, eighth, 3, padding=1),
            *norm_relu(eighth),
            nn.Conv3d(eighth, eighth, 3, padding=1),
            *norm_relu(eighth),
            DecoderBlock(eighth),
        )
        self.decoder = nn.ModuleList(Merge(below, below // 2) for below in (eighth, quarter, half))
        self.head = nn.Conv3d(full, out_channels, 1)

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits for each voxel. Edges may differ from the training window's but must be multiples of 8."""
        check_window(tuple(image.shape[2:]), (DOWN,) * 3)
        x = self.stem(image)  # (B, f, i, j, k)
        levels = []
        for stage in self.encoder:
            x = stage(x)  # f, 2f, 4f, 8f channels at 1, 1/2, 1/4, 1/8 of the resolution
            levels.append(x)
        *skips, deepest = levels

        tokens = self.embed(deepest)  # (B, N, d), section 2.3
        for block in self.blocks:
            tokens = block(tokens)

        x = self.mapping(tokens.transpose(1, 2).unflatten(2, deepest.shape[2:]))  # (B, 8f, *1/8), section 2.4
        for merge, skip in zip(self.decoder, reversed(skips), strict=True):
            x = merge(x, skip)  # doubles the resolution
        return self.head(x)


class Embedding(nn.Module):
    """Section 2.3, "feature embedding": a 3^3 convolution to d channels, and learned positions."""

    def __init__(self, settings: TransBtsSettings, channels: int, window: Size) -> None:
        super().__init__()
        self.projection = nn.Sequential(*norm_relu(channels), nn.Conv3d(channels, settings.width, 3, padding=1))
        self.positions = LearnedPositions(settings.width, window, (DOWN,) * 3)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b n w"]:
        """The encoder's last map -> tokens (B, N, d)."""
        tokens = self.projection(x) + self.positions.at(tuple(x.shape[2:]))
        return self.dropout(tokens.flatten(2).transpose(1, 2))


def transformer_block(settings: TransBtsSettings) -> TransformerBlock:
    """A block of section 2.3."""
    twice = 1 - (1 - settings.dropout) ** 2  # the authors' code drops the attention's output two times in a row
    attention = SelfAttention(settings.width, settings.heads, settings.dropout, twice)
    return TransformerBlock(attention, settings.mlp, settings.dropout)


class EncoderBlock(nn.Module):
    """Twice group norm, ReLU and a 3^3 convolution, around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for _ in range(2):
            convolution = nn.Conv3d(channels, channels, 3, padding=1)
            steps += [nn.GroupNorm(8, channels), nn.ReLU(inplace=True), convolution]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
        """A map of the same size."""
        return x + self.steps(x)


class DecoderBlock(nn.Module):
    """Twice a 3^3 convolution, batch norm and ReLU, then the shortcut is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for _ in range(2):
            steps += [nn.Conv3d(channels, channels, 3, padding=1), *norm_relu(channels)]
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b c i j k"]:
        """A map of the same size."""
        return x + self.steps(x)


class Merge(nn.Module):
    """A 1^3 convolution, a deconvolution to twice the resolution, the encoder's skip beside it, a 1^3 convolution."""

    def __init__(self, below: int, channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.Conv3d(below, channels, 1), nn.ConvTranspose3d(channels, channels, 2, 2))
        self.join = nn.Conv3d(2 * channels, channels, 1)
        self.block = DecoderBlock(channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, below, *grid) and a skip (B, channels, *2 grid) -> (B, channels, *2 grid)."""
        return self.block(self.join(torch.cat([skip, self.up(x)], dim=1)))


def halve(in_channels: int, out_channels: int) -> nn.Conv3d:
    """A strided convolution to half the resolution."""
    return nn.Conv3d(in_channels, out_channels, 3, stride=2, padding=1)


def norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    """Batch norm and ReLU."""
    return nn.BatchNorm3d(channels), nn.ReLU(inplace=True)
