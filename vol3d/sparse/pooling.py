"""Pooling over the active positions of a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vol3d.sparse.geometry import Geometry
from vol3d.sparse.kernel_map import KernelMap
from vol3d.sparse.layers import Size, map_to
from vol3d.sparse.tensor import SparseTensor


class _SparsePool3d(nn.Module):
    """Positions as `SparseConv3d` of the same window, whose kernel map is shared.

    Args:
        kernel_size: window, one integer or z y x.
        stride: step, by default the window.
        padding, dilation: as `torch.nn.MaxPool3d`.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1) -> None:
        super().__init__()
        self.window = Geometry.of(kernel_size, kernel_size if stride is None else stride, padding, dilation)

    def extra_repr(self) -> str:
        return str(self.window)


class SparseMaxPool3d(_SparsePool3d):
    """Largest active value of each window and channel; the gradient goes to the first of equals. NaN wins."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `UsageError` if the window exceeds the grid."""
        sites = x.sites.coarser(self.window)
        return SparseTensor.at(sites, max_pool(x.features, map_to(sites)))


class SparseAvgPool3d(_SparsePool3d):
    """Mean of the active values of each window (positions without a value do not count)."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Raises `UsageError` if the window exceeds the grid."""
        sites = x.sites.coarser(self.window)
        return SparseTensor.at(sites, mean_pool(x.features, map_to(sites)))


def max_pool(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """[outputs, c] of [inputs, c]: per channel the largest value that any tap reads; each output reads at least one."""
    if kernel_map.outputs == 0:
        return features[:0]
    values = features.detach()
    best = values.new_full((kernel_map.outputs, values.shape[1]), -torch.inf)
    winner = torch.zeros(best.shape, dtype=torch.int64, device=best.device)
    unset = torch.ones(kernel_map.outputs, 1, dtype=torch.bool, device=best.device)
    for row in kernel_map.neighbours:
        read, rows = (row >= 0)[:, None], row.clamp(min=0).to(torch.int64)
        value = values.index_select(0, rows)
        better = read & (unset | (value > best) | (value.isnan() & ~best.isnan()))
        best = torch.where(better, value, best)
        winner = torch.where(better, rows[:, None], winner)
        unset = unset & ~read
    return features.gather(0, winner)


def mean_pool(features: Tensor, kernel_map: KernelMap) -> Tensor:
    """[outputs, c] of [inputs, c]: mean over the taps that read a row; sums in fp32 at least."""
    if kernel_map.outputs == 0:
        return features[:0]
    wide = features if features.dtype == torch.float64 else features.to(torch.float32)
    total = wide.new_zeros(kernel_map.outputs, features.shape[1])
    count = wide.new_zeros(kernel_map.outputs, 1)
    for row in kernel_map.neighbours:
        read, rows = (row >= 0)[:, None], row.clamp(min=0).to(torch.int64)
        total = total + torch.where(read, wide.index_select(0, rows), 0)
        count = count + read
    return (total / count.clamp(min=1)).to(features.dtype)
