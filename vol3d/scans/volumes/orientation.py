"""Which way the voxel axes run: all 48 orientations, and the way from one to another without touching a value.

A code names the direction in which each index grows: "RAS" means that i grows to the patient's right, j to the front, k
to the head. An oblique grid has the code of the nearest axes; its affine stays oblique.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.scans.volumes.volume import Grid, Volume

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def orientation(affine: np.ndarray) -> str:
    """The code of a voxel-to-RAS matrix (4, 4), such as "LPS".

    >>> orientation(np.diag([-1.0, -1, 2, 1]))
    'LPS'
    """
    from nibabel.orientations import aff2axcodes

    return "".join(aff2axcodes(affine))


def reorient(volume: Volume, code: str) -> Volume:
    """The same voxels with the axes in the order and direction of `code`; the affine follows.

    Returns:
        `volume` itself where nothing changes, else a contiguous copy.

    Raises:
        UsageError: `code` is not three of R/L, A/P, S/I.
    """
    letters = [letter for letter in code if letter in OPPOSITE]
    if len(code) != 3 or len({min(letter, OPPOSITE[letter]) for letter in letters}) != 3:
        raise UsageError("not an orientation", got=repr(code), wanted="three letters, one each of R/L, A/P, S/I")
    now = orientation(volume.affine)
    if now == code:
        return volume
    return _turn(volume, *_way(now, code))


def turned_view(array: np.ndarray, now: str, code: str) -> np.ndarray:
    """(..., i, j, k) with its axes as `now` says -> the same memory with its axes as `code` says."""
    return _turned(array, *_way(now, code))


def _way(now: str, code: str) -> tuple[list[int], list[bool]]:
    """New axis a is the old axis `axes[a]`, run backwards where `flips[a]`."""
    axes = [next(axis for axis in range(3) if now[axis] in (letter, OPPOSITE[letter])) for letter in code]
    return axes, [now[axis] != letter for axis, letter in zip(axes, code, strict=True)]


def reorient_to(volume: Volume, grid: Grid) -> Volume:
    """Undo `reorient`: the voxels on exactly `grid`, its affine, codes and all.

    Raises:
        DataError: the volume's voxels do not stand where the grid's do, in any order of the axes.
    """
    turned = reorient(volume, orientation(grid.affine))
    if not turned.grid.same_place(grid):
        raise DataError(
            "two grids are not the same voxels in another order",
            where=volume.source,
            got=f"{turned.grid.shape} at {np.round(turned.affine[:3], 3).tolist()}",
            wanted=f"{grid.shape} at {np.round(grid.affine[:3], 3).tolist()}",
        )
    return replace(turned, grid=grid)


def _turn(volume: Volume, axes: list[int], flips: list[bool]) -> Volume:
    """New axis a is the old axis `axes[a]`, run backwards where `flips[a]`."""
    affine = volume.affine.copy()
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        step = volume.affine[:3, old]
        affine[:3, new] = -step if flip else step
        if flip:
            affine[:3, 3] += step * (volume.grid.shape[old] - 1)
    array = np.ascontiguousarray(_turned(volume.array, axes, flips))
    return replace(volume, array=array, grid=derived(volume.grid, array.shape[1:], affine))


def _turned(array: np.ndarray, axes: list[int], flips: list[bool]) -> np.ndarray:
    first = array.ndim - 3
    turned = array.transpose(*range(first), *(axis + first for axis in axes))
    return np.flip(turned, tuple(axis + first for axis in range(3) if flips[axis]))


def derived(grid: Grid, shape: tuple[int, ...], affine: np.ndarray) -> Grid:
    """A grid made from another: same codes, new place; what was kept of the file's qform no longer holds."""
    return replace(grid, shape=(shape[0], shape[1], shape[2]), affine=affine, qform=None)
