"""TransUNet: a residual network, a vision transformer on its last map, and a decoder that takes the skips; in 2D.

Chen et al., "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation", arXiv:2102.04306, section 3;
names follow its figure 1 (R50-ViT). The encoder is the ResNet of "Big Transfer" (Kolesnikov et al., ECCV 2020).

The network sees slices along k apart from each other, as the authors' does, so a window of one slice is what it is
trained on, `window.size: [224, 224, 1]`; deeper windows are sliced. An image of one channel is seen as three equal
ones. The authors begin with weights that were trained on photographs; here all weights are fresh.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from medical.models.common import Size, check_window
from medical.models.vit import LearnedPositions, SelfAttention, TransformerBlock
from vol3d.engine.settings import Settings

STRIDE = 16  # pixels in a token along i and j: the encoder halves four times


class TransUnetSettings(Settings):
    """Settings of TransUNet; the defaults are the paper's R50-ViT-B/16."""

    name: Literal["transunet"] = "transunet"
    features: int = Field(64, ge=32, multiple_of=32, description="channels of the encoder's first convolution")
    blocks: tuple[int, int, int] = Field((3, 4, 9), description="bottlenecks of the encoder's three stages")
    width: int = Field(768, ge=1, description="length of a token")
    depth: int = Field(12, ge=1, description="transformer blocks")
    heads: int = Field(12, ge=1)
    mlp: int = Field(3072, ge=1, description="hidden width of a block's MLP")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the tokens and in the MLP")
    bottom: int = Field(512, ge=1, description="channels of the tokens' map in the decoder")
    decoder: tuple[int, int, int, int] = Field((256, 128, 64, 16), description="channels of the decoder's four steps")

    @model_validator(mode="after")
    def _check(self) -> TransUnetSettings:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}")
        return self

    def build(self, in_channels: int, out_channels: int, window: Size) -> TransUnet:
        """The network with fresh weights for windows of (i, j, k) voxels: multiples of 16 along i and j, any k."""
        return TransUnet(self, in_channels, out_channels, window)


class TransUnet(nn.Module):
    """The network of figure 1, slice by slice.

    Args:
        settings: sizes.
        in_channels: channels of the image.
        out_channels: classes (with background) or regions.
        window: voxels (i, j, k) that it is trained on; there is one learned position for each 16 x 16 of a slice.
    """

    def __init__(self, settings: TransUnetSettings, in_channels: int, out_channels: int, window: Size) -> None:
        super().__init__()
        check_window(window, (STRIDE, STRIDE, 1))
        self.encoder = Encoder(settings, 3 if in_channels == 1 else in_channels)
        self.embed = Embedding(settings, window)
        self.blocks = nn.ModuleList(transformer_block(settings) for _ in range(settings.depth))
        self.norm = nn.LayerNorm(settings.width, eps=1e-6)
        self.decoder = CascadedUpsampler(settings)
        self.head = nn.Conv2d(settings.decoder[-1], out_channels, 3, padding=1)

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits for each voxel. Edges along i and j may differ from the window's but must be multiples of 16."""
        check_window(tuple(image.shape[2:]), (STRIDE, STRIDE, 1))
        slices = image.movedim(4, 1).flatten(0, 1)  # (B * k, C, i, j)
        logits = self._of_slices(slices.expand(-1, 3, -1, -1) if image.shape[1] == 1 else slices)
        return logits.unflatten(0, (image.shape[0], image.shape[4])).movedim(1, 4)

    def _of_slices(self, slices: Float[Tensor, "s c i j"]) -> Float[Tensor, "s o i j"]:
        x, skips = self.encoder(slices)  # (S, 16f, *1/16), and maps at 1/2, 1/4, 1/8 of the resolution
        tokens = self.embed(x)  # (S, N, width), equation 1
        for block in self.blocks:
            tokens = block(tokens)  # equations 2 and 3
        x = self.norm(tokens).transpose(1, 2).unflatten(2, x.shape[2:])
        return self.head(self.decoder(x, skips))


class Encoder(nn.Module):
    """Section 3.2, "CNN-Transformer hybrid": a 7^2 convolution and three stages of bottlenecks."""

    def __init__(self, settings: TransUnetSettings, in_channels: int) -> None:
        super().__init__()
        features = settings.features
        stem = StandardisedConvolution(in_channels, features, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, group_norm(features), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList()
        before = features
        for level, count in enumerate(settings.blocks):
            after = features * 4 * 2**level
            first = Bottleneck(before, after, 1 if level == 0 else 2)
            self.stages.append(nn.Sequential(first, *(Bottleneck(after, after, 1) for _ in range(count - 1))))
            before = after

    def forward(self, x: Float[Tensor, "s c i j"]) -> tuple[Tensor, list[Tensor]]:
        """The last map, at 1/16 of the resolution, and those at 1/2, 1/4 and 1/8."""
        x = self.stem(x)
        skips = [x]
        x = F.max_pool2d(x, 3, 2)
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        # Pooling without a border loses a cell along each axis, which the skip gets back as 0.
        skips[1] = F.pad(skips[1], (0, 1, 0, 1))
        return skips[3], skips[:3]


class Embedding(nn.Module):
    """Equation 1: a linear map of each cell of the encoder's map, and its learned position."""

    def __init__(self, settings: TransUnetSettings, window: Size) -> None:
        super().__init__()
        self.projection = nn.Conv2d(16 * settings.features, settings.width, 1)
        self.positions = LearnedPositions(settings.width, window, (STRIDE, STRIDE))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Float[Tensor, "s c i j"]) -> Float[Tensor, "s n w"]:
        """The encoder's last map -> tokens (S, N, width)."""
        tokens = self.projection(x) + self.positions.at(tuple(x.shape[2:]))
        return self.dropout(tokens.flatten(2).transpose(1, 2))


def transformer_block(settings: TransUnetSettings) -> TransformerBlock:
    """Equations 2 and 3, started as ViT's code starts them."""
    attention = SelfAttention(settings.width, settings.heads, 0.0, bias=True)
    block = TransformerBlock(attention, settings.mlp, settings.dropout, eps=1e-6)
    for part in block.mlp:
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.normal_(part.bias, std=1e-6)
    return block


class CascadedUpsampler(nn.Module):
    """Section 3.2, "cascaded upsampler": four doublings, three of them with the encoder's map of that size."""

    def __init__(self, settings: TransUnetSettings) -> None:
        super().__init__()
        self.start = convolution(settings.width, settings.bottom)
        skips = [8 * settings.features, 4 * settings.features, settings.features, 0]
        below = [settings.bottom, *settings.decoder[:3]]
        self.steps = nn.ModuleList(
            nn.Sequential(convolution(before + skip, after), convolution(after, after))
            for before, skip, after in zip(below, skips, settings.decoder, strict=True)
        )

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Tokens as a map (S, width, *1/16) and the skips, fine to coarse -> (S, channels, i, j)."""
        x = self.start(x)
        for step in self.steps:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = step(torch.cat([x, skips.pop()], dim=1) if skips else x)
        return x


class Bottleneck(nn.Module):
    """1^2, 3^2 and 1^2 convolutions with group norm around a shortcut, which is projected if sizes differ; ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        inner = out_channels // 4
        self.steps = nn.Sequential(
            StandardisedConvolution(in_channels, inner, 1, bias=False),
            group_norm(inner),
            nn.ReLU(inplace=True),
            StandardisedConvolution(inner, inner, 3, stride, padding=1, bias=False),
            group_norm(inner),
            nn.ReLU(inplace=True),
            StandardisedConvolution(inner, out_channels, 1, bias=False),
            group_norm(out_channels),
        )
        self.shortcut = nn.Sequential()  # the identity
        if stride > 1 or in_channels != out_channels:
            projection = StandardisedConvolution(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.GroupNorm(out_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(S, in, *grid) -> (S, out, *1/stride)."""
        return F.relu(self.steps(x) + self.shortcut(x))


class StandardisedConvolution(nn.Conv2d):
    """A convolution whose weights have mean 0 and variance 1 for each output (Qiao et al., arXiv:1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        """As a convolution."""
        variance, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def group_norm(channels: int) -> nn.GroupNorm:
    """In 32 groups."""
    return nn.GroupNorm(32, channels, eps=1e-6)


def convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3^2 convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
