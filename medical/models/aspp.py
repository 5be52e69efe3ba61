"""ASPP: DeepLabv3+ in 3D, a residual encoder and atrous spatial pyramid pooling with a small decoder.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018, section 3;
names follow its figure 2. The encoder is the ResNet-50 of its table 4 (He et al., "Deep Residual Learning", CVPR 2016).

UNETR's tables cite this paper for their row ASPP and print 47.9 M parameters, but no code of it was published: the
step to 3D is ours. Rates of 6, 12 and 18 belong to the 33 cells of the paper's maps; a window of 96 voxels has 6, of
which 1, 2 and 3 are the same share. Behind the pooling of the whole map, one number a channel, there is no batch norm:
a batch of one would have no variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from medical.models.common import Size
from vol3d.engine.settings import Settings


class AsppSettings(Settings):
    """Settings of ASPP; the defaults are the paper's, but for the rates."""

    name: Literal["aspp"] = "aspp"
    features: int = Field(64, ge=1, description="channels of the encoder's first convolution")
    blocks: tuple[int, int, int, int] = Field((3, 4, 6, 3), description="bottlenecks of the encoder's four stages")
    output_stride: Literal[8, 16] = Field(16, description="voxels of a cell of the encoder's last map")
    rates: Size = Field((1, 2, 3), description="cells between the taps of the three atrous convolutions")
    width: int = Field(256, ge=1, description="channels of the pyramid and of the decoder")
    low_level: int = Field(48, ge=1, description="channels that the decoder takes of the encoder's first stage")
    dropout: float = Field(0.1, ge=0, lt=1)

    def build(self, in_channels: int, out_channels: int, window: Size) -> Aspp:
        """The network with fresh weights; it takes any window."""
        return Aspp(self, in_channels, out_channels)


class Aspp(nn.Module):
    """The network of figure 2.

    Args:
        settings: sizes.
        in_channels: channels of the image.
        out_channels: classes (with background) or regions.
    """

    def __init__(self, settings: AsppSettings, in_channels: int, out_channels: int) -> None:
        super().__init__()
        width = settings.width
        self.encoder = Encoder(settings, in_channels)
        self.pyramid = Pyramid(32 * settings.features, settings)
        self.low_level = convolution(4 * settings.features, settings.low_level, 1)
        self.refine = nn.Sequential(separable(width + settings.low_level, width, 1), separable(width, width, 1))
        self.head = nn.Conv3d(width, out_channels, 1)

    def forward(self, image: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b o i j k"]:
        """Logits for each voxel."""
        fine, coarse = self.encoder(image)  # (B, 4f, *1/4), (B, 32f, *1/output_stride)
        low_level = self.low_level(fine)
        x = resize(self.pyramid(coarse), low_level)  # (B, width, *1/4)
        x = self.refine(torch.cat([low_level, x], dim=1))
        return resize(self.head(x), image)


class Encoder(nn.Module):
    """A residual network whose last stages widen their taps instead of halving (section 3.1, "atrous convolution")."""

    def __init__(self, settings: AsppSettings, in_channels: int) -> None:
        super().__init__()
        features = settings.features
        stem = nn.Conv3d(in_channels, features, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm3d(features), nn.ReLU(inplace=True), nn.MaxPool3d(3, 2, 1))
        self.stages = nn.ModuleList(_stages(settings))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the first stage, at 1/4 of the resolution, and of the last."""
        x = self.stem(image)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[0], maps[-1]


def _stages(settings: AsppSettings) -> Iterator[nn.Sequential]:
    """Stages of bottlenecks; each after the first halves the map, or from the output stride on doubles the rate."""
    before, stride, rate = settings.features, 4, 1
    for level, count in enumerate(settings.blocks):
        inner = settings.features * 2**level
        halves = level > 0 and stride < settings.output_stride
        stride *= 2 if halves else 1
        first = Bottleneck(before, inner, 2 if halves else 1, rate)  # the rate of the stage before, as is usual
        rate *= 1 if halves or level == 0 else 2
        yield nn.Sequential(first, *(Bottleneck(4 * inner, inner, 1, rate) for _ in range(count - 1)))
        before = 4 * inner


class Bottleneck(nn.Module):
    """1^3, 3^3 and 1^3 convolutions with batch norm around a shortcut, which is projected if sizes differ; ReLU."""

    def __init__(self, in_channels: int, inner: int, stride: int, rate: int) -> None:
        super().__init__()
        out_channels = 4 * inner
        self.steps = nn.Sequential(
            convolution(in_channels, inner, 1),
            convolution(inner, inner, 3, stride, rate),
            nn.Conv3d(inner, out_channels, 1, bias=False),
            nn.BatchNorm3d(out_channels),
        )
        self.shortcut = nn.Sequential()  # the identity
        if stride > 1 or in_channels != out_channels:
            projection = nn.Conv3d(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm3d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, *grid) -> (B, 4 inner, *1/stride)."""
        return F.relu(self.steps(x) + self.shortcut(x))


class Pyramid(nn.Module):
    """Section 3.1, "ASPP": a 1^3 convolution, three atrous ones and the mean of the map, side by side."""

    def __init__(self, in_channels: int, settings: AsppSettings) -> None:
        super().__init__()
        width = settings.width
        self.branches = nn.ModuleList(
            [convolution(in_channels, width, 1), *(separable(in_channels, width, rate) for rate in settings.rates)]
        )
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Conv3d(in_channels, width, 1), nn.ReLU(inplace=True))
        self.join = nn.Sequential(convolution(5 * width, width, 1), nn.Dropout(settings.dropout))

    def forward(self, x: Float[Tensor, "b c i j k"]) -> Float[Tensor, "b w i j k"]:
        """What lies at several distances, for each cell."""
        mean = self.pooling(x).expand(-1, -1, *x.shape[2:])
        return self.join(torch.cat([*(branch(x) for branch in self.branches), mean], dim=1))


def convolution(in_channels: int, out_channels: int, kernel: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    """Convolution, batch norm and ReLU."""
    padding = rate * (kernel // 2)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, stride, padding, rate, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )


def separable(in_channels: int, out_channels: int, rate: int) -> nn.Sequential:
    """Atrous separable convolution (figure 3): a 3^3 one of each channel apart, a 1^3 one across channels."""
    depthwise = nn.Conv3d(in_channels, in_channels, 3, padding=rate, dilation=rate, groups=in_channels, bias=False)
    return nn.Sequential(depthwise, convolution(in_channels, out_channels, 1))


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Trilinear interpolation to the voxels of another map."""
    return F.interpolate(x, like.shape[2:], mode="trilinear")
