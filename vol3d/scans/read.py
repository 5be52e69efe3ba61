"""One door to every format: which reader a path needs is decided by its name and by what is in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from vol3d.errors import DataError, UsageError
from vol3d.paths import user_path
from vol3d.scans.paths import DICOM, ITK, is_dicom
from vol3d.scans.volumes.volume import Grid, Volume
from vol3d.scans.volumes.voxels import label_slab, narrowest


def read_volume(path: str | Path, *, series: str | None = None, fill_nonfinite: float | None = None) -> Volume:
    """Read an image.

    Args:
        path: NIfTI, NRRD, MHA or MHD file, DICOM folder, zip of one, or multi-frame DICOM file.
        series: UID, number or description of one DICOM series among several.
        fill_nonfinite: what replaces NaN and infinite voxels, which are an error by default.

    Returns:
        float32 (channels, i, j, k) with the grid in RAS mm; `notes` state what had to be assumed.

    Raises:
        DataError: the file is missing, damaged, of another kind, or places nothing; see the reader of each format.
        UsageError: `series` for a format without series.
    """
    path = user_path(path)
    if is_dicom_source(path):
        from vol3d.scans.dicom.read import read_dicom

        return read_dicom(path, series, fill_nonfinite)
    if series is not None:
        raise UsageError("only DICOM has series to choose from", where=path, got=f"series {series!r}")
    if path.name.lower().endswith(ITK):
        from vol3d.scans.volumes.itk import read_itk

        return read_itk(path, fill_nonfinite)
    from vol3d.scans.volumes.nifti import read_nifti

    return read_nifti(path, fill_nonfinite)


def read_labels(path: str | Path, grid: Grid | None = None) -> Volume:
    """Read labels: whole numbers from 0, whatever type they are stored as.

    Args:
        path: a file as for `read_volume`, or a DICOM segmentation object.
        grid: where a DICOM segmentation is to stand, usually its image's grid; it holds only the slices it needs.

    Returns:
        uint8, uint16 or int32 (1, i, j, k), the first that holds them; `label_names` where the file names them.

    Raises:
        DataError: several channels; a label that is negative, fractional or not finite (with its voxel); and as above.
    """
    path = user_path(path)
    if is_dicom_source(path):
        return _dicom_labels(path, grid)
    if path.name.lower().endswith(ITK):
        from vol3d.scans.volumes.itk import read_itk_labels

        labels = read_itk_labels(path)
    else:
        from vol3d.scans.volumes.nifti import read_nifti_labels

        labels = read_nifti_labels(path)
    if len(labels.array) != 1:
        raise DataError("a label image has several channels", where=path, got=len(labels.array), wanted=1)
    return labels


def is_dicom_source(path: Path) -> bool:
    """True for what is read as DICOM: a folder, an archive, a file of that kind. A `.npz` is an archive of arrays."""
    if path.is_dir() or path.name.lower().endswith((".zip", *DICOM)):
        return path.exists()
    return is_dicom(path) or (path.is_file() and path.suffix.lower() != ".npz" and zipfile.is_zipfile(path))


def _dicom_labels(path: Path, grid: Grid | None) -> Volume:
    if path.is_file() and is_dicom(path):
        from vol3d.scans.dicom.seg import is_dicom_seg, read_dicom_seg

        if is_dicom_seg(path):
            return read_dicom_seg(path, grid)
    from vol3d.scans.dicom.read import read_dicom

    volume = read_dicom(path, fill_padding=False)
    return volume.with_array(narrowest(label_slab(volume.array[0], 1.0, 0.0, path))[None])
