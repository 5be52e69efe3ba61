"""nnU-Net's U-Nets, plain and with a residual encoder, for prediction: dropout and the coarser heads are left out.

The names of the tensors are those of the released files without their repetitions, see `weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medical.nnunet.architecture import Architecture, Layer

Size = Sequence[int]


class UNet(nn.Module):
    """(B, channels, *patch) -> logits (B, outputs, *patch).

    A patch of slices has an axis of length 1 in front, which a network of two dimensions does not see.
    """

    def __init__(self, settings: Architecture, channels: int, outputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(settings, channels)
        self.decoder = Decoder(settings, outputs)
        self.flat = settings.dimension == 2

    def forward(self, image: Tensor) -> Tensor:
        """Logits of each voxel."""
        logits = self.heads(image)[-1]
        return logits.unsqueeze(2) if self.flat else logits

    def heads(self, image: Tensor) -> list[Tensor]:
        """Logits of every stage of the decoder, the finest last; of the finest alone in `forward`'s result."""
        image = image.squeeze(2) if self.flat else image
        return self.decoder(self.encoder(image))


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

    def __init__(self, settings: Architecture, outputs: int) -> None:
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
        head = _convolution(settings.dimension)
        self.seg_layers = nn.ModuleList(head(width, outputs, 1) for width in widths)

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        """Logits of the stages; in evaluation mode of the finest alone."""
        features = skips[-1]
        logits = []
        for number, (up, stage, head) in enumerate(zip(self.transpconvs, self.stages, self.seg_layers, strict=True)):
            features = stage(torch.cat([up(features), skips[-2 - number]], dim=1))
            if self.training or number == len(self.stages) - 1:
                logits.append(head(features))
        return logits


class Stack(nn.Module):
    """Convolutions one after the other, the first with the stride."""

    def __init__(
        self, settings: Architecture, count: int, channels: int, width: int, kernel: Size, stride: Size | int = 1
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            Convolution(settings, channels, width, kernel, stride),
            *(Convolution(settings, width, width, kernel) for _ in range(count - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.convs(features)


class Convolution(nn.Module):
    """Convolution, norm, activation; or the activation before the norm."""

    def __init__(
        self,
        settings: Architecture,
        channels: int,
        width: int,
        kernel: Size | int,
        stride: Size | int = 1,
        *,
        bias: bool | None = None,
        activated: bool = True,
    ) -> None:
        super().__init__()
        padding = tuple((length - 1) // 2 for length in kernel) if not isinstance(kernel, int) else (kernel - 1) // 2
        bias = settings.bias if bias is None else bias
        self.conv = _convolution(settings.dimension)(channels, width, kernel, stride, padding, bias=bias)
        if settings.norm is not None:
            self.norm = _norm(settings.norm, settings.dimension, width)
        if settings.activation is not None and activated:
            self.nonlin = _activation(settings.activation)
        names = ("conv", "nonlin", "norm") if settings.norm_last else ("conv", "norm", "nonlin")
        self.order = [name for name in names if hasattr(self, name)]

    def forward(self, features: Tensor) -> Tensor:
        for name in self.order:
            features = getattr(self, name)(features)
        return features


class Blocks(nn.Module):
    """Residual blocks one after the other, the first with the stride."""

    def __init__(
        self,
        settings: Architecture,
        count: int,
        channels: int,
        width: int,
        kernel: Size,
        stride: Size,
        inner: int | None,
    ) -> None:
        super().__init__()
        ones = (1,) * settings.dimension
        self.blocks = nn.Sequential(
            Block(settings, channels, width, kernel, stride, inner),
            *(Block(settings, width, width, kernel, ones, inner) for _ in range(count - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.blocks(features)


class Block(nn.Module):
    """A residual block of ResNet-D: the skip is pooled, then projected where its channels differ.

    Source: He et al., Bag of Tricks for Image Classification, CVPR 2019, figure 2c.
    """

    def __init__(
        self, settings: Architecture, channels: int, width: int, kernel: Size, stride: Size, inner: int | None
    ) -> None:
        super().__init__()
        if inner is None:
            self.conv1 = Convolution(settings, channels, width, kernel, stride)
            self.conv2 = Convolution(settings, width, width, kernel, activated=False)
            self.convolutions = ["conv1", "conv2"]
        else:
            self.conv1 = Convolution(settings, channels, inner, 1)
            self.conv2 = Convolution(settings, inner, inner, kernel, stride)
            self.conv3 = Convolution(settings, inner, width, 1, activated=False)
            self.convolutions = ["conv1", "conv2", "conv3"]
        last = nn.Identity() if settings.activation is None else _activation(settings.activation)
        self.add_module("nonlin2" if inner is None else "nonlin3", last)
        self.last = [last]  # a list, so that its tensors have one name
        pool: Any = nn.AvgPool2d if settings.dimension == 2 else nn.AvgPool3d
        skip: list[nn.Module] = [] if all(step == 1 for step in stride) else [pool(tuple(stride), tuple(stride))]
        if channels != width:
            skip.append(Convolution(settings, channels, width, 1, bias=False, activated=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, features: Tensor) -> Tensor:
        residual = self.skip(features)
        for name in self.convolutions:
            features = getattr(self, name)(features)
        return self.last[0](features + residual)


def _convolution(dimension: int) -> Any:  # their arguments are typed with as many numbers as dimensions
    return nn.Conv2d if dimension == 2 else nn.Conv3d


def _norm(layer: Layer, dimension: int, width: int) -> nn.Module:
    kinds = {"InstanceNorm": (nn.InstanceNorm2d, nn.InstanceNorm3d), "BatchNorm": (nn.BatchNorm2d, nn.BatchNorm3d)}
    return kinds[layer.name][dimension - 2](width, **layer.arguments)


def _activation(layer: Layer) -> nn.Module:
    module: nn.Module = getattr(nn, layer.name)(**layer.arguments)  # of an allow-list, see `architecture`
    return module
