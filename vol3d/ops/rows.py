"""Rows taken by index and rows added up or put by index: the halves of every differentiable operation here.

Each is the gradient of the other. Sums run in the order of the rows, so results repeat bit for bit on any device and
for any number of threads. An index of -1 stands for no row: it gives zeros and takes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vol3d.threads import parallel_for

_HALVES = (torch.float16, torch.bfloat16)
_GRAIN = 4096  # rows that are worth a call to another thread


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """values (N, C) at index (M,) -> (M, C); -1 gives zeros. Differentiable any number of times."""
    return _TakeRows.apply(values, index)


def sum_rows(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sums of the rows of values (M, C) that share an index (M,) below size -> (size, C); -1 is left out."""
    return _SumRows.apply(values, index, size)


def put_rows(values: Tensor, place: Tensor, size: int) -> Tensor:
    """`sum_rows` where no place (M,) is there twice: rows are copied, not added."""
    return _PutRows.apply(values, place, size)


def largest_rows(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Row of the largest value of each group and column: int64 (size, C), the first of equals, -1 for no row.

    NaN counts as largest, so that it shows in the result.
    """
    detached = _widened(values.detach())
    if not size or not len(values):
        return torch.full((size, values.shape[1]), -1, dtype=torch.int64, device=values.device)
    if _compiled(detached):
        from vol3d.ops.rows_cpu import group, largest_range

        rows, starts = group(index.numpy(), size)
        out = torch.empty(size, values.shape[1], dtype=torch.int64)
        parallel_for(largest_range, size, detached.contiguous().numpy(), rows, starts, out.numpy(), grain=_GRAIN)
        return out
    target = index.clamp_min(0)[:, None].expand_as(detached)
    here = (index >= 0)[:, None]
    top = detached.new_full((size, values.shape[1]), -torch.inf)
    top = top.scatter_reduce(0, target, detached.masked_fill(~here, -torch.inf), "amax")
    winner = here & ((detached == top.gather(0, target)) | detached.isnan())
    row = torch.arange(len(values), device=values.device)[:, None].expand_as(detached)
    first = torch.full_like(top, len(values), dtype=torch.int64)
    first = first.scatter_reduce(0, target, row.masked_fill(~winner, len(values)), "amin")
    return first.masked_fill(first == len(values), -1)


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(values)
        wide = _widened(values)
        if not _compiled(wide):
            taken = values[index.clamp_min(0)] if len(values) else values.new_zeros(len(index), values.shape[1])
            return taken.masked_fill((index < 0)[:, None], 0)
        from vol3d.ops.rows_cpu import take_range

        out = torch.empty(len(index), values.shape[1], dtype=wide.dtype)
        parallel_for(take_range, len(index), wide.contiguous().numpy(), index.numpy(), out.numpy(), grain=_GRAIN)
        return out.to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return sum_rows(gradients[0], index, ctx.size), None


class _SumRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(index)
        wide = _widened(values)
        if not _compiled(wide):
            return _sum_sorted(values, index, size)
        from vol3d.ops.rows_cpu import group, sum_range

        rows, starts = group(index.numpy(), size)
        out = torch.empty(size, values.shape[1], dtype=wide.dtype)
        parallel_for(sum_range, size, wide.contiguous().numpy(), rows, starts, out.numpy(), grain=_GRAIN)
        return out.to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return take_rows(gradients[0], index), None, None


class _PutRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, place: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(place)
        if not _compiled(values):
            out = values.new_zeros(size + 1, values.shape[1])  # the last row takes what has no place
            out[place] = values
            return out[:-1]
        from vol3d.ops.rows_cpu import put_range

        out = values.new_zeros(size, values.shape[1])
        parallel_for(put_range, len(place), values.contiguous().numpy(), place.numpy(), out.numpy(), grain=_GRAIN)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (place,) = ctx.saved_tensors
        return take_rows(gradients[0], place), None, None


def _widened(values: Tensor) -> Tensor:
    """Halves on the CPU as float32, which holds them exactly and which numba knows; all else as it is."""
    return values.float() if values.device.type == "cpu" and values.dtype in _HALVES else values


def _compiled(values: Tensor) -> bool:
    """Whether numba computes this; it supports neither bfloat16 nor float16, and a traced graph cannot hold it."""
    known = values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)
    return known and not torch.compiler.is_compiling()


def _sum_sorted(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sums over runs of the sorted index: unlike atomic additions, the same each time. Halves add in float32."""
    if not values.numel() or not size:
        return values.new_zeros(size, values.shape[1])
    ordered, order = index.sort(stable=True)
    bounds = torch.searchsorted(ordered, torch.arange(size + 1, device=index.device, dtype=index.dtype))
    wide = values.float() if values.dtype in _HALVES else values
    lengths = torch.cat([bounds[:1], bounds.diff(), (len(index) - bounds[-1:])])
    sums = torch.segment_reduce(wide[order], "sum", lengths=lengths, axis=0, initial=0, unsafe=True)
    return sums[1:-1].to(values.dtype)
