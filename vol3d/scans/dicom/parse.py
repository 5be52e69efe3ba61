"""The bytes of one file to its header: with or without the preamble of PS3.10, and deflated ones in bounded steps."""

from __future__ import annotations

import io
import re
import zlib
from typing import Any, BinaryIO

from vol3d.errors import DataError
from vol3d.scans.dicom.header import Header
from vol3d.scans.paths import begins_as_dicom

LARGEST_RATIO = 100  # of unpacked to packed bytes; slices have 2 to 20
ALWAYS_FINE = 1 << 28  # bytes that may come of a file of any size
_STEP = 1 << 18
_META, _PIXELS = 2, (0x7FE00008, 0x7FE00009, 0x7FE00010)


def parse(file: BinaryIO, name: str, pixels: bool) -> Header | None:
    """The header, with pixels if asked for; None for what does not begin as DICOM does.

    Raises:
        DataError: it is damaged, or unpacks to far too much.
    """
    from pydicom import dcmread

    if not begins_as_dicom(file.read(144)):
        return None
    try:
        file.seek(0)
        packed = _deflated(file)
        if packed is None:
            file.seek(0)
            dataset: Any = dcmread(file, stop_before_pixels=not pixels, force=True)
        else:
            dataset = _plain(_inflate(packed, name), pixels)
        _complete(dataset)
    except DataError:
        raise
    except Exception as fault:  # pydicom lets many kinds through from a damaged header
        raise DataError("a damaged DICOM file", where=name, got=_short(fault), do="Copy it again.") from fault
    return Header(name, dataset)


def too_large(unpacked: int, packed: int) -> bool:
    """True where so many bytes from so few are no scan."""
    return unpacked > max(ALWAYS_FINE, LARGEST_RATIO * packed)


def _deflated(file: BinaryIO) -> bytes | None:
    """What follows the meta information if it is deflated."""
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    file.seek(128)
    if file.read(4) != b"DICM":
        return None
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != _META)
    return file.read() if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian else None


def _inflate(packed: bytes, name: str) -> bytes:
    unpacker, parts, total = zlib.decompressobj(-zlib.MAX_WBITS), [], 0
    for start in range(0, len(packed), _STEP):
        rest = packed[start : start + _STEP]
        while rest and not unpacker.eof:
            parts.append(unpacker.decompress(rest, _STEP))
            total, rest = total + len(parts[-1]), unpacker.unconsumed_tail
            if too_large(total, len(packed)):
                raise DataError("the file unpacks to too much", where=name, got=f"over {total} bytes of {len(packed)}")
    return b"".join(parts)


def _plain(content: bytes, pixels: bool) -> Any:
    """The data set of what was deflated."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    stop = None if pixels else lambda tag, vr, length: tag in _PIXELS
    dataset = read_dataset(io.BytesIO(content), False, True, stop_when=stop)
    dataset.set_original_encoding(False, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return dataset


def _complete(dataset: Any) -> None:
    """Without meta information the transfer syntax is the one that pydicom has recognised."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _short(fault: Exception) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(fault))[:200]
