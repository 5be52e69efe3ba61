"""The files of a DICOM folder or zip archive, read in place: nothing is ever unpacked to the disk."""

from __future__ import annotations

import io
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import BinaryIO, NoReturn

from vol3d.errors import DataError
from vol3d.scans.dicom.header import Header
from vol3d.scans.dicom.parse import LARGEST_RATIO, parse, too_large
from vol3d.scans.dicom.recent import Recent
from vol3d.scans.paths import DICOM, is_dicom, walk

Version = tuple[int, ...]
LARGEST = 4 << 30  # bytes of one file in an archive
SETTLED_S = 2.0  # seconds since the last change, after which times tell one content from another
_headers: Recent[Header | None] = Recent(16 << 20)
"""So many bytes of files, a few thousand slices: finding, hashing and reading a scan all ask for its headers."""
_COPY = "Copy it again."


@dataclass(frozen=True)
class Entry:
    """One file.

    Args:
        name: its path as a message should show it.
        size: bytes, unpacked.
        open: gives its bytes, from the start, each time.
        version: what changes when the file does; None if that cannot be told.
    """

    name: str
    size: int
    open: Callable[[], BinaryIO]
    version: Version | None = None

    def header(self, pixels: bool = False) -> Header | None:
        """Its attributes, with the pixels if asked for; None if it is not DICOM. Raises DataError if it is damaged.

        Those without pixels are shared by all who ask for them, and must not be changed.
        """
        if pixels or self.version is None:
            return self._parsed(pixels)[0]
        return _headers.get((self.name, *self.version), partial(self._parsed, pixels=False))

    def _parsed(self, pixels: bool) -> tuple[Header | None, int]:
        """The header, and about how many bytes of the file it took."""
        with self._opened() as file:
            return parse(file, self.name, pixels), file.tell()

    def content(self) -> bytes:
        """All its bytes. Raises DataError if they cannot be read."""
        with self._opened() as file:
            return file.read()

    @property
    def suffix(self) -> str:
        """The last suffix in lower case; empty for a number, as in `IM.12` and in a UID."""
        suffix = PurePath(self.name).suffix.lower()
        return "" if suffix[1:].isdigit() else suffix

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            file = self.open()
        except (zipfile.BadZipFile, zlib.error, EOFError) as fault:
            raise DataError("a damaged zip archive", where=self.name, got=str(fault), do=_COPY) from fault
        except (OSError, RuntimeError, NotImplementedError) as fault:  # no permission, a broken link, a strange packing
            reason = getattr(fault, "strerror", None) or fault
            raise DataError(f"cannot read the file ({reason})", where=self.name) from fault
        with file:
            yield file


@contextmanager
def entries(path: Path) -> Iterator[list[Entry]]:
    """The files of a folder (and below), an archive, or the one file itself, without hidden ones and `._*` copies.

    What pydicom warns of is not printed meanwhile: it repeats damaged values as they are, control characters too.

    Raises:
        DataError: a folder that cannot be listed; a damaged, encrypted or hostile archive; no regular file.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        yield _entries(path, stack)


def _entries(path: Path, stack: ExitStack) -> list[Entry]:
    if path.is_dir():
        return [_entry(file) for _, files in walk(path, _unlisted) for file in files if _is_file(file)]
    if not path.is_file():
        raise DataError("no such file, or not a regular one", where=path)
    if zipfile.is_zipfile(path) and not is_dicom(path):
        try:
            return _members(path, stack.enter_context(zipfile.ZipFile(path)))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as fault:
            raise DataError("a damaged zip archive", where=path, got=str(fault), do=_COPY) from fault
    if path.suffix.lower() == ".zip":
        raise DataError("not a zip archive", where=path, do="It is damaged or not what its name says; copy it again.")
    return [_entry(path)]


def must_be_dicom(name: str) -> bool:
    """True for a name that claims to be DICOM."""
    return name.lower().endswith(DICOM)


def _is_file(path: Path) -> bool:
    """False for a named pipe, a socket, a device. A link to nothing may have been a slice, and is an error later."""
    return path.is_file() or path.is_symlink()


def _unlisted(fault: OSError) -> NoReturn:
    raise DataError(f"cannot list the folder ({fault.strerror})", where=fault.filename) from fault


def _entry(path: Path) -> Entry:
    status = path.stat() if path.exists() else None
    return Entry(str(path), status.st_size if status else 0, lambda: path.open("rb"), _version(status))


def _version(status: os.stat_result | None) -> Version | None:
    """None for a file that was changed just now: one that is changed again at once may have the same times."""
    if status is None or time.time() - max(status.st_mtime, status.st_ctime) < SETTLED_S:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _members(path: Path, archive: zipfile.ZipFile) -> list[Entry]:
    result, unpacked, packed, version = [], 0, 0, _version(path.stat())
    for info in archive.infolist():
        parts = info.filename.split("/")
        if info.is_dir() or any(part.startswith(".") for part in parts if part not in (".", "..")):
            continue
        if "__MACOSX" in parts:
            continue
        if info.flag_bits & 1:
            raise DataError("the archive is encrypted", where=path, do="Unpack it and give the folder.")
        unpacked, packed = unpacked + info.file_size, packed + info.compress_size
        if info.file_size > LARGEST or too_large(info.file_size, info.compress_size) or too_large(unpacked, packed):
            raise DataError(
                "the archive unpacks to too much", where=f"{path}: {info.filename}",
                got=f"{info.file_size} bytes of {info.compress_size}, {unpacked} so far",
                wanted=f"at most {LARGEST} bytes in a file and {LARGEST_RATIO} for each packed one",
                do="Unpack it and give the folder.",
            )  # fmt: skip
        result.append(Entry(f"{path}: {info.filename}", info.file_size, _member(archive, info), version))
    return result


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    # `read` stops at the size that the archive's directory states and compares the CRC.
    return lambda: io.BytesIO(archive.read(info))
