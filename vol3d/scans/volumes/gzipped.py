"""A gzip or plain file read in order, every byte of it checked: CRC, length, nothing beyond what was announced."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from vol3d.errors import DataError

MOST_PER_BYTE = 1032  # deflate cannot expand one byte to more (zlib's technical notes)
TRAILING = 4096  # padding that some writers leave after the voxels


@contextmanager
def open_checked(path: Path) -> Iterator[Stream]:
    """Open `path`, gzip or not by its first two bytes; faults of the stream become DataError with the path.

    Raises:
        DataError: the file is empty, cut or has a wrong checksum, or is missing.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise DataError("the file is empty", where=path, do="Copy or download it again.")
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not packed:
                yield Stream(plain, path, size)
            else:
                with gzip.GzipFile(fileobj=plain) as unpacked:
                    yield Stream(cast(BufferedIOBase, unpacked), path, size * MOST_PER_BYTE)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(
            "the compressed file is damaged or cut", where=path, got=str(fault), do="Copy or download it again."
        ) from fault
    except OSError as fault:
        raise DataError("cannot read the file", where=path, got=fault.strerror or str(fault)) from fault


class Stream:
    """Bytes in order.

    Args:
        file: where they come from.
        path: for messages.
        most: the number of bytes that there can be at most.
    """

    def __init__(self, file: BufferedIOBase, path: Path, most: int) -> None:
        self._file, self._path, self.most = file, path, most

    def take(self, count: int) -> bytearray:
        """Exactly `count` bytes. Raises DataError if the file ends before."""
        if count > self.most:
            raise DataError("the file is cut", where=self._path, got=f"at most {self.most} bytes", wanted=count)
        block = bytearray(count)
        view, have = memoryview(block), 0
        while have < count:
            step = self._file.readinto(view[have:])
            if not step:
                raise DataError(
                    "the file is cut",
                    where=self._path,
                    got=f"{have} of the next {count} bytes",
                    do="Copy or download it again.",
                )
            have += step
        return block

    def finish(self) -> None:
        """Read to the end, which is what makes gzip compare CRC and length. Raises DataError if much is left."""
        left = 0
        while block := self._file.read(1 << 16):
            left += len(block)
            if left > TRAILING:
                raise DataError(
                    "the file goes on after the voxels that its header describes",
                    where=self._path,
                    do="The header is damaged or the file is not what its name says.",
                )
