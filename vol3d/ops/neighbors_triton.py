"""Ball query on CUDA: each program scans the points in order for a block of centers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

CENTERS, POINTS = 16, 128  # of a block


@triton.jit
def _ball(points, centers, sizes, center_sizes, indices, hits, padded, rows, radius2, k,
          CENTERS: tl.constexpr, POINTS: tl.constexpr):  # fmt: skip
    cloud = tl.program_id(1)
    row = tl.program_id(0) * CENTERS + tl.arange(0, CENTERS)
    present = row < tl.load(center_sizes + cloud)
    center = centers + (cloud * rows + row) * 3
    x, y, z = (
        tl.load(center, present, other=0.0),
        tl.load(center + 1, present, other=0.0),
        tl.load(center + 2, present, other=0.0),
    )
    out = indices + (cloud * rows + row) * k
    size = tl.load(sizes + cloud)
    found = tl.zeros((CENTERS,), tl.int32)
    for first in range(0, tl.cdiv(padded, POINTS)):
        j = first * POINTS + tl.arange(0, POINTS)
        real = j < size
        point = points + (cloud * padded + j) * 3
        dx = tl.load(point, real, other=0.0)[None, :] - x[:, None]
        dy = tl.load(point + 1, real, other=0.0)[None, :] - y[:, None]
        dz = tl.load(point + 2, real, other=0.0)[None, :] - z[:, None]
        inside = ((dx * dx + dy * dy) + dz * dz < radius2) & real[None, :] & present[:, None]
        place = found[:, None] + tl.cumsum(inside.to(tl.int32), 1) - 1
        index = tl.broadcast_to(j[None, :], (CENTERS, POINTS)).to(tl.int64)
        tl.store(out[:, None] + place, index, inside & (place < k))
        found += tl.sum(inside.to(tl.int32), 1)
    tl.store(hits + cloud * rows + row, found.to(tl.int64), row < rows)


def ball_triton(
    points: Tensor, centers: Tensor, sizes: Tensor, center_sizes: Tensor, radius2: float, k: int
) -> tuple[Tensor, Tensor]:
    """Indices (B, M, k) and hits (B, M) for float32 points; see `neighbors_torch.ball`."""
    batch, rows = centers.shape[:2]
    indices = torch.full((batch, rows, k), -1, dtype=torch.int64, device=points.device)
    hits = torch.zeros(batch, rows, dtype=torch.int64, device=points.device)
    if batch and rows:
        grid = (triton.cdiv(rows, CENTERS), batch)
        arrays = (points, centers, sizes, center_sizes, indices, hits)
        # Without fusion every backend rounds alike, so that they agree on the points at the radius.
        _ball[grid](*arrays, points.shape[1], rows, radius2, k, CENTERS, POINTS, num_warps=4, enable_fp_fusion=False)
    return indices, hits
