"""The files of a DICOM folder or zip archive, read in place: nothing is ever unpacked to the disk."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vol3d.errors import DataError
from vol3d.scans.paths import DICOM, is_dicom

LARGEST = 4 << 30  # bytes of one file in an archive


@dataclass(frozen=True)
class Entry:
    """One file.

    Args:
        name: its path as a message should show it.
        open: gives its bytes, from the start, each time.
    """

    name: str
    open: Callable[[], BinaryIO]

    def dataset(self, pixels: bool) -> Any:
        """The DICOM data set. Raises InvalidDicomError if it is none, DataError if it is damaged."""
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError

        try:
            with self.open() as file:
                return dcmread(file, stop_before_pixels=not pixels)
        except (InvalidDicomError, DataError):
            raise
        except Exception as fault:  # pydicom lets many kinds through from a damaged header
            raise DataError("a damaged DICOM file", where=self.name, got=str(fault), do="Copy it again.") from fault


@contextmanager
def entries(path: Path) -> Iterator[list[Entry]]:
    """The files of a folder (and below), an archive, or the one file itself, without hidden ones and `._*` copies.

    Raises:
        DataError: a damaged, encrypted or hostile archive.
    """
    if path.is_dir():
        yield [Entry(str(file), _opener(file)) for file in _walk(path)]
    elif zipfile.is_zipfile(path) and not is_dicom(path):
        try:
            with zipfile.ZipFile(path) as archive:
                yield _members(path, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError) as fault:
            raise DataError("a damaged zip archive", where=path, got=str(fault), do="Copy it again.") from fault
    elif path.suffix.lower() == ".zip":
        raise DataError("not a zip archive", where=path, do="It is damaged or not what its name says; copy it again.")
    else:
        yield [Entry(str(path), _opener(path))]


def must_be_dicom(name: str) -> bool:
    """True for a name that claims to be DICOM."""
    return name.lower().endswith(DICOM)


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(here, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _members(path: Path, archive: zipfile.ZipFile) -> list[Entry]:
    result = []
    for info in archive.infolist():
        parts = info.filename.split("/")
        if info.is_dir() or any(part.startswith(".") for part in parts if part not in (".", "..")):
            continue
        if "__MACOSX" in parts:
            continue
        if info.flag_bits & 1:
            raise DataError("the archive is encrypted", where=path, do="Unpack it and give the folder.")
        if info.file_size > LARGEST:
            raise DataError(
                "a file in the archive is too large", where=f"{path}: {info.filename}", got=f"{info.file_size} bytes",
                wanted=f"at most {LARGEST}",
            )  # fmt: skip
        result.append(Entry(f"{path}: {info.filename}", _member(archive, info)))
    return result


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    # `read` stops at the size that the archive's directory states and compares the CRC.
    return lambda: io.BytesIO(archive.read(info))
