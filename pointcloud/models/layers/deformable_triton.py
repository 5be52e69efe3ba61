"""`deformable.sample_maps` on CUDA: a program adds up all samples of a head for a block of queries; none is stored."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from vol3d.kernels import on_its_device

QUERIES = 16  # of a program


@triton.jit
def _sample(values, maps, places, weights, out, cells, queries, heads, depth, levels, points,
            QUERIES: tl.constexpr, DEPTH: tl.constexpr):  # fmt: skip
    """out[b, q, h] = sum over levels and points of weight * the bilinear sample of values[b, :, h] at the place.

    Args:
        values: [b, cells, heads, depth]; places: [b, q, heads, levels, points, 2]; weights: without the 2.
        maps: int32 [levels, 3], height, width and first cell of each map.
        out: [b, q, heads, depth].
    """
    batch, head = tl.program_id(2).to(tl.int64), tl.program_id(1)
    query, channel = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES), tl.arange(0, DEPTH)
    there = query < queries
    row = (batch * queries + query) * heads + head
    total = tl.zeros((QUERIES, DEPTH), tl.float32)
    for sample in range(levels * points):
        place = row * levels * points + sample
        level = maps + sample // points * 3
        height, width, begin = tl.load(level), tl.load(level + 1), tl.load(level + 2)
        weight = tl.load(weights + place, there, other=0.0)
        x = tl.load(places + 2 * place, there, other=0.0) * width - 0.5
        y = tl.load(places + 2 * place + 1, there, other=0.0) * height - 0.5
        left, top = tl.floor(x), tl.floor(y)
        for corner in tl.static_range(4):
            column, line = left + corner % 2, top + corner // 2
            # Compared as floats: a place far outside has no whole number.
            inside = there & (column >= 0) & (column < width) & (line >= 0) & (line < height)
            share = weight * (1 - tl.abs(x - column)) * (1 - tl.abs(y - line))
            cell = tl.where(inside, line * width + column, 0.0).to(tl.int64) + begin
            at = ((batch * cells + cell) * heads + head) * depth
            value = tl.load(values + at[:, None] + channel[None, :], inside[:, None] & (channel < depth)[None, :], 0.0)
            total += tl.where(inside, share, 0.0)[:, None] * value
    tl.store(out + row[:, None] * depth + channel[None, :], total, there[:, None] & (channel < depth)[None, :])


@on_its_device
def sample_triton(values: Tensor, maps: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """See `deformable.sample_maps`; float32, `maps` int32 (levels, 3): height, width and first cell."""
    batch, cells, heads, depth = values.shape
    queries, levels, points = weights.shape[1], *weights.shape[3:]
    out = values.new_empty(batch, queries, heads, depth)
    if out.numel():
        arrays = (values.contiguous(), maps, places.contiguous(), weights.contiguous(), out)
        grid = (triton.cdiv(queries, QUERIES), heads, batch)
        width = triton.next_power_of_2(depth)
        _sample[grid](*arrays, cells, queries, heads, depth, levels, points, QUERIES, width, num_warps=4)
    return out.flatten(2)
