"""The header of a NIfTI-1 or NIfTI-2 file: what is stored, how large it is and where it stands.

nibabel loads a damaged or hostile header in silence or with a late MemoryError, so sizes, type and geometry are
checked here before anything is allocated. Field names are those of the NIfTI-1 standard.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.affine import check_affine
from vol3d.scans.volumes.gzipped import Stream
from vol3d.scans.volumes.volume import Grid

UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, metre, millimetre, micrometre
MOST_EXTENSIONS = 1 << 26  # bytes between header and voxels that are read over
TOGETHER_MM = 0.1  # sform and qform that differ by less are one statement


@dataclass(frozen=True)
class Header:
    """What a file holds.

    Args:
        dtype: type of a stored number, byte order included.
        channels: number of volumes in the file.
        grid: where the voxels stand.
        offset: position of the first voxel in the file, bytes.
        taken: bytes of the header already read.
        slope, intercept: voxel = stored * slope + intercept.
        notes: what had to be assumed.
    """

    dtype: np.dtype
    channels: int
    grid: Grid
    offset: int
    taken: int
    slope: float
    intercept: float
    notes: tuple[Note, ...]


def read_header(stream: Stream, path: Path) -> Header:
    """Read and check the header, without reading a voxel.

    Raises:
        DataError: not NIfTI, a pair of files, a complex, colour or unknown type, not 3D or 4D, more voxels than the
            file can hold, or a geometry that places nothing.
    """
    header, taken = _parse(stream, path)
    dtype = _dtype(header, path)
    shape, channels = _shape(header, path)
    offset = _offset(header, taken, path)
    size = offset + channels * int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size > stream.most:
        raise DataError(
            "the header describes more voxels than the file can hold",
            where=path,
            got=f"{channels} x {' x '.join(map(str, shape))} voxels of {dtype.name}, {size} bytes",
            wanted=f"at most {stream.most} bytes",
            do="The file is cut or its header is damaged; copy or download it again.",
        )
    slope, intercept = _scaling(header, path)
    grid, notes = _grid(header, shape, path)
    return Header(dtype, channels, grid, offset, taken, slope, intercept, tuple(notes))


def _parse(stream: Stream, path: Path) -> tuple[Any, int]:
    """The header as nibabel's object, and the number of bytes it took."""
    import nibabel

    wrong = DataError(
        "not a NIfTI file",
        where=path,
        wanted="a header of 348 (NIfTI-1) or 540 bytes (NIfTI-2)",
        do="Check that the file is what its name says.",
    )
    if stream.most < 348:
        raise wrong
    block = stream.take(348)
    sizes = {order: struct.unpack(order + "i", block[:4])[0] for order in "<>"}
    order = next((order for order, size in sizes.items() if size in (348, 540)), None)
    if order is None:
        raise wrong
    if sizes[order] == 348:
        header = nibabel.Nifti1Header(bytes(block), endianness=order, check=False)
        magic = bytes(block[344:348])
        single, pair = b"n+1\0", b"ni1\0"
    else:
        block += stream.take(192)
        header = nibabel.Nifti2Header(bytes(block), endianness=order, check=False)
        magic = bytes(block[4:8])
        single, pair = b"n+2\0", b"ni2\0"
    if magic == pair:
        raise DataError(
            "a .hdr/.img pair", where=path, wanted="one .nii or .nii.gz file", do="Convert the pair to .nii."
        )
    if magic != single:
        raise wrong
    return header, len(block)


def _dtype(header: Any, path: Path) -> np.dtype:
    code, codes = int(header["datatype"]), header._data_type_codes
    dtype = np.dtype(codes.dtype[code] if code in codes.code else "V")
    if dtype.kind not in "iuf":  # complex, colour, bits, unknown, and types that this machine lacks
        raise DataError(
            "the voxels are not plain numbers",
            where=path,
            got=f"NIfTI type {codes.label[code] if code in codes.code else code}",
            wanted="integers or floats",
            do="Export one real channel.",
        )
    return dtype.newbyteorder(header.endianness)


def _shape(header: Any, path: Path) -> tuple[tuple[int, int, int], int]:
    dim = [int(n) for n in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
        raise DataError("the sizes in the header are impossible", where=path, got=f"dim {dim}", wanted="counts from 1")
    sizes = dim[1 : dim[0] + 1]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) == 5 and sizes[3] == 1:  # vector images (ANTs, ITK) keep their components in the fifth axis
        sizes = [*sizes[:3], sizes[4]]
    if len(sizes) not in (3, 4):
        raise DataError(
            f"the image has {len(sizes)} axes", where=path, got=sizes, wanted="3 axes, or 4 with the channels last"
        )
    return (sizes[0], sizes[1], sizes[2]), sizes[3] if len(sizes) == 4 else 1


def _offset(header: Any, taken: int, path: Path) -> int:
    value = float(header["vox_offset"])
    if value == 0:
        return taken + 4
    if not taken <= value <= MOST_EXTENSIONS or value != int(value):
        raise DataError("the voxels' position in the file is impossible", where=path, got=f"vox_offset {value}")
    return int(value)


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):  # "no scaling" in the standard
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all():
        raise DataError("the intensity scaling is not finite", where=path, got=f"slope {slope}, intercept {intercept}")
    return slope, intercept


def _grid(header: Any, shape: tuple[int, int, int], path: Path) -> tuple[Grid, list[Note]]:
    """The sform where its code is set, else the qform, else what nibabel assumes from the spacing alone."""
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    notes = []
    if sform_code > 0:
        affine = header.get_sform()
        check_affine(affine, path)
        if qform_code > 0:
            corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(shape) - 1)
            difference = affine - _qform(header, path)
            apart = float(np.abs(corners @ difference[:3, :3].T + difference[:3, 3]).max())
            if apart > TOGETHER_MM:
                text = "sform and qform place the scan up to {apart_mm:.2f} mm apart; the sform was used"
                notes.append(Note("sform-and-qform-differ", text, numbers={"apart_mm": apart}))
    elif qform_code > 0:
        affine = _qform(header, path)
    else:
        _check_spacing(header, path)
        affine = header.get_base_affine()
        text = "no position or orientation in the file (both codes 0): spacing alone was used, i leftwards"
        notes.append(Note("orientation-assumed", text, assumed=True))
    notes += check_affine(affine, path)
    unit = UNITS_MM.get(int(header["xyzt_units"]) & 7)
    if unit is None:
        raise DataError(
            "unknown unit of length", where=path, got=f"xyzt_units {int(header['xyzt_units'])}", wanted="mm"
        )
    placed = tuple(header[name].item() for name in ("quatern_b", "quatern_c", "quatern_d"))
    placed += tuple(header[name].item() for name in ("qoffset_x", "qoffset_y", "qoffset_z"))
    qform_fields = np.array([*header["pixdim"][:4].tolist(), *placed])
    if unit != 1.0:
        text = "lengths were converted to mm (1 unit = {mm:g} mm)"
        notes.append(Note("lengths-converted", text, numbers={"mm": unit}))
        affine = np.diag([unit, unit, unit, 1.0]) @ affine
        return Grid(shape, affine, sform_code, qform_code), notes
    return Grid(shape, np.array(affine, dtype=np.float64), sform_code, qform_code, qform_fields), notes


def _qform(header: Any, path: Path) -> np.ndarray:
    _check_spacing(header, path)
    try:
        return header.get_qform()
    except Exception as fault:  # nibabel raises several kinds for one cause: the quaternion is no rotation
        raise DataError("the qform's rotation is damaged", where=path, got=str(fault)) from fault


def _check_spacing(header: Any, path: Path) -> None:
    spacing = tuple(float(length) for length in header["pixdim"][1:4])
    if not all(np.isfinite(length) and length > 0 for length in spacing):
        raise DataError("a voxel spacing is zero, negative or not finite", where=path, got=spacing, wanted="mm above 0")
