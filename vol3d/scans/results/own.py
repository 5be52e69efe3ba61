"""Whether vol3d wrote a file: by the mark that its writers leave in each format that can hold one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from vol3d.errors import DataError, UsageError
from vol3d.files import read_json
from vol3d.scans.paths import NIFTI
from vol3d.scans.points.find import BOX_LINES_MARK
from vol3d.scans.results.read import READABLE
from vol3d.scans.results.record import KEY, read_record, record_path

MASK_MARK = "vol3d segmentation"
"""`descrip` of the header of a mask."""
MAP_MARK = "vol3d map"
"""`descrip` of what lies beside a mask with numbers for its voxels: probabilities, entropy."""
MANUFACTURER = "vol3d"
"""Of a DICOM segmentation."""
_JSON_STARTS = tuple(f'{{\n  "format": {n},\n  "{key}": '.encode() for n in READABLE for key in ("frame", "result"))
_RESULT_KEYS = {"format", "box", "file_from_scan", "objects"}  # an earlier release wrote no record
_HEAD = 1024


def is_own(path: Path) -> bool:
    """Whether vol3d wrote this file, whole or cut since; False for formats that cannot hold a mark."""
    name = path.name.lower()
    if not path.is_file():
        return False
    try:
        if name.endswith(".json"):
            return _is_own_json(path)
        if name.endswith(NIFTI):
            return is_own_mask(path) or is_own_map(path)
        if name.endswith(".ply"):
            return BOX_LINES_MARK in _head(path)
        return name.endswith(".dcm") and _manufacturer(path) == MANUFACTURER
    except OSError:
        return False


def refuse_foreign(files: Sequence[Path]) -> None:
    """Raises UsageError if one of the files of a result is there and vol3d did not write it.

    It did if the file has its mark or is in the record of the first file, the main one. An empty file is nobody's.
    """
    record, _ = read_record(files[0])
    known = {} if record is None else record.files
    for path in dict.fromkeys((*files, record_path(files[0]))):
        if path.exists() and not _is_empty(path) and path.name not in known and not is_own(path):
            do = "Choose another output folder, or move that file."
            raise UsageError("the result would replace a file that vol3d did not write", where=path, do=do)


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def is_own_mask(path: Path) -> bool:
    """Whether the header of a NIfTI file says that vol3d wrote it as a mask; reads the first kilobyte."""
    return MASK_MARK in _nifti_head(path)


def is_own_map(path: Path) -> bool:
    """Whether it says that vol3d wrote it beside a mask, as numbers rather than labels."""
    return MAP_MARK in _nifti_head(path)


def _nifti_head(path: Path) -> str:
    head = _head(path)
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, _HEAD)
        except zlib.error:
            return ""
    return head.decode("latin-1")


def _is_own_json(path: Path) -> bool:
    try:
        value = read_json(path)
    except DataError:
        return _head(path).startswith(_JSON_STARTS)  # cut, or on a bad disk
    if not isinstance(value, dict) or value.get("format") not in READABLE:
        return False
    return set(value) >= _RESULT_KEYS or (isinstance(value.get(KEY), dict) and "files" in value[KEY])


def _manufacturer(path: Path) -> str:
    from pydicom import dcmread

    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["Manufacturer"]).get("Manufacturer"))
    except Exception:  # pydicom lets many kinds through from a damaged header
        return ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
