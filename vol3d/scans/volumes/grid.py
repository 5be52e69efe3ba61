"""Volumes on other grids: oriented, resampled, cropped, padded. Every function keeps the affine true.

Convention of `resample`: the outer faces of the volume stay where they are. A side of n voxels of s mm becomes
m = round(n s / s') voxels (at least one) of n s / m mm, so the spacing got differs from the one asked for by at most
half a voxel over the whole side, and the affine holds the true one. Voxel centres follow from the faces: target index t
lies at source index (t + 1/2) n / m - 1/2. From the outermost centre to the face the outermost voxel's value holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.scans.volumes.interpolate import AxisTaps, Lookup, Order, axis_taps
from vol3d.scans.volumes.orientation import derived, orientation, reorient, reorient_to
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.volumes.voxels import empty

__all__ = ["crop", "orientation", "pad", "reorient", "reorient_to", "resample", "resample_to", "resampled_grid"]

Triple = tuple[int, int, int]
SLAB_VOXELS = 1 << 21  # voxels of the target made at a time


def resampled_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """The grid that `resample` makes, without a voxel read. Raises UsageError for a spacing that is not above 0."""
    if len(spacing_mm) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing_mm):
        raise UsageError("a spacing must be three lengths above 0", got=spacing_mm, wanted="mm along i, j, k")
    shape = [max(1, round(n * s / t)) for n, s, t in zip(grid.shape, grid.spacing_mm, spacing_mm, strict=True)]
    scale = np.array(grid.shape) / np.array(shape)
    affine = grid.affine.copy()
    affine[:3, :3] *= scale
    affine[:3, 3] += grid.affine[:3, :3] @ ((scale - 1) / 2)
    return derived(grid, tuple(shape), affine)


def resample(volume: Volume, spacing_mm: tuple[float, float, float], order: int = 1) -> Volume:
    """The volume with other voxel sizes between the same outer faces (see the module's text).

    Args:
        spacing_mm: along the volume's own axes i, j, k.
        order: 0 nearest, 1 linear, 3 cubic B-spline. Labels (an integer type) take 0, or 1: each label's share is
            interpolated and the largest wins, the lower label on a tie.

    Returns:
        float32 for images, the same type for labels; `volume` itself if its shape would not change.

    Raises:
        UsageError: a spacing not above 0, an unknown order, cubic labels.
    """
    target = resampled_grid(volume.grid, spacing_mm)
    return volume if target.shape == volume.grid.shape else resample_to(volume, target, order)


def resample_to(volume: Volume, grid: Grid, order: int = 1, outside: float = 0.0) -> Volume:
    """The volume's values at another grid's voxel centres, wherever that grid stands.

    Grids whose axes are parallel go axis by axis, others point by point; both in slabs, so that beside source and
    target little memory is needed (cubic: one more float32 copy of a channel of the source).

    Args:
        order: see `resample`.
        outside: value of voxels whose centre lies beyond the source's outer faces.

    Raises:
        UsageError: an unknown order, cubic labels.
    """
    labels = volume.array.dtype.kind in "iub"
    if order not in (0, 1, 3) or (labels and order == 3):
        raise UsageError("unknown interpolation order", got=order, wanted="0 or 1 for labels, 0, 1 or 3 for images")
    array = empty((len(volume.array), *grid.shape), volume.array.dtype if labels else np.dtype(np.float32), "resample")
    source_from_target = np.linalg.solve(volume.affine, grid.affine)
    depth = max(1, SLAB_VOXELS // max(1, grid.shape[1] * grid.shape[2]))
    for channel, voxels in enumerate(volume.array):
        lookup = _lookup(voxels, source_from_target, grid.shape, cast(Order, order))
        for i in range(0, grid.shape[0], depth):
            rows = slice(i, min(grid.shape[0], i + depth))
            part = _vote(voxels, lookup, rows) if labels and order == 1 else lookup.values(rows)
            part[lookup.beyond(rows)] = outside
            array[channel, rows] = part
    return replace(volume, array=array, grid=grid)


def _lookup(voxels: np.ndarray, source_from_target: np.ndarray, shape: Triple, order: Order) -> Lookup:
    taps = axis_taps(voxels.shape, source_from_target, shape, order)
    return AxisTaps(voxels, taps, order) if taps is not None else Lookup(voxels, source_from_target, shape, order)


def _vote(voxels: np.ndarray, lookup: Lookup, rows: slice) -> np.ndarray:
    """The label with the largest interpolated share; (rows, j, k)."""
    reach = lookup.reach(rows)
    best: np.ndarray | None = None
    for label in np.unique(voxels[reach]):
        share = lookup.share(label, rows)
        if best is None:
            best, winner = share, np.full(share.shape, label, voxels.dtype)
            continue
        wins = share > best + 1e-6
        winner[wins] = label
        best = np.maximum(best, share)
    return winner


def crop(volume: Volume, start: Triple, stop: Triple) -> Volume:
    """Voxels start <= index < stop along i, j, k; a view of the same memory.

    Raises:
        UsageError: the box is empty or leaves the volume.
    """
    shape = volume.grid.shape
    if not all(0 <= a < b <= n for a, b, n in zip(start, stop, shape, strict=True)):
        raise UsageError(
            "the box to crop must lie inside", got=f"{tuple(start)} to {tuple(stop)}", wanted=f"within {shape}"
        )
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ np.array(start, dtype=np.float64)
    array = volume.array[:, start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]
    return replace(volume, array=array, grid=derived(volume.grid, array.shape[1:], affine))


def pad(volume: Volume, before: Triple, after: Triple, value: float = 0.0) -> Volume:
    """`value` around the volume, so many voxels before and after along i, j, k.

    Raises:
        UsageError: a negative width.
    """
    if min(*before, *after) < 0:
        raise UsageError("a width to pad must not be negative", got=f"{tuple(before)} and {tuple(after)}")
    if not np.can_cast(np.min_scalar_type(value), volume.array.dtype) and volume.array.dtype.kind in "iub":
        raise DataError("the padding is no value of the volume's type", got=value, wanted=volume.array.dtype)
    affine = volume.affine.copy()
    affine[:3, 3] -= volume.affine[:3, :3] @ np.array(before, dtype=np.float64)
    array = np.pad(volume.array, ((0, 0), *zip(before, after, strict=True)), constant_values=value)
    return replace(volume, array=array, grid=derived(volume.grid, array.shape[1:], affine))
