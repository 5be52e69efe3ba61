"""Voxelisation in plain torch, by sorting: any device, the same order of voxels and points as the compiled loops."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Assignment(NamedTuple):
    """Voxel of each point (N,) int64, coordinates (V, 4) int32 batch z y x, points of each voxel (V,) int32; and of
    each cloud the voxels beyond the limit (B,) int64."""

    voxels: Tensor
    coordinates: Tensor
    counts: Tensor
    left_out: Tensor


def cell_of_points(
    points: Tensor, size: tuple[float, ...], low: tuple[float, ...], shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Cell z, y, x (N, 3) int64 of each point and whether it lies inside the grid; cells outside mean nothing."""
    xyz = points[:, :3] if points.dtype == torch.float64 else points[:, :3].float()
    cell = ((xyz - xyz.new_tensor(low)) / xyz.new_tensor(size)).floor().flip(1)
    inside = ((cell >= 0) & (cell < cell.new_tensor(shape))).all(1)  # NaN is not inside
    return cell.masked_fill(~inside[:, None], 0).long(), inside


def assign_torch(
    points: Tensor,
    lengths: list[int],
    size: tuple[float, ...],
    low: tuple[float, ...],
    shape: tuple[int, int, int],
    max_voxels: int | None,
) -> Assignment:
    """Voxels of joined clouds of these lengths: see `voxels.assign_voxels`."""
    n, device = len(points), points.device
    cell, inside = cell_of_points(points, size, low, shape)
    clouds = torch.arange(len(lengths), device=device)
    cloud = clouds.repeat_interleave(torch.tensor(lengths, device=device), output_size=n)
    coordinates = torch.cat([cloud[:, None], cell], 1)
    key = ((cloud * shape[0] + cell[:, 0]) * shape[1] + cell[:, 1]) * shape[2] + cell[:, 2]
    rows = inside.nonzero()[:, 0]
    ordered, order = key[rows].sort(stable=True)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    first = rows[order[begins]]  # the sort is stable: the first point of a run came first
    by_appearance = first.argsort()
    rank = torch.empty_like(first)
    rank[by_appearance] = torch.arange(len(first), device=device)
    voxels = torch.full((n,), -1, dtype=torch.int64, device=device)
    voxels[rows[order]] = rank[begins.cumsum(0) - 1]
    coordinates, left_out = coordinates[first[by_appearance]], torch.zeros_like(clouds)
    if max_voxels is not None:  # points of clouds never mix, so each cloud's voxels are one run
        bounds = torch.searchsorted(coordinates[:, 0].contiguous(), torch.arange(len(lengths) + 1, device=device))
        left_out = (bounds.diff() - max_voxels).clamp_min(0)
        kept = torch.arange(len(first), device=device) - bounds[coordinates[:, 0]] < max_voxels
        row = torch.where(kept, kept.cumsum(0) - 1, -1)
        voxels = torch.cat([row, row.new_full((1,), -1)])[voxels]  # -1 takes the last, which is -1
        coordinates = coordinates[kept]
    bounds = torch.searchsorted(voxels.sort().values, torch.arange(len(coordinates) + 1, device=device))
    return Assignment(voxels, coordinates.int(), bounds.diff().int(), left_out)


def place_torch(voxels: Tensor, max_points: int) -> Tensor:
    """Row of each point in blocks of max_points rows a voxel, first come first served, -1 if there is no room: (N,)."""
    ordered, order = voxels.sort(stable=True)
    rank = torch.arange(len(voxels), device=voxels.device) - torch.searchsorted(ordered, ordered)
    row = torch.where((ordered >= 0) & (rank < max_points), ordered * max_points + rank, -1)
    place = torch.empty_like(voxels)
    place[order] = row
    return place
