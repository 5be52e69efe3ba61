"""Slow twins of `vol3d.sparse`: dictionaries and loops over positions and taps."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from vol3d.sparse import Geometry


def tap_position(window: Geometry, at: list[int], tap: tuple[int, ...]) -> tuple[int, ...]:
    """Fine position that a tap of the window at a coarse position (batch, z, y, x) reads."""
    axes = zip(at[1:], window.stride, tap, window.dilation, window.padding, strict=True)
    return (at[0], *(o * s + k * d - p for o, s, k, d, p in axes))


def slow_neighbours(coarse: Tensor, fine: Tensor, window: Geometry) -> Tensor:
    """int32 [taps, coarse rows]: the fine row that each tap reads, -1 if none."""
    row_of = {tuple(position): row for row, position in enumerate(fine.tolist())}
    taps = list(itertools.product(*(range(k) for k in window.kernel)))
    table = [[row_of.get(tap_position(window, at, tap), -1) for at in coarse.tolist()] for tap in taps]
    return torch.tensor(table, dtype=torch.int32).reshape(window.taps, len(coarse))


def slow_coarser(fine: Tensor, window: Geometry) -> list[list[int]]:
    """Sorted coarse positions, inside the output grid or not, whose window holds a fine one."""
    found = set()
    for batch, *at in fine.tolist():
        for tap in itertools.product(*(range(k) for k in window.kernel)):
            axes = list(zip(at, tap, window.dilation, window.padding, window.stride, strict=True))
            if all((f - k * d + p) % s == 0 for f, k, d, p, s in axes):
                found.add((batch, *((f - k * d + p) // s for f, k, d, p, s in axes)))
    return [list(position) for position in sorted(found)]


def slow_finer(coarse: Tensor, window: Geometry) -> list[list[int]]:
    """Sorted fine positions, inside the output grid or not, that a window at a coarse one reads."""
    taps = list(itertools.product(*(range(k) for k in window.kernel)))
    return [list(p) for p in sorted({tap_position(window, at, tap) for at in coarse.tolist() for tap in taps})]


def slow_convolve(features: Tensor, weight: Tensor, neighbours: Tensor) -> Tensor:
    """[outputs, c_out] of [inputs, c_in] and [taps, c_in, c_out]; differentiable."""
    out = [features.new_zeros(weight.shape[2]) for _ in range(neighbours.shape[1])]
    for tap, row in enumerate(neighbours.tolist()):
        for o, i in enumerate(row):
            if i >= 0:
                out[o] = out[o] + features[i] @ weight[tap]
    return torch.stack(out) if out else features.new_zeros(0, weight.shape[2]) + 0 * (weight.sum() + features.sum())


def slow_pool(features: Tensor, neighbours: Tensor, mean: bool) -> Tensor:
    """[outputs, c]: maximum or mean of the rows that the taps of each output read; differentiable."""
    out = []
    for column in neighbours.t().tolist():
        read = features[[i for i in column if i >= 0]]
        out.append(read.mean(0) if mean else read[read.argmax(0), torch.arange(read.shape[1])])
    return torch.stack(out) if out else features[:0]
