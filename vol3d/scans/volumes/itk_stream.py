"""The voxels of an NRRD or MetaImage file, verified byte by byte before ITK reads them.

ITK loads, without an error, an NRRD without its last bytes and a MetaImage whose checksum is wrong. Only what these
formats share is looked at here: where the voxels start and whether they are compressed.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from vol3d.errors import DataError

LONGEST_HEADER = 1 << 20
STEP = 1 << 20


def check_stream(path: Path, need: int) -> None:
    """Refuse a file that does not hold `need` bytes of voxels behind a right checksum.

    Voxels as text, behind skipped lines or bytes, in bzip2 or spread over several files are left to ITK.

    Raises:
        DataError: cut, a wrong checksum, more or fewer bytes than the header states, or no file of voxels.
    """
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    found = _nrrd(head) if head.startswith(b"NRRD") else _metaimage(head)
    if found is None:
        return
    name, offset, packed = found
    voxels = path if not name else path.parent / name
    if not voxels.is_file():
        raise DataError("the file of voxels is missing", where=path, wanted=name)
    have = _unpacked(voxels, offset, need) if packed else voxels.stat().st_size - offset
    if have < need or (packed and have > need):
        raise DataError("damaged or cut", where=voxels, got=f"{have} bytes of voxels", wanted=need, do="Copy it again.")


def _unpacked(path: Path, offset: int, need: int) -> int:
    """Number of bytes that the gzip or zlib stream holds. Raises DataError for a cut or wrong one."""
    have, stream = 0, zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib by its header
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while not stream.eof and have <= need:
                packed = stream.unconsumed_tail or file.read(STEP)
                if not packed:
                    raise DataError("the compressed voxels are cut", where=path, do="Copy it again.")
                have += len(stream.decompress(packed, STEP))
    except zlib.error as fault:
        raise DataError("the compressed voxels are damaged", where=path, got=str(fault), do="Copy it again.") from fault
    return have


def _nrrd(head: bytes) -> tuple[str, int, bool] | None:
    """(file beside it or "", offset, compressed), or None where this cannot be decided here."""
    end, mark = min(
        ((head.find(mark), mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in head), default=(len(head), b"")
    )
    fields = dict(_field(line, ":") for line in head[:end].decode("latin-1").splitlines()[1:])
    name = fields.get("data file", fields.get("datafile", ""))
    packed = fields.get("encoding", "raw").lower() in ("gzip", "gz")
    skipped = {fields.get(f"{what}{space}skip", "0") for what in ("line", "byte") for space in (" ", "")} - {"0"}
    if (
        skipped
        or (not packed and fields.get("encoding", "raw").lower() != "raw")
        or name.startswith("LIST")
        or "%" in name
    ):
        return None
    return name, 0 if name else end + len(mark), packed


def _metaimage(head: bytes) -> tuple[str, int, bool] | None:
    fields: dict[str, str] = {}
    offset = 0
    for line in head.splitlines(keepends=True):
        offset += len(line)
        key, value = _field(line.decode("latin-1"), "=")
        fields[key] = value
        if key == "elementdatafile":
            break
    name = fields.get("elementdatafile", "")
    special = fields.get("headersize", "0") != "0" or fields.get("binarydata", "true").lower() != "true"
    if not name or special or name.startswith("LIST") or "%" in name:
        return None
    packed = fields.get("compresseddata", "false").lower() == "true"
    return ("", offset, packed) if name.upper() == "LOCAL" else (name, 0, packed)


def _field(line: str, mark: str) -> tuple[str, str]:
    key, _, value = line.partition(mark)
    return key.strip().lower(), value.strip()
