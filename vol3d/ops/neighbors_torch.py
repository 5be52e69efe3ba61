"""Ball query and nearest neighbours in plain torch: every pair, in blocks of queries, on any device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_PAIRS = 1 << 24  # pairs of a block: about 64 MB a temporary


def _blocks(points: Tensor, queries: Tensor, sizes: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances (B, block, N) for blocks of queries; infinite for what is no point or not finite."""
    absent = torch.arange(points.shape[1], device=points.device) >= sizes[:, None]
    rows = max(1, _PAIRS // max(1, points.shape[0] * points.shape[1]))
    for first in range(0, queries.shape[1], rows):
        block = slice(first, first + rows)
        squared = torch.zeros((), dtype=points.dtype, device=points.device)
        for c in range(points.shape[2]):  # added in order, as the compiled kernels do
            squared = squared + (points[:, None, :, c] - queries[:, block, None, c]) ** 2
        yield block, squared.masked_fill(absent[:, None] | squared.isnan(), torch.inf)


def ball(
    points: Tensor, centers: Tensor, sizes: Tensor, center_sizes: Tensor, radius2: float, k: int
) -> tuple[Tensor, Tensor]:
    """Indices (B, M, k) of the first k points at squared distances below radius2, then -1; hits (B, M)."""
    indices = torch.full((*centers.shape[:2], k), -1, dtype=torch.int64, device=points.device)
    hits = torch.zeros(centers.shape[:2], dtype=torch.int64, device=points.device)
    present = torch.arange(centers.shape[1], device=points.device) < center_sizes[:, None]
    for block, squared in _blocks(points, centers, sizes):
        inside = (squared < radius2) & present[:, block, None]
        place = inside.cumsum(-1)
        hits[:, block] = inside.sum(-1)
        cloud, row, point = (inside & (place <= k)).nonzero(as_tuple=True)
        indices[:, block][cloud, row, place[cloud, row, point] - 1] = point
    return indices, hits


def nearest(points: Tensor, queries: Tensor, sizes: Tensor, query_sizes: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices (B, M, k) of the nearest points, nearest first, ties by index; then infinity, -1."""
    distances = torch.full((*queries.shape[:2], k), torch.inf, dtype=points.dtype, device=points.device)
    indices = torch.full((*queries.shape[:2], k), -1, dtype=torch.int64, device=points.device)
    present = torch.arange(queries.shape[1], device=points.device) < query_sizes[:, None]
    wanted = min(k, points.shape[1])
    for block, squared in _blocks(points, queries, sizes):
        squared = squared.masked_fill(~present[:, block, None], torch.inf)
        kept, order = squared.sort(dim=-1, stable=True)  # `topk` promises no order among equals
        distances[:, block, :wanted] = kept[..., :wanted].sqrt()
        indices[:, block, :wanted] = order[..., :wanted].masked_fill(kept[..., :wanted].isinf(), -1)
    return distances, indices
