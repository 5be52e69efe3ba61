"""Slow twin of the voxel networks: voxel by voxel, point by point, in evaluation mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def layer(linear: nn.Linear, norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """One linear map, norm and ReLU of one row."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return ((linear.weight @ x - norm.running_mean) * scale + norm.bias).clamp(min=0)


def inputs(point: Tensor, mean: Tensor, centre: Tensor, axes: int) -> Tensor:
    """Columns, offset from the mean, offset from the voxel's centre along the first axes."""
    return torch.cat([point, point[:3] - mean, point[:axes] - centre[:axes]])


def voxel(points: Tensor, places: int, centre: Tensor, axes: int, layers: list[tuple[nn.Linear, nn.BatchNorm1d]]):
    """Feature of a voxel (W,) with room for some places; the empty ones take part in each maximum."""
    mean = points[:, :3].mean(dim=0)
    rows = [inputs(point, mean, centre, axes) for point in points]
    rows += [torch.zeros_like(rows[0])] * (places - len(rows))
    for linear, norm in layers:
        said = [layer(linear, norm, row) for row in rows]
        most = torch.stack(said).max(dim=0).values
        rows = [torch.cat([row, most]) for row in said]
    return most
