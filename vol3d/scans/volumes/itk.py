"""NRRD, MHA and MHD through SimpleITK."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.gzipped import MOST_PER_BYTE
from vol3d.scans.volumes.itk_stream import check_stream
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.volumes.voxels import check_memory, empty, image_slab, label_slab, narrowest, slab_depth


def read_itk(path: str | Path, fill_nonfinite: float | None = None) -> Volume:
    """Read an image as float32; vector components, or the fourth axis, are channels.

    Raises:
        DataError: damaged or cut, complex or colour, not 3D or 4D, more voxels than the file can hold, a geometry that
            places nothing, a voxel that is not finite.
    """
    return _read(Path(path), np.dtype(np.float32), fill_nonfinite)


def read_itk_labels(path: str | Path) -> Volume:
    """Read labels: whole numbers from 0. Raises DataError for any other value, and as `read_itk` does."""
    volume = _read(Path(path), np.dtype(np.int32), None)
    return volume.with_array(narrowest(volume.array))


def _read(path: Path, dtype: np.dtype, fill_nonfinite: float | None) -> Volume:
    import SimpleITK as sitk

    if not path.is_file() or path.stat().st_size == 0:
        raise DataError("the file is empty" if path.exists() else "no such file", where=path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check_header(reader, path)
        image = reader.Execute()
    except RuntimeError as fault:
        reason = str(fault).strip().splitlines()[-1]
        raise DataError(
            "damaged, cut, or not what its name says", where=path, got=reason, do="Copy it again."
        ) from fault
    stored = sitk.GetArrayViewFromImage(image)  # (t?, k, j, i, component?)
    if image.GetNumberOfComponentsPerPixel() > 1:
        stored = np.moveaxis(stored, -1, 0)
    if image.GetDimension() == 4 and stored.ndim == 5:
        raise DataError("vectors on four axes", where=path, got=stored.shape, wanted="channels in one of both")
    grid = _grid(image, path)
    return Volume(
        _voxels(stored, grid, dtype, path, fill_nonfinite), grid, path, tuple(check_affine(grid.affine, path))
    )


def _check_header(reader: Any, path: Path) -> None:
    """Refuse before anything is allocated."""
    bits = _bits_per_value(reader, path)
    size = reader.GetSize()
    if len(size) not in (3, 4):
        raise DataError(
            f"the image has {len(size)} axes", where=path, got=size, wanted="3, or 4 with the channels last"
        )
    if min(size) < 1:
        raise DataError("the sizes in the header are impossible", where=path, got=size)

    need = math.prod(size) * reader.GetNumberOfComponents() * bits // 8
    # A header with its voxels in other files (.mhd, .nhdr) does not state their size; ITK compares them itself.
    if path.suffix.lower() in (".mha", ".nrrd") and need > path.stat().st_size * MOST_PER_BYTE:
        raise DataError("the header describes more voxels than the file can hold", where=path, got=f"{need} bytes")
    check_memory(tuple(size), np.dtype(np.float32), path)
    check_stream(path, need)


def _bits_per_value(reader: Any, path: Path) -> int:
    """Bits of a number in the file; what is no number is refused."""
    import SimpleITK as sitk

    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())  # "16-bit signed integer", "vector of 64-bit float"
    colour = any("color" in reader.GetMetaData(key).lower() for key in reader.GetMetaDataKeys() if "kinds" in key)
    if "complex" in kind or "label of" in kind or colour:
        raise DataError("the voxels are not plain numbers", where=path, got="colour" if colour else kind)

    numbers = (int(word) for word in kind.replace("-", " ").split() if word.isdigit())
    return next(numbers, 64 if "double" in kind else 32)


def _grid(image: Any, path: Path) -> Grid:
    count = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (count, count))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3])
    affine[:3, 3] = image.GetOrigin()[:3]
    size = image.GetSize()
    return Grid((size[0], size[1], size[2]), LPS_TO_RAS @ affine)


def _voxels(stored: np.ndarray, grid: Grid, dtype: np.dtype, path: Path, fill_nonfinite: float | None) -> np.ndarray:
    channels = stored if stored.ndim == 4 else stored[None]
    array = empty((len(channels), *grid.shape), dtype, path)
    depth = slab_depth(grid.shape[0] * grid.shape[1] * stored.dtype.itemsize)
    for channel, voxels in enumerate(channels):
        for k in range(0, grid.shape[2], depth):
            raw = voxels[k : k + depth].T
            if dtype == np.float32:
                array[channel, :, :, k : k + depth] = image_slab(raw, 1.0, 0.0, path, k, fill_nonfinite)
            else:
                array[channel, :, :, k : k + depth] = label_slab(raw, 1.0, 0.0, path, k)
    return array
