"""Farthest-point sampling in plain torch: any device and any dtype, one small step per pick."""

from __future__ import annotations

import torch
from torch import Tensor

NEAR_ORIGIN = 1e-3  # squared metres, see `sampling.farthest_point_sample`


def usable_points(values: Tensor, sizes: Tensor, skip_near_origin: bool) -> Tensor:
    """Points (B, N) that may be picked: inside their cloud, finite, and not near the origin where that matters."""
    usable = torch.arange(values.shape[1], device=values.device) < sizes[:, None]
    usable &= values.isfinite().all(-1)
    return usable & (_squared_norm(values) > NEAR_ORIGIN) if skip_near_origin else usable


def sample_by_rows(values: Tensor, usable: Tensor, starts: Tensor, k: int, given: bool = False) -> Tensor:
    """Picks (B, k) from points (B, N, C), or from distances (B, N, N) if `given`."""
    clouds = torch.arange(len(values), device=values.device)
    nearest = values.new_full(usable.shape, torch.inf).masked_fill(~usable, -1)
    values = values.nan_to_num()  # of points that are not usable; NaN would spread from a minimum
    picks = torch.zeros(len(values), k, dtype=torch.int64, device=values.device)
    current = starts
    for i in range(k):
        picks[:, i] = current
        row = values[clouds, current]
        nearest = torch.minimum(nearest, row if given else _squared_norm(values - row[:, None]))
        farthest = nearest.max(1, keepdim=True).values
        current = (nearest == farthest).int().argmax(1)  # the first of equals; `argmax` alone does not promise it
        current = torch.where(farthest[:, 0] < 0, torch.zeros_like(current), current)
    return picks


def _squared_norm(difference: Tensor) -> Tensor:
    """Sum of squares over the last axis, added in order as the compiled kernels do."""
    total = torch.zeros((), dtype=difference.dtype, device=difference.device)
    for c in range(difference.shape[-1]):
        total = total + difference[..., c] ** 2
    return total
