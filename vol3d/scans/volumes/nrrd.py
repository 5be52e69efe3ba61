"""Headers of NRRD files: `.nrrd` with the voxels behind it, `.nhdr` with the voxels in other files.

By the format's definition (teem.sourceforge.net/nrrd/format.html), versions 1 to 5, strictly: a field that the
definition lacks, or that is given twice, is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.volumes.coded import Coding, Start
from vol3d.scans.volumes.nrrd_place import channel_axis_of, lps_affine
from vol3d.scans.volumes.parts import check_count, numbered, part_beside
from vol3d.scans.volumes.stored import Stored, check_several, check_sizes, place
from vol3d.scans.volumes.text_header import LONGEST, Fields, decoded, shortened

MAX_AXES = 16
FIELDS = {
    *("dimension", "type", "blocksize", "encoding", "endian", "content", "min", "max", "oldmin", "oldmax", "datafile"),
    *("lineskip", "byteskip", "number", "sampleunits", "sizes", "spacings", "thicknesses", "axismins", "axismaxs"),
    *("centers", "labels", "units", "kinds"),
    *("space", "spacedimension", "spaceunits", "spaceorigin", "spacedirections", "measurementframe"),
}
_C_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TYPES = {name: kind for kind, names in _C_TYPES.items() for name in names}
CODINGS: Mapping[str, Coding] = {
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
    **{"raw": "raw", "hex": "hex", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2"},
}  # type: ignore[dict-item]


def read_nrrd_header(path: Path) -> Stored:
    """Read and check the header, without reading a voxel.

    Raises:
        DataError: not NRRD; a field is missing, unknown, given twice or impossible; a file of voxels is missing or lies
            outside of the header's folder.
    """
    fields, keys, end, behind = _parse(path)
    axes = fields.whole("dimension")
    if not 1 <= axes <= MAX_AXES:
        raise fields.wrong("dimension", f"1 to {MAX_AXES}")
    sizes = fields.wholes("sizes", axes)
    check_sizes(sizes, path)
    channel_axis = channel_axis_of(fields, axes)
    coding = _coding(fields)
    dtype = _dtype(fields, coding)
    names = _names(fields, sizes, behind)
    parts = tuple(part_beside(path, name) for name in names) or (path,)
    check_several(path, parts, coding)

    affine, unit_mm, assumptions = lps_affine(fields, sizes, channel_axis)
    shape = tuple(size for axis, size in enumerate(sizes) if axis != channel_axis)
    grid, notes = place(path, shape, affine, unit_mm, assumptions)
    start = _start(fields, coding, 0 if names else end)
    return Stored(path, sizes, channel_axis, dtype, parts, coding, start, grid, notes, keys)


def _parse(path: Path) -> tuple[Fields, dict[str, str], int, list[str]]:
    """The fields, the keys of the file's own, where both end in the file, and the lines of a list of files."""
    with path.open("rb") as file:
        head = file.read(LONGEST)
    lines = head.splitlines(keepends=True)
    if not re.fullmatch(rb"NRRD000[1-5]\s*", lines[0] if lines else b""):
        got, wanted = shortened(decoded(head[:8])), "NRRD0001 to NRRD0005"
        raise DataError("not an NRRD file of a known version", where=path, got=got, wanted=wanted)
    fields, keys = Fields(path), Fields(path)
    end = 1
    while end < len(lines) and (line := decoded(lines[end]).rstrip("\r\n")):
        end += 1
        if not line.startswith("#"):
            _add(line, fields, keys)
        if fields.text("datafile", "").split()[:1] == ["LIST"]:
            behind = [decoded(name).strip() for name in lines[end:] if name.strip()]
            return fields, keys.values(), 0, behind
    if end == len(lines) and "datafile" not in fields:
        raise DataError("the header has no end", where=path, wanted="an empty line before the voxels")
    return fields, keys.values(), sum(map(len, lines[: end + 1])), []


def _add(line: str, fields: Fields, keys: Fields) -> None:
    if found := re.fullmatch(r"([^:]+?):=(.*)", line):
        keys.add(found[1], re.sub(r"\\(n|\\)", lambda mark: "\n" if mark[1] == "n" else "\\", found[2]))
        return
    name, mark, value = line.partition(": ") if ": " in line else line.partition(":")
    name = name.lower().replace(" ", "").replace("centerings", "centers")
    if not mark or name not in FIELDS:
        got = shortened(line)
        raise DataError("not a line of an NRRD header", where=fields.path, got=got, wanted="FIELD: VALUE of the format")
    fields.add(name, value.strip())


def _coding(fields: Fields) -> Coding:
    encoding = fields.text("encoding").lower()
    if encoding not in CODINGS:
        raise fields.wrong("encoding", "raw, gzip, bzip2, text or hex")
    return CODINGS[encoding]


def _dtype(fields: Fields, coding: Coding) -> np.dtype:
    kind = " ".join(fields.text("type").lower().split())
    if kind not in TYPES:
        raise DataError("the voxels are not plain numbers", where=fields.path, got=shortened(kind))
    dtype = np.dtype(TYPES[kind])
    if dtype.itemsize == 1 or coding == "text":
        return dtype.newbyteorder("<")
    endian = fields.text("endian").lower()
    if endian not in ("little", "big"):
        raise fields.wrong("endian", "little or big")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _start(fields: Fields, coding: Coding, end: int) -> Start:
    lines, skip = fields.whole("lineskip", "0"), fields.whole("byteskip", "0")
    if lines < 0:
        raise fields.wrong("lineskip", "0 or more")
    if skip < -1 or (skip == -1 and coding != "raw"):
        raise fields.wrong("byteskip", "-1 (raw voxels only), 0 or more")
    return Start(end, lines, skip)


def _names(fields: Fields, sizes: tuple[int, ...], behind: list[str]) -> list[str]:
    """The files of the voxels; none if they follow the header."""
    if "datafile" not in fields:
        return []
    value = fields.text("datafile")
    words = value.split()
    listed = words[:1] == ["LIST"]
    if not listed and "%" not in value:
        return [value]
    inside = words[1:] if listed else words[4:]
    if len(inside) > 1 or not all(word in map(str, range(1, len(sizes) + 1)) for word in inside):
        raise fields.wrong("datafile", "at the end the number of axes in a file")
    wanted = math.prod(sizes[int(inside[0]) :] if inside else sizes[-1:])
    if not listed:
        return numbered(fields.path, words[:4], wanted)
    check_count(fields.path, len(behind), wanted)
    return behind
