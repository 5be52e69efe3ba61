"""Ball query and nearest neighbours on CUDA: programs go through the points in order for a block of centers.

Distances are rounded without fusion, so that every backend agrees on the points at the radius and on equal distances.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from vol3d.kernels import on_its_device

CENTERS, POINTS = 16, 128  # of a block
PARTS = 8  # of a cloud, searched by programs of their own: a room's 2,048 centers alone do not fill a GPU
MOST_NEAREST = 32  # of a list that is kept in registers
_LAUNCH = {"num_warps": 4, "enable_fp_fusion": False}
_NONE: tl.constexpr = tl.constexpr(-(0x7F800000 << 32))  # key of a point that is infinitely far away


@triton.jit
def _squared(points, padded, j, real, x, y, z):
    """Squared distances [centers, points] of points j, columns at `points`, from the centers x y z."""
    dx = tl.load(points + j, real, other=0.0)[None, :] - x[:, None]
    dy = tl.load(points + padded + j, real, other=0.0)[None, :] - y[:, None]
    dz = tl.load(points + 2 * padded + j, real, other=0.0)[None, :] - z[:, None]
    return (dx * dx + dy * dy) + dz * dz


@triton.jit
def _center(centers, row, present):
    place = centers + row * 3
    x, y = tl.load(place, present, other=0.0), tl.load(place + 1, present, other=0.0)
    return x, y, tl.load(place + 2, present, other=0.0)


@triton.jit
def _count(points, centers, sizes, center_sizes, counts, padded, rows, radius2, share,
           CENTERS: tl.constexpr, POINTS: tl.constexpr):  # fmt: skip
    """counts[cloud, part, center]: int32, points of that part of the cloud in the ball."""
    cloud, part = tl.program_id(1).to(tl.int64), tl.program_id(2)
    row = tl.program_id(0) * CENTERS + tl.arange(0, CENTERS)
    present = row < tl.load(center_sizes + cloud)
    x, y, z = _center(centers + cloud * rows * 3, row, present)
    size = tl.minimum(tl.load(sizes + cloud), (part + 1) * share)
    found = tl.zeros((CENTERS,), tl.int32)
    for first in range(part * share, size, POINTS):
        j = first + tl.arange(0, POINTS)
        real = j < size
        inside = (_squared(points + cloud * 3 * padded, padded, j, real, x, y, z) < radius2) & real[None, :]
        found += tl.sum(inside.to(tl.int32), 1)
    at = counts + (cloud * tl.num_programs(2) + part) * rows + row
    tl.store(at, tl.where(present, found, 0), row < rows)


@triton.jit
def _list(points, centers, sizes, center_sizes, counts, before, indices, padded, rows, radius2, share, k,
          CENTERS: tl.constexpr, POINTS: tl.constexpr):  # fmt: skip
    """indices[cloud, center]: the points of that part behind those of the parts before it; ends with the last."""
    cloud, part = tl.program_id(1).to(tl.int64), tl.program_id(2)
    row = tl.program_id(0) * CENTERS + tl.arange(0, CENTERS)
    at = (cloud * tl.num_programs(2) + part) * rows + row
    found = tl.load(before + at, row < rows, other=0).to(tl.int32)
    goal = tl.minimum(found + tl.load(counts + at, row < rows, other=0), k)
    x, y, z = _center(centers + cloud * rows * 3, row, row < rows)
    out = indices + (cloud * rows + row) * k
    size = tl.minimum(tl.load(sizes + cloud), (part + 1) * share)
    first = part * share
    while (first < size) & (tl.max(goal - found) > 0):
        j = first + tl.arange(0, POINTS)
        real = j < size
        inside = (_squared(points + cloud * 3 * padded, padded, j, real, x, y, z) < radius2) & real[None, :]
        place = found[:, None] + tl.cumsum(inside.to(tl.int32), 1) - 1
        index = tl.broadcast_to(j[None, :], (CENTERS, POINTS)).to(tl.int64)
        tl.store(out[:, None] + place, index, inside & (place < goal[:, None]))
        found += tl.sum(inside.to(tl.int32), 1)
        first += POINTS


@on_its_device
def ball_triton(
    points: Tensor, centers: Tensor, sizes: Tensor, center_sizes: Tensor, radius2: float, k: int
) -> tuple[Tensor, Tensor]:
    """Indices (B, M, k) and hits (B, M) for float32 points; see `neighbors_torch.ball`.

    Points are counted first, part by part: a list then knows where it begins, and when it is complete.
    """
    batch, rows = centers.shape[:2]
    indices = torch.full((batch, rows, k), -1, dtype=torch.int64, device=points.device)
    counts = torch.zeros(batch, PARTS, rows, dtype=torch.int32, device=points.device)
    if batch and rows:
        share = triton.cdiv(points.shape[1], PARTS * POINTS) * POINTS
        arrays = (points.transpose(1, 2).contiguous(), centers.contiguous(), sizes, center_sizes, counts)
        grid, numbers = (triton.cdiv(rows, CENTERS), batch, PARTS), (points.shape[1], rows, radius2, share)
        _count[grid](*arrays, *numbers, CENTERS, POINTS, **_LAUNCH)
        if k:
            before = counts.cumsum(1) - counts
            _list[grid](*arrays, before, indices, *numbers, k, CENTERS, POINTS, **_LAUNCH)
    return indices, counts.sum(1)


@triton.jit
def _nearest(points, queries, sizes, query_sizes, squared, indices, padded, rows, k,
             CENTERS: tl.constexpr, POINTS: tl.constexpr, KEPT: tl.constexpr):  # fmt: skip
    """squared, indices [cloud, query]: the nearest points, nearest first, equally near ones in order of index.

    Distance and index are one number, negative so that the nearest is the largest: no two are equal, and the bits of
    floats that are not negative are in their order.
    """
    cloud = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * CENTERS + tl.arange(0, CENTERS)
    present = row < tl.load(query_sizes + cloud)
    x, y, z = _center(queries + cloud * rows * 3, row, present)
    size = tl.load(sizes + cloud)
    best = tl.full((CENTERS, KEPT), _NONE, tl.int64)  # ascending
    for first in range(0, size, POINTS):
        j = first + tl.arange(0, POINTS)
        real = j < size
        d = _squared(points + cloud * 3 * padded, padded, j, real, x, y, z)
        key = -((d.to(tl.int32, bitcast=True).to(tl.int64) << 32) | j[None, :].to(tl.int64))
        key = tl.where((d < float("inf")) & real[None, :] & present[:, None], key, _NONE)
        if tl.max((tl.max(key, 1) > tl.min(best, 1)).to(tl.int32), 0) > 0:  # rare once the lists have filled
            # Of an ascending and a descending list the larger of each pair are the largest of both.
            best = tl.sort(tl.maximum(best, tl.topk(key, KEPT, 1)), 1)
    place = KEPT - 1 - tl.arange(0, KEPT)
    at = (cloud * rows + row[:, None]) * k + place[None, :]
    inside = (row < rows)[:, None] & (place < k)[None, :]
    number = -best
    none = best <= _NONE
    tl.store(squared + at, (number >> 32).to(tl.int32).to(tl.float32, bitcast=True), inside)
    tl.store(indices + at, tl.where(none, -1, number & 0xFFFFFFFF), inside)


@on_its_device
def nearest_triton(
    points: Tensor, queries: Tensor, sizes: Tensor, query_sizes: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Distances and indices (B, M, k) for float32 points, k from 1 to `MOST_NEAREST`; see `neighbors_torch.nearest`."""
    batch, rows = queries.shape[:2]
    squared = points.new_empty(batch, rows, k)
    indices = torch.empty(batch, rows, k, dtype=torch.int64, device=points.device)
    if batch and rows:
        arrays = (points.transpose(1, 2).contiguous(), queries.contiguous(), sizes, query_sizes, squared, indices)
        kept = triton.next_power_of_2(k)
        grid = (triton.cdiv(rows, CENTERS), batch)
        _nearest[grid](*arrays, points.shape[1], rows, k, CENTERS, POINTS, kept, **_LAUNCH)
    return squared.sqrt_(), indices
