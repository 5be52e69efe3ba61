"""What nnU-Net's U-Nets are made of: convolutions with norm and activation, in a row or around a residual.

Names of tensors are those of nnU-Net's files without their repetitions, see `medical.nnunet.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

Lengths = Sequence[int]
LEAKY_RELU_SLOPE = 0.01


@dataclass(frozen=True)
class Layer:
    """A class of torch by its name, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


def _instance_norm() -> Layer:
    return Layer("InstanceNorm", {"eps": 1e-5, "affine": True})


def _leaky_relu() -> Layer:
    return Layer("LeakyReLU", {"negative_slope": LEAKY_RELU_SLOPE, "inplace": True})


@dataclass(frozen=True)
class Architecture:
    """A U-Net of nnU-Net; what has a default is what all of its own plans have.

    Args:
        kind: the encoder, plain convolutions or residual blocks.
        dimension: 2 or 3.
        features: channels of each stage.
        kernels, strides: of each stage, `dimension` numbers each.
        encoder: convolutions or blocks of each stage.
        decoder: convolutions of each stage of the decoder, the coarsest first.
        bias: of convolutions.
        norm, activation: layers, None where there is none; of `norm` the name without its dimension.
        norm_last: the activation comes before the norm.
        bottleneck: channels within the blocks of each stage; None for basic blocks.
        stem: channels of the first convolution of a residual encoder.
    """

    kind: Literal["plain", "residual"]
    dimension: int
    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    bias: bool = True
    norm: Layer | None = field(default_factory=_instance_norm)
    activation: Layer | None = field(default_factory=_leaky_relu)
    norm_last: bool = False
    bottleneck: tuple[int, ...] | None = None
    stem: int = 0


class Stack(nn.Module):
    """Convolutions one after the other, the first with the stride."""

    def __init__(
        self, settings: Architecture, count: int, channels: int, width: int, kernel: Lengths, stride: Lengths | int = 1
    ) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            Convolution(settings, channels, width, kernel, stride),
            *(Convolution(settings, width, width, kernel) for _ in range(count - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *grid) -> (B, width, *grid / stride)."""
        return self.convs(features)


class Convolution(nn.Module):
    """Convolution, norm, activation; or the activation before the norm."""

    def __init__(
        self,
        settings: Architecture,
        channels: int,
        width: int,
        kernel: Lengths | int,
        stride: Lengths | int = 1,
        *,
        bias: bool | None = None,
        activated: bool = True,
    ) -> None:
        super().__init__()
        padding = tuple((length - 1) // 2 for length in kernel) if not isinstance(kernel, int) else (kernel - 1) // 2
        bias = settings.bias if bias is None else bias
        self.conv = convolution(settings.dimension)(channels, width, kernel, stride, padding, bias=bias)
        if settings.norm is not None:
            self.norm = _norm(settings.norm, settings.dimension, width)
        if settings.activation is not None and activated:
            self.nonlin = _activation(settings.activation)
        names = ("conv", "nonlin", "norm") if settings.norm_last else ("conv", "norm", "nonlin")
        self.order = [name for name in names if hasattr(self, name)]

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *grid) -> (B, width, *grid / stride)."""
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
        kernel: Lengths,
        stride: Lengths,
        inner: int | None,
    ) -> None:
        super().__init__()
        ones = (1,) * settings.dimension
        self.blocks = nn.Sequential(
            Block(settings, channels, width, kernel, stride, inner),
            *(Block(settings, width, width, kernel, ones, inner) for _ in range(count - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, *grid) -> (B, width, *grid / stride)."""
        return self.blocks(features)


class Block(nn.Module):
    """A residual block of ResNet-D: the skip is pooled, then projected where its channels differ.

    Source: He et al., Bag of Tricks for Image Classification, CVPR 2019, figure 2c.
    """

    def __init__(
        self, settings: Architecture, channels: int, width: int, kernel: Lengths, stride: Lengths, inner: int | None
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
        """(B, channels, *grid) -> (B, width, *grid / stride)."""
        residual = self.skip(features)
        for name in self.convolutions:
            features = getattr(self, name)(features)
        return self.last[0](features + residual)


def convolution(dimension: int) -> Any:
    """The class of convolutions; their arguments are typed with as many numbers as dimensions."""
    return nn.Conv2d if dimension == 2 else nn.Conv3d


def initialise(network: nn.Module) -> None:
    """Fresh weights as nnU-Net draws them, in place: He's for leaky ReLU, and blocks that begin as their skip."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=LEAKY_RELU_SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, Block):
            last = getattr(module, module.convolutions[-1])
            if hasattr(last, "norm"):
                nn.init.zeros_(last.norm.weight)


def _norm(layer: Layer, dimension: int, width: int) -> nn.Module:
    kinds = {"InstanceNorm": (nn.InstanceNorm2d, nn.InstanceNorm3d), "BatchNorm": (nn.BatchNorm2d, nn.BatchNorm3d)}
    return kinds[layer.name][dimension - 2](width, **layer.arguments)


def _activation(layer: Layer) -> nn.Module:
    module: nn.Module = getattr(nn, layer.name)(**layer.arguments)  # of an allow-list: `medical.nnunet.architecture`
    return module
