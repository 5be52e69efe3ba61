"""A label that covers a part of its image: cropped to its extent, voxel on voxel, as 3D Slicer saves segmentations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vol3d.notes import Note
from vol3d.scans.volumes.volume import Grid, Volume


def on_lattice(label: Volume, grid: Grid, tolerance: float) -> Volume:
    """The label (1, i, j, k) on the image's whole grid, 0 where it has no voxel; nothing is resampled.

    A label that does not lie within the image, voxel on voxel and along the same axes, is returned as it is.

    Args:
        grid: of the image.
        tolerance: how far the voxels' centres may lie apart, in voxels.
    """
    start = offset(label.grid, grid, tolerance)
    if start is None or label.grid.shape == grid.shape:
        return label
    array = np.zeros((1, *grid.shape), dtype=label.array.dtype)
    i, j, k = (slice(first, first + count) for first, count in zip(start, label.grid.shape, strict=True))
    array[:, i, j, k] = label.array
    share = 100.0 * label.array.size / array.size
    text = "the label covers {percent:.3g} % of the image; the rest was taken as background"
    note = Note("label-covers-part", text, assumed=True, numbers={"percent": share})
    return replace(label, array=array, grid=grid, notes=(*label.notes, note))


def offset(part: Grid, whole: Grid, tolerance: float) -> tuple[int, int, int] | None:
    """The voxel of `whole` on which the first voxel of `part` lies, if all of them lie on one; else None."""
    start = _shift(part, whole, tolerance)
    if start is None or min(start) < 0 or (np.add(start, part.shape) > whole.shape).any():
        return None
    return start


def joined_grid(one: Grid, other: Grid, tolerance: float) -> Grid | None:
    """The smallest grid with all voxels of both, if these lie on one lattice along the same axes; else None."""
    start = _shift(other, one, tolerance)
    if start is None:
        return None
    first = np.minimum(start, 0)
    shape = np.maximum(one.shape, np.add(start, other.shape)) - first
    affine = one.affine.copy()
    affine[:3, 3] += one.affine[:3, :3] @ first
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _shift(part: Grid, whole: Grid, tolerance: float) -> tuple[int, int, int] | None:
    """From the first voxel of `whole` to that of `part`, in voxels; None if they are on no common lattice."""
    matrix = np.linalg.solve(whole.affine, part.affine)  # index in the part -> index in the whole
    start = np.rint(matrix[:3, 3]).astype(np.int64)
    last = np.maximum(np.array(part.shape) - 1, 0)
    wanted = np.eye(4)
    wanted[:3, 3] = start
    corners = np.array(np.meshgrid(*[[0, end] for end in last], [1], indexing="ij"), dtype=float).reshape(4, -1)
    apart = np.abs(((matrix - wanted) @ corners)[:3]).max()
    return (int(start[0]), int(start[1]), int(start[2])) if apart <= tolerance else None
