"""Volumes and segmentations to files, on the grid that they were read from, to the bit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.files import atomic, refuse_overwrite
from vol3d.notes import Note
from vol3d.paths import user_path
from vol3d.scans.results.own import MASK_MARK
from vol3d.scans.volumes.nifti_qform import read_qform, set_fields
from vol3d.scans.volumes.units import MM, NIFTI_MM
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume
from vol3d.scans.volumes.voxels import slab_depth

LEVEL = 4  # of gzip: masks shrink as well as at 9, in a fraction of the time
WRITTEN = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def write_nifti(path: str | Path, volume: Volume, descrip: str = "") -> None:
    """Write `.nii` or `.nii.gz`, whole or not at all; several channels become the fourth axis.

    The affine, both codes, the qform's numbers and the unit are those of the file that the volume's grid came from, to
    the bit; slope is 1, intercept 0. NIfTI-2 is written where a side exceeds 32767.

    Args:
        descrip: what the header says of the file, up to 79 characters.

    Raises:
        UsageError: another suffix; `path` is the file that the volume was read from.
        DataError: voxels of a type that NIfTI lacks.
        Vol3dError: the folder is missing or read-only, or the disk is full.
    """
    path = user_path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError("not a NIfTI name", where=path, wanted="a name that ends in .nii or .nii.gz")
    refuse_overwrite(path, volume.source)
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype.name not in WRITTEN:
        raise DataError("a type that is not written", where=path, got=array.dtype, wanted=", ".join(WRITTEN))
    header = _header(array, volume.grid, path)
    header["descrip"] = descrip.encode()
    with atomic(path) as temporary, temporary.open("wb") as plain:
        if path.name.lower().endswith(".gz"):
            # No name and no time inside, so that equal volumes make equal files.
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=LEVEL, mtime=0) as packed:
                _write_body(packed, header, array)
        else:
            _write_body(plain, header, array)


def write_segmentation(path: str | Path, segmentation: Segmentation, series: str | None = None) -> tuple[Note, ...]:
    """Write a mask: NIfTI (uint8 or uint16), or DICOM-SEG for a name in `.dcm` where the source is a DICOM series.

    Returns what was generated so that the file could be written: UIDs that the series lacks.

    Args:
        series: the UID of the series where the source holds several, for DICOM-SEG.

    Raises:
        UsageError: another suffix, the output is the input, or DICOM-SEG of something that was not DICOM.
        Vol3dError: the extra for DICOM-SEG is not installed; the file cannot be written.
    """
    path = user_path(path)
    if path.suffix.lower() == ".dcm":
        from vol3d.scans.dicom.seg_write import write_dicom_seg

        return write_dicom_seg(path, segmentation, series)
    highest = int(segmentation.labels.max()) if segmentation.labels.size else 0
    if highest > np.iinfo(np.uint16).max or segmentation.labels.dtype.kind not in "iub":
        raise DataError(
            "labels that a mask cannot hold", where=path, got=f"{segmentation.labels.dtype}, up to {highest}",
            wanted="whole numbers up to 65535",
        )  # fmt: skip
    labels = segmentation.labels.astype(np.uint8 if highest <= 255 else np.uint16, copy=False)
    write_nifti(path, Volume(labels[None], segmentation.grid, segmentation.source), MASK_MARK)
    return ()


def _header(array: np.ndarray, grid: Grid, path: Path) -> Any:
    import nibabel

    header = nibabel.Nifti2Header() if max(array.shape) > 32767 else nibabel.Nifti1Header()
    header.set_data_dtype(array.dtype.newbyteorder("<"))
    header.set_data_shape(grid.shape if len(array) == 1 else (*grid.shape, len(array)))
    header.set_slope_inter(1, 0)
    affine = np.diag([1 / NIFTI_MM.get(grid.xyzt_units & 7, 1.0)] * 3 + [1.0]) @ grid.affine
    if grid.qform is not None:
        set_fields(header, grid.qform)
    else:
        header.set_qform(affine, strip_shears=True)
    header.set_sform(affine)
    header["sform_code"], header["qform_code"] = grid.sform_code, grid.qform_code
    if grid.sform_code <= 0 and not _says(header, affine, path):
        header["sform_code"] = max(grid.qform_code, 0) or MM  # what spacing or quaternion cannot express, the sform can
    header["xyzt_units"] = grid.xyzt_units
    header["vox_offset"] = header["sizeof_hdr"] + 4
    return header


def _says(header: Any, affine: np.ndarray, path: Path) -> bool:
    """Whether the header without its sform is read as this affine."""
    try:
        read = read_qform(header, path)[0] if header["qform_code"] > 0 else header.get_base_affine()
    except DataError:
        return False
    return np.allclose(read, affine, rtol=0, atol=1e-4)


def _write_body(file: IO[bytes] | gzip.GzipFile, header: Any, array: np.ndarray) -> None:
    file.write(header.binaryblock + bytes(4))  # four zeros: no extensions
    stored = array.dtype.newbyteorder("<")
    depth = slab_depth(array.shape[1] * array.shape[2] * array.dtype.itemsize)
    for channel in array:
        for k in range(0, array.shape[3], depth):
            file.write(channel[:, :, k : k + depth].astype(stored, copy=False).tobytes(order="F"))
