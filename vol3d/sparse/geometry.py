"""The geometry of a convolution window, per axis z, y, x, and how a position becomes one integer.

One relation serves every layer: tap k of the window at coarse position o lies at the fine position

    f = o * stride + k * dilation - padding.

A (strided) convolution reads fine and writes coarse; the transposed and the inverse convolution read coarse and write
fine; a submanifold convolution has stride 1 and the same positions on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vol3d.errors import UsageError
from vol3d.host import constant

Triple = tuple[int, int, int]
MAX_TAPS = 32768  # more than any window in use; a kernel map has that many rows


def triple(value: int | Sequence[int], name: str, least: int) -> Triple:
    """Three integers z, y, x from one or three; `UsageError` names the argument if one is below `least`."""
    values = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(values) != 3 or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in values):
        raise UsageError(f"{name} does not fit", where=name, got=value, wanted=f"one or three integers >= {least}")
    return values[0], values[1], values[2]


@dataclass(frozen=True)
class Geometry:
    """Window of a sparse convolution or pooling; hashable: kernel maps are shared by it.

    Args:
        kernel: taps per axis.
        stride: coarse step in fine positions.
        padding: how far the first window begins before position 0.
        dilation: distance between taps.
    """

    kernel: Triple
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)

    @classmethod
    def of(
        cls,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
    ) -> Geometry:
        """From one integer or three per argument. Raises `UsageError` that names the argument that does not fit."""
        window = cls(
            triple(kernel_size, "kernel_size", 1),
            triple(stride, "stride", 1),
            triple(padding, "padding", 0),
            triple(dilation, "dilation", 1),
        )
        if window.taps > MAX_TAPS:
            raise UsageError("too many taps", where="kernel_size", got=kernel_size, wanted=f"at most {MAX_TAPS} taps")
        return window

    @classmethod
    def submanifold(cls, kernel_size: int | Sequence[int], dilation: int | Sequence[int] = 1) -> Geometry:
        """Stride 1 with tap `kernel // 2` at the position itself."""
        kernel, step = triple(kernel_size, "kernel_size", 1), triple(dilation, "dilation", 1)
        centre = tuple(k // 2 * d for k, d in zip(kernel, step, strict=True))
        return cls.of(kernel, 1, centre, step)

    @property
    def taps(self) -> int:
        """Number of taps; tap k counts z slowest, x fastest."""
        return self.kernel[0] * self.kernel[1] * self.kernel[2]

    def tap(self, number: int) -> Triple:
        """Place of a tap in the window, z y x."""
        z, rest = divmod(number, self.kernel[1] * self.kernel[2])
        return z, *divmod(rest, self.kernel[2])

    def coarse_shape(self, fine: Triple) -> Triple:
        """Output shape of a convolution, `floor((fine + 2 padding - dilation (kernel - 1) - 1) / stride) + 1`."""
        axes = zip(fine, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        shape = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
        if min(shape) < 1:
            raise UsageError("the window is larger than the padded grid", where="spatial_shape", got=fine, wanted=self)
        return shape  # type: ignore[return-value]

    def fine_shape(self, coarse: Triple, output_padding: Triple = (0, 0, 0)) -> Triple:
        """Output shape of a transposed convolution, as `torch.nn.ConvTranspose3d`."""
        axes = zip(coarse, self.kernel, self.stride, self.padding, self.dilation, output_padding, strict=True)
        shape = tuple((n - 1) * s - 2 * p + d * (k - 1) + extra + 1 for n, k, s, p, d, extra in axes)
        if min(shape) < 1:
            raise UsageError("nothing is left of the grid", where="spatial_shape", got=coarse, wanted=self)
        return shape  # type: ignore[return-value]


@dataclass(frozen=True)
class Packing:
    """Maps (batch, z, y, x) to one int64 in lexicographic order; positions from `-margin` to `size - margin - 1`."""

    size: Triple
    margin: Triple = (0, 0, 0)

    @classmethod
    def around(cls, fine: Triple, coarse: Triple, window: Geometry) -> Packing:
        """Room for the fine grid and for every tap of every window, inside the grid or not."""
        axes = zip(fine, coarse, window.kernel, window.stride, window.padding, window.dilation, strict=True)
        size = tuple(max(f + p, (c - 1) * s + (k - 1) * d + 1) for f, c, k, s, p, d in axes)
        return cls(size, window.padding)  # type: ignore[arg-type]

    def tap_steps(self, window: Geometry) -> Triple:
        """Key difference between neighbouring taps along z, y, x."""
        z, y, x = window.dilation
        return z * self.size[1] * self.size[2], y * self.size[2], x

    @property
    def cells(self) -> int:
        return self.size[0] * self.size[1] * self.size[2]

    def keys(self, coordinates: Tensor) -> Tensor:
        """int64 [n] of positions int32 [n, 4]."""
        return self._pack(coordinates, (1, 1, 1), self.margin)

    def first_taps(self, coordinates: Tensor, stride: Triple) -> Tensor:
        """int64 [n]: key of the first tap of the windows at coarse positions int32 [n, 4]."""
        return self._pack(coordinates, stride, (0, 0, 0))  # o * stride - padding + margin, and they are the same

    def _pack(self, coordinates: Tensor, scale: Triple, shift: Triple) -> Tensor:
        plane = self.size[1] * self.size[2]
        steps = (plane, self.size[2], 1)
        weights = (self.cells, *(step * factor for step, factor in zip(steps, scale, strict=True)))
        keys = (coordinates * constant(weights, coordinates, torch.int64)).sum(1)
        offset = sum(step * by for step, by in zip(steps, shift, strict=True))
        return keys + offset if offset else keys

    def positions(self, keys: Tensor) -> Tensor:
        """int32 [n, 4] of int64 [n] keys: the inverse of `keys`."""
        rest, x = keys // self.size[2], keys % self.size[2]
        rest, y = rest // self.size[1], rest % self.size[1]
        batch, z = rest // self.size[0], rest % self.size[0]
        mz, my, mx = self.margin
        return torch.stack([batch, z - mz, y - my, x - mx], 1).to(torch.int32)


class SortedPositions(NamedTuple):
    """Positions int32 [n, 4] in ascending order.

    order: int64 [n], the rows that they were given in; None if that was this order.
    sound: all are inside the grid and none is there twice.
    """

    order: Tensor | None
    coordinates: Tensor
    sound: bool


class MapSpec(NamedTuple):
    """What a map is built from: windows at coarse positions read fine positions, int32 [m, 4] and [n, 4], sorted."""

    coarse: Tensor
    fine: Tensor
    window: Geometry
    coarse_shape: Triple
    fine_shape: Triple
