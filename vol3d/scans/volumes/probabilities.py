"""Probabilities of each voxel of a scan, from which its mask was decided, in bounded memory however many classes."""

from __future__ import annotations

import math
import mmap
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.output import require_room


@dataclass(frozen=True, eq=False)
class Probabilities:
    """What a model gave each voxel of a scan.

    Args:
        array: (outputs, i, j, k) float32 in 0 to 1, on the scan's own grid.
        names: of the outputs.
        exclusive: classes, background first, which add to 1 in each voxel; else regions that may overlap.
    """

    array: np.ndarray
    names: tuple[str, ...]
    exclusive: bool


def on_disk(shape: tuple[int, int, int], names: tuple[str, ...], exclusive: bool) -> Probabilities:
    """Background everywhere, to be written plane by plane.

    The voxels lie in a temporary file that vanishes with the array, plane k after plane k, as a NIfTI file has them.

    Raises:
        Vol3dError: the disk of temporary files (`TMPDIR`) has too little room.
    """
    i, j, k = shape
    array = np.moveaxis(temporary((len(names), k, j, i), np.dtype(np.float32)), (1, 2, 3), (3, 2, 1))
    if exclusive:
        array[0] = 1
    return Probabilities(array, names, exclusive)


def temporary(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros in a temporary file that vanishes with the array. Raises Vol3dError if the disk has too little room."""
    need = math.prod(shape) * dtype.itemsize
    require_room(Path(tempfile.gettempdir()), need, "Set TMPDIR to a folder on another disk.")
    with tempfile.TemporaryFile(prefix="vol3d-") as file:
        file.truncate(need)
        return np.ndarray(shape, dtype, mmap.mmap(file.fileno(), need))


def unload(array: np.ndarray) -> None:
    """Takes the pages of a `temporary` array, or of a view of one, out of the process; its numbers stay in the file."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def predictive_entropy(found: Probabilities) -> np.ndarray:
    """(1, i, j, k) float32 in nats: the entropy of the classes' distribution in each voxel, 0 to ln(classes).

    Of regions, (regions, i, j, k): that of each region being there or not, 0 to ln(2). Gal, "Uncertainty in Deep
    Learning" (thesis, 2016), equation 3.21, with the distribution that the mask was decided from.
    """
    outputs, i, j, k = found.array.shape
    entropy = np.moveaxis(
        temporary((1 if found.exclusive else outputs, k, j, i), np.dtype(np.float32)), (1, 2, 3), (3, 2, 1)
    )
    for index in range(k):
        plane = found.array[..., index]
        some = _surprise(plane) if found.exclusive else _surprise(plane) + _surprise(1 - plane)
        entropy[..., index] = some.sum(axis=0) if found.exclusive else some
    return entropy


def _surprise(share: np.ndarray) -> np.ndarray:
    """-p ln p, and 0 of what never happens."""
    share = share.clip(0, 1)
    return -share * np.log(np.where(share > 0, share, 1))
