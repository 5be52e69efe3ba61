"""Sparse convolution layers.

A weight is stored as [kz, ky, kx, c_in, c_out], the layout of spconv 1; `vol3d.sparse.weights` converts to and from
spconv 2. Source: Graham, Engelcke, van der Maaten, "3D Semantic Segmentation with Submanifold Sparse Convolutional
Networks" (submanifold and strided convolution); Yan, Mao, Li, "SECOND" (their use on LiDAR).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vol3d.errors import DataError, UsageError
from vol3d.sparse.convolve import sparse_convolve
from vol3d.sparse.geometry import Geometry, Triple, triple
from vol3d.sparse.kernel_map import KernelMap
from vol3d.sparse.sites import ActiveSites
from vol3d.sparse.tensor import SparseTensor

Size = int | Sequence[int]


class _SparseConvolution(nn.Module):
    """What the four convolutions share: weight, bias and the product; they differ in positions and map."""

    def __init__(self, in_channels: int, out_channels: int, window: Geometry, bias: bool) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
                raise UsageError("not a number of channels", where=name, got=channels, wanted="an integer >= 1")
        self.in_channels, self.out_channels, self.window = in_channels, out_channels, window
        self.weight = nn.Parameter(torch.empty(*window.kernel, in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(taps * in_channels), as `torch.nn.Conv3d`."""
        bound = 1 / math.sqrt(self.window.taps * self.in_channels)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        w = self.window
        sizes = f"kernel_size={w.kernel}, stride={w.stride}, padding={w.padding}, dilation={w.dilation}"
        return f"{self.in_channels}, {self.out_channels}, {sizes}, bias={self.bias is not None}"

    def _check(self, x: SparseTensor) -> None:
        if x.channels != self.in_channels:
            wanted = f"{self.in_channels} channels"
            raise DataError("channels do not fit", where=type(self).__name__, got=repr(x), wanted=wanted)
        if x.features.device != self.weight.device:
            got, wanted = f"features on {x.features.device}", f"{self.weight.device}, as the weight"
            raise DataError("tensors are on different devices", where=type(self).__name__, got=got, wanted=wanted)

    def _features(self, features: Tensor, kernel_map: KernelMap) -> Tensor:
        """[inputs, c_in] -> [outputs, c_out]."""
        out = sparse_convolve(features, self.weight.flatten(0, 2), kernel_map)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class SubMConv3d(_SparseConvolution):
    """Submanifold convolution: output positions are the input positions.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps, one integer or z y x; tap `kernel_size // 2` lies on the position itself.
        dilation: distance between taps.
        bias: add a bias.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size = 3, dilation: Size = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, Geometry.submanifold(kernel_size, dilation), bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `DataError` if channels or device do not fit."""
        self._check(x)
        return x.with_features(self._features(x.features, x.sites.submanifold_map(self.window)))


class SparseConv3d(_SparseConvolution):
    """Convolution: an output position is active if its window holds an active input, as dense convolution reaches it.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps, one integer or z y x.
        stride, padding, dilation: as `torch.nn.Conv3d`.
        bias: add a bias, at active positions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, Geometry.of(kernel_size, stride, padding, dilation), bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `DataError` if channels or device do not fit, `UsageError` if the window exceeds the grid."""
        self._check(x)
        sites = x.sites.coarser(self.window)
        return SparseTensor.at(sites, self._features(x.features, map_to(sites)))


class SparseConvTranspose3d(_SparseConvolution):
    """Transposed convolution: an output position is active if it lies in the window of an active input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps, one integer or z y x.
        stride, padding, output_padding, dilation: as `torch.nn.ConvTranspose3d`.
        bias: add a bias, at active positions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, Geometry.of(kernel_size, stride, padding, dilation), bias)
        self.output_padding: Triple = triple(output_padding, "output_padding", 0)
        axes = zip(self.output_padding, self.window.stride, self.window.dilation, strict=True)
        if any(extra >= max(stride, step) for extra, stride, step in axes):
            wanted = "less than stride or dilation"
            raise UsageError("too much padding", where="output_padding", got=output_padding, wanted=wanted)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `DataError` if channels or device do not fit, `UsageError` if the padding leaves no grid."""
        self._check(x)
        shape = self.window.fine_shape(x.spatial_shape, self.output_padding)
        sites = x.sites.finer(self.window, shape)
        return SparseTensor.at(sites, self._features(x.features, map_to(sites)))


class SparseInverseConv3d(_SparseConvolution):
    """Undoes the positions of a strided convolution: back to those that it was applied to, with its map reversed.

    Window, stride and map are those of the convolution (or pooling) that made the input's positions; after several
    of them each inverse goes one back. Tap k joins the same pairs of rows as tap k of that convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps of the convolution to undo, one integer or z y x.
        bias: add a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size = 3, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, Geometry.of(kernel_size), bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `DataError` if the positions were not made by a convolution with this window, or channels differ."""
        self._check(x)
        origin = x.sites.origin
        if origin is None or origin.window.kernel != self.window.kernel:
            got = "positions that no convolution made" if origin is None else f"a window of {origin.window.kernel}"
            wanted = f"the output of a convolution or pooling with kernel_size {self.window.kernel}"
            raise DataError("nothing to undo", where="SparseInverseConv3d", got=got, wanted=wanted)
        return SparseTensor.at(origin.sites, self._features(x.features, origin.map.transposed()))


def map_to(made: ActiveSites) -> KernelMap:
    """The map from the positions that `made` was made from to `made`."""
    if made.origin is None:
        raise DataError("positions that no convolution made", where="sites")
    return made.origin.map
