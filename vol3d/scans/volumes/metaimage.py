"""Headers of MetaImage files: `.mha` with the voxels behind it, `.mhd` with the voxels in other files.

Read as MetaIO reads them, but strictly: MetaIO loads damaged headers in silence, and some bring it down. The world is
left-posterior-superior. Fields that concern neither the place nor the storage of the voxels are not read.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.volumes.coded import Coding, Start
from vol3d.scans.volumes.metaimage_place import lps_affine
from vol3d.scans.volumes.parts import check_count, numbered, part_beside
from vol3d.scans.volumes.stored import Stored, assumed, check_several, check_sizes, place
from vol3d.scans.volumes.text_header import LONGEST, Fields, decoded, shortened

ALIASES = {
    **dict.fromkeys(("rotation", "orientation"), "transformmatrix"),
    **dict.fromkeys(("position", "origin"), "offset"),
    "elementbyteordermsb": "binarydatabyteordermsb",
}
READ = {
    *("objecttype", "ndims", "dimsize", "elementtype", "elementnumberofchannels", "elementdatafile", "headersize"),
    *("binarydata", "compresseddata", "binarydatabyteordermsb", "transformmatrix", "offset", "centerofrotation"),
    *("anatomicalorientation", "elementspacing", "elementsize", "distanceunits"),
    *("elementtointensityfunctionslope", "elementtointensityfunctionoffset"),
}
TYPES = {
    **{"met_char": "i1", "met_uchar": "u1", "met_short": "i2", "met_ushort": "u2", "met_int": "i4", "met_uint": "u4"},
    **{"met_long": "i4", "met_ulong": "u4", "met_long_long": "i8", "met_ulong_long": "u8"},
    **{"met_float": "f4", "met_double": "f8"},
}


def read_metaimage_header(path: Path) -> Stored:
    """Read and check the header, without reading a voxel.

    Raises:
        DataError: not MetaImage; a field is missing, given twice or impossible; a file of voxels is missing or lies
            outside of the header's folder.
    """
    fields, end, behind = _parse(path)
    sizes, channel_axis = _sizes(fields)
    dtype, byte_order = _dtype(fields)
    coding = _coding(fields)
    names = _names(fields, fields.wholes("dimsize", fields.whole("ndims")), behind)
    parts = tuple(part_beside(path, name) for name in names) or (path,)
    start = _start(fields, coding, 0 if names else end)
    check_several(path, parts, coding)

    affine, unit_mm, more = lps_affine(fields)
    shape = sizes[1:] if channel_axis == 0 else sizes[:3]
    grid, notes = place(path, shape, affine, unit_mm, [*more, *byte_order])
    return Stored(path, sizes, channel_axis, dtype, parts, coding, start, grid, notes)


def _parse(path: Path) -> tuple[Fields, int, list[str]]:
    """The fields, where they end in the file, and the lines of a list of files after them."""
    with path.open("rb") as file:
        head = file.read(LONGEST)
    fields, position = Fields(path), 0
    while position < len(head):
        end = head.find(b"\n", position) + 1 or len(head)
        line = decoded(head[position:end]).strip()
        position = end
        if not line:
            continue
        key, mark, value = (part.strip() for part in line.partition("="))
        if not mark:
            raise DataError("not a MetaImage header", where=path, got=shortened(line), wanted="lines of KEY = VALUE")
        name = ALIASES.get(key.lower(), key.lower())
        if name in READ:
            fields.add(name, value)
        if name == "elementdatafile" and value.upper().split()[:1] in (["LOCAL"], ["LIST"]):
            break
    behind = [decoded(line).strip() for line in head[position:].splitlines() if line.strip()]
    return fields, position, behind


def _sizes(fields: Fields) -> tuple[tuple[int, ...], int | None]:
    """Stored axes, the fastest first, and which of them counts channels."""
    kind = fields.text("objecttype", "Image")
    if kind.lower() != "image":
        raise fields.wrong("objecttype", "Image")
    axes = fields.whole("ndims")
    if axes not in (3, 4):
        raise DataError(f"the image has {axes} axes", where=fields.path, wanted="3, or 4 with the channels last")
    sizes = fields.wholes("dimsize", axes)
    channels = fields.whole("elementnumberofchannels", "1")
    if channels != 1 and axes == 4:
        raise DataError("vectors on four axes", where=fields.path, got=channels, wanted="channels in one of both")
    check_sizes((channels, *sizes) if axes == 3 else sizes, fields.path)
    if channels > 1:
        return (channels, *sizes), 0
    return sizes, 3 if axes == 4 else None


def _flag(fields: Fields, name: str, default: str) -> bool:
    word = fields.text(name, default).lower()
    if word not in ("true", "false", "1", "0"):
        raise fields.wrong(name, "True or False")
    return word in ("true", "1")


def _dtype(fields: Fields) -> tuple[np.dtype, list[Note]]:
    kind = fields.text("elementtype").lower().removesuffix("_array")
    if kind not in TYPES:
        raise DataError("the voxels are not plain numbers", where=fields.path, got=fields.text("elementtype")[:60])
    scaling = {"elementtointensityfunctionslope": (1.0,), "elementtointensityfunctionoffset": (0.0,)}
    for name, nothing in scaling.items():
        if name in fields and fields.reals(name, 1) != nothing:
            do = "Programs differ in whether they apply it; export the image with its final values."
            raise DataError("a scaling of the values", where=fields.path, got=f"{name} {fields.text(name)}", do=do)

    dtype = np.dtype(TYPES[kind])
    written = not _flag(fields, "binarydata", "true")
    if dtype.itemsize == 1 or written or "binarydatabyteordermsb" in fields:
        big = _flag(fields, "binarydatabyteordermsb", "false") and not written
        return dtype.newbyteorder(">" if big else "<"), []
    return dtype.newbyteorder("<"), [assumed("byte order", "little-endian")]


def _coding(fields: Fields) -> Coding:
    packed, binary = _flag(fields, "compresseddata", "false"), _flag(fields, "binarydata", "true")
    if packed and not binary:
        raise DataError("voxels that are packed and written out", where=fields.path, wanted="one of both")
    return "zlib" if packed else "raw" if binary else "text"


def _start(fields: Fields, coding: Coding, end: int) -> Start:
    skipped = fields.whole("headersize", "0")
    if skipped == -1 and coding == "raw":
        return Start(end, skip=-1)
    if skipped < 0 or 0 < skipped < end:
        raise fields.wrong("headersize", "-1 (raw voxels only), 0 or the number of bytes before the voxels")
    return Start(skipped or end)


def _names(fields: Fields, sizes: tuple[int, ...], behind: list[str]) -> list[str]:
    """The files of the voxels; none if they follow the header."""
    value = fields.text("elementdatafile")
    words = value.split()
    if not words:
        raise fields.wrong("elementdatafile", "LOCAL, LIST or a file's name")
    if words[0].upper() == "LOCAL":
        return []
    if words[0].upper() == "LIST":
        if len(words) > 2 or (len(words) == 2 and words[1] not in map(str, range(1, len(sizes)))):
            raise fields.wrong("elementdatafile", "LIST and the number of axes in a file")
        inside = int(words[1]) if len(words) == 2 else len(sizes) - 1
        check_count(fields.path, len(behind), math.prod(sizes[inside:]))
        return behind
    return numbered(fields.path, words, sizes[-1]) if "%" in value else [value]
