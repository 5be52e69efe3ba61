"""Voxelisation in plain torch, by sorting: any device, the same order of voxels and points as the compiled loops."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vol3d.host import constant, send

_OUTSIDE = torch.iinfo(torch.int64).max  # the key of points in no cell: behind all others


class Assignment(NamedTuple):
    """Voxel of each point (N,) int64, coordinates (V, 4) int32 batch z y x, points of each voxel (V,) int32; and of
    each cloud the voxels beyond the limit (B,) int64, on the CPU."""

    voxels: Tensor
    coordinates: Tensor
    counts: Tensor
    left_out: Tensor


def cell_of_points(
    points: Tensor, size: tuple[float, ...], low: tuple[float, ...], shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Cell z, y, x (N, 3) int64 of each point and whether it lies inside the grid; cells outside mean nothing."""
    xyz = points[:, :3] if points.dtype == torch.float64 else points[:, :3].float()
    cell = ((xyz - constant(low, xyz)) / constant(size, xyz)).floor().flip(1)
    inside = ((cell >= 0) & (cell < constant(shape, cell))).all(1)  # NaN is not inside
    return cell.masked_fill(~inside[:, None], 0).long(), inside


def assign_torch(
    points: Tensor,
    lengths: list[int],
    size: tuple[float, ...],
    low: tuple[float, ...],
    shape: tuple[int, int, int],
    max_voxels: int | None,
) -> Assignment:
    """Voxels of joined clouds of these lengths: see `voxels.assign_voxels`.

    All has the length of the points until the number of voxels is known: the only moment at which the host waits.
    """
    n, device, batch = len(points), points.device, len(lengths)
    turn = torch.arange(n, device=device)
    cell, inside = cell_of_points(points, size, low, shape)
    (sizes,) = send([torch.tensor(lengths)], device)
    cloud = torch.arange(batch, device=device).repeat_interleave(sizes, output_size=n)
    key = ((cloud * shape[0] + cell[:, 0]) * shape[1] + cell[:, 1]) * shape[2] + cell[:, 2]
    ordered, order = key.masked_fill(~inside, _OUTSIDE).sort(stable=True)
    begins = ordered != _OUTSIDE
    begins[1:] &= ordered[1:] != ordered[:-1]
    run = begins.cumsum(0) - 1

    first = _put(order, torch.where(begins, run, n), n)  # the sort is stable: the first point of a run came first
    first, by_appearance = first.sort()
    voxels = torch.empty_like(run)
    voxels[order] = _put(turn, by_appearance, 0)[run].masked_fill(ordered == _OUTSIDE, -1)
    owner = torch.cat([cloud, cloud.new_full((1,), batch)])[first]  # points of clouds never mix: each one's are a run
    bounds = torch.searchsorted(owner, torch.arange(batch + 1, device=device))
    found = bounds.diff()

    kept = found if max_voxels is None else found.clamp_max(max_voxels)
    if max_voxels is not None:
        stays = (turn - bounds[owner] < max_voxels) & (owner < batch)
        row = torch.where(stays, stays.cumsum(0) - 1, -1)
        voxels = torch.cat([row, row.new_full((1,), -1)])[voxels]  # -1 takes the last, which is -1
        first = _put(first, torch.where(stays, row, n), n)

    count, *left_out = torch.cat([kept.sum()[None], found - kept]).tolist()
    first = first[:count]
    coordinates = torch.cat([cloud[first, None], cell[first]], 1)
    ends = torch.searchsorted(voxels.sort().values, torch.arange(count + 1, device=device))
    return Assignment(voxels, coordinates.int(), ends.diff().int(), torch.tensor(left_out, dtype=torch.int64))


def _put(values: Tensor, place: Tensor, otherwise: int) -> Tensor:
    """(N,) with `values` at their places, `otherwise` elsewhere; a place of N is none."""
    return values.new_full((len(values) + 1,), otherwise).scatter_(0, place, values)[:-1]


def place_torch(voxels: Tensor, max_points: int) -> Tensor:
    """Row of each point in blocks of max_points rows a voxel, first come first served, -1 if there is no room: (N,)."""
    ordered, order = voxels.sort(stable=True)
    rank = torch.arange(len(voxels), device=voxels.device) - torch.searchsorted(ordered, ordered)
    row = torch.where((ordered >= 0) & (rank < max_points), ordered * max_points + rank, -1)
    place = torch.empty_like(voxels)
    place[order] = row
    return place
