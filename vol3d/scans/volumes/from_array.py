"""Voxels in memory as a volume, with the checks that a file's go through."""

from __future__ import annotations

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.scans.volumes.affine import check_affine
from vol3d.scans.volumes.volume import Grid, Volume


def volume_of(array: np.ndarray, affine: np.ndarray | None) -> Volume:
    """A volume of an array.

    Args:
        array: (i, j, k) or (channels, i, j, k) numbers.
        affine: (4, 4), voxel index -> RAS millimetres.

    Raises:
        UsageError: no affine, or an array of another form.
        DataError: complex numbers or text, an affine that cannot be inverted or is not finite.
    """
    if affine is None:
        do = "Give affine=, a 4x4 matrix from voxel indices to RAS millimetres (np.diag([1, 1, 1, 1]) for 1 mm)."
        raise UsageError("an array does not contain the position of its voxels", where="affine", do=do)
    voxels = np.asarray(array)
    if voxels.ndim not in (3, 4) or not voxels.size:
        wanted = "(i, j, k) or (channels, i, j, k), none of them 0"
        raise UsageError("not the form of a volume", where="array", got=voxels.shape, wanted=wanted)
    if voxels.dtype.kind not in "biuf":
        raise DataError("voxels must be numbers", where="array", got=voxels.dtype)

    matrix = np.array(affine, np.float64)
    if matrix.shape != (4, 4):
        raise UsageError("not an affine", where="affine", got=matrix.shape, wanted="(4, 4)")
    notes = tuple(check_affine(matrix, "affine"))

    image = voxels.astype(np.float32)
    image = image if image.ndim == 4 else image[None]
    return Volume(image, Grid(image.shape[1:], matrix), notes=notes)
