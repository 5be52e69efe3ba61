"""NIfTI files to volumes: strict about the stream, lean in memory.

A file is believed only when its sizes agree with the header and, if compressed, its CRC is right. Voxels are read slab
by slab into the final array, so that a 512 x 512 x 600 CT needs its float32 array and little more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vol3d.scans.volumes.gzipped import open_checked
from vol3d.scans.volumes.nifti_header import read_header
from vol3d.scans.volumes.parts import refuse_half
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.volumes.voxels import empty, fill, image_slab, label_slab, narrowest

PADDING = 4095  # bytes after the voxels, at most


def read_nifti(path: Path, fill_nonfinite: float | None = None) -> Volume:
    """Read an image.

    Args:
        path: `.nii` or `.nii.gz`, NIfTI-1 or NIfTI-2, either byte order; distinguished by content.
        fill_nonfinite: what replaces NaN and infinite voxels, which are an error by default.

    Returns:
        float32 voxels; the fourth axis of a 4D file is the channel.

    Raises:
        DataError: see `read_header`; the file is damaged; a voxel is not finite.
    """

    def slab(raw: np.ndarray, slope: float, intercept: float, first_k: int) -> np.ndarray:
        return image_slab(raw, slope, intercept, path, first_k, fill_nonfinite)

    return _read(path, np.dtype(np.float32), slab)


def read_nifti_labels(path: Path) -> Volume:
    """Read labels: whole numbers from 0, whatever type they are stored as. Raises DataError for any other value."""

    def slab(raw: np.ndarray, slope: float, intercept: float, first_k: int) -> np.ndarray:
        return label_slab(raw, slope, intercept, path, first_k)

    volume = _read(path, np.dtype(np.int32), slab)
    return volume.with_array(narrowest(volume.array))


def _read(path: Path, dtype: np.dtype, slab: Callable[[np.ndarray, float, float, int], np.ndarray]) -> Volume:
    refuse_half(path)
    with open_checked(path) as stream:
        header = read_header(stream, path)
        stream.pass_over(header.offset - header.taken)
        shape = header.grid.shape
        array = empty((header.channels, *shape), dtype, path)
        fill(array, stream, header.dtype, lambda raw, k: slab(raw, header.slope, header.intercept, k))
        # Some writers pad the file; as much as a slice is not padding, but a slice that the header does not count.
        stream.finish(min(PADDING, shape[0] * shape[1] * header.dtype.itemsize - 1))
    return Volume(array, header.grid, source=path, notes=header.notes)
