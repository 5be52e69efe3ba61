"""The header of a NIfTI-1 or NIfTI-2 file: what is stored, how large it is and where it stands.

nibabel loads a damaged or hostile header in silence or with a late MemoryError, so sizes, type and geometry are
checked here before anything is allocated. Field names are those of the NIfTI-1 standard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.paths import NIFTI
from vol3d.scans.volumes.affine import check_affine
from vol3d.scans.volumes.gzipped import Stream
from vol3d.scans.volumes.nifti_qform import check_spacing, fields_of, read_qform
from vol3d.scans.volumes.units import MM, NIFTI_MM, unit_notes
from vol3d.scans.volumes.volume import Grid

MOST_EXTENSIONS = 1 << 26  # bytes between header and voxels that are read over
TOGETHER_MM = 0.1  # sform and qform that differ by less are one statement
SAME_SPACING = 0.01  # and so are spacings
LARGEST_CODE = 5  # of sform_code and qform_code


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
    if not path.name.lower().endswith(NIFTI):
        what, wanted = "no volume of a format that is read", "NIfTI, NRRD, MetaImage or DICOM"
        do = "Convert it; a TIFF or a PNG does not say where its voxels lie."
        wrong = DataError(what, where=path, got=path.suffix or "no suffix", wanted=wanted, do=do)
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
    units = int(header["xyzt_units"])
    stated = units & 7
    unit = NIFTI_MM.get(stated)
    if unit is None:
        raise DataError("unknown unit of length", where=path, got=f"xyzt_units {units}", wanted="mm")
    affine, notes = _affine(header, shape, path, unit)
    affine = np.diag([unit, unit, unit, 1.0]) @ affine
    notes += check_affine(affine, path)
    notes += unit_notes(unit if stated else None, shape, affine)
    codes = int(header["sform_code"]), int(header["qform_code"])
    return Grid(shape, affine, *codes, units if stated else units | MM, fields_of(header)), notes


def _affine(header: Any, shape: tuple[int, int, int], path: Path, unit: float) -> tuple[np.ndarray, list[Note]]:
    """The sform where its code is set, else the qform, else what nibabel assumes from the spacing alone.

    A form that is damaged beside a good one is a note.
    """
    notes = [*_code_notes(header)]
    forms = [form for form in (_sform, _qform) if int(header[f"{form.__name__[1:]}_code"]) > 0]
    found: list[tuple[np.ndarray, list[Note]]] = []
    faults: list[tuple[str, DataError]] = []
    for form in forms:
        try:
            found.append(form(header, path))
        except DataError as damage:
            faults.append((form.__name__[1:], damage))
    if not forms:
        check_spacing(header, path)
        text = "no position or orientation in the file (both codes 0): spacing alone was used, i leftwards"
        return header.get_base_affine(), [*notes, Note("orientation-assumed", text, assumed=True)]
    if not found:
        raise faults[0][1]

    affine, more = found[0]
    notes += more
    for name, fault in faults:
        text = f"the {name} is damaged ({{value}}); the {'q' if name == 'sform' else 's'}form was used"
        notes.append(Note(f"{name}-damaged", text, value=f"{fault.what}, {fault.got}"))
    if len(found) == 2:
        notes += _difference(affine, found[1][0], shape, unit)
    elif forms == [_sform]:
        notes += _other_spacing(header, affine)
    return affine, notes


def _sform(header: Any, path: Path) -> tuple[np.ndarray, list[Note]]:
    affine = np.array(header.get_sform(), np.float64)
    check_affine(affine, path)
    return affine, []


def _qform(header: Any, path: Path) -> tuple[np.ndarray, list[Note]]:
    affine, notes = read_qform(header, path)
    check_affine(affine, path)
    return affine, notes


def _code_notes(header: Any) -> Iterator[Note]:
    for form in ("sform", "qform"):
        if not 0 <= (code := int(header[f"{form}_code"])) <= LARGEST_CODE:
            text = f"{form}_code {{code:.0f}} is none of NIfTI's; it was taken as {'set' if code > 0 else 'not set'}"
            yield Note("form-code-unknown", text, value=form, numbers={"code": code})


def _difference(sform: np.ndarray, qform: np.ndarray, shape: tuple[int, int, int], unit: float) -> list[Note]:
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(shape) - 1)
    difference = sform - qform
    apart = unit * float(np.abs(corners @ difference[:3, :3].T + difference[:3, 3]).max())
    if apart <= TOGETHER_MM:
        return []
    text = "sform and qform place the scan up to {apart_mm:.2f} mm apart; the sform was used"
    return [Note("sform-and-qform-differ", text, numbers={"apart_mm": apart})]


def _other_spacing(header: Any, sform: np.ndarray) -> list[Note]:
    """Note pixdim that differs from an sform without a qform: some programs use it."""
    stated = header["pixdim"][1:4].astype(np.float64)
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    if (np.abs(stated - spacing) <= SAME_SPACING * spacing).all():
        return []
    text = "pixdim states the spacing {value}, the sform another; the sform was used"
    return [Note("sform-and-pixdim-differ", text, value=" x ".join(f"{length:g}" for length in stated))]
