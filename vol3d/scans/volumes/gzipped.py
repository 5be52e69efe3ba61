"""A gzip or plain file read in order, every byte of it checked: CRC, length, nothing beyond what was announced."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, RawIOBase
from pathlib import Path
from typing import cast

from vol3d.errors import DataError
from vol3d.scans.paths import file_size

MOST_PER_BYTE = 1032  # deflate cannot expand one byte to more (zlib's technical notes)


@contextmanager
def open_checked(path: Path) -> Iterator[Stream]:
    """Open `path`, gzip or not by its first two bytes; faults of the stream become DataError with the path.

    Raises:
        DataError: the file is empty, cut, no regular file or missing, or has a wrong checksum.
    """
    size = file_size(path)
    with named_faults(path), path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not packed:
            yield Stream(plain, path, size)
        else:
            with gzip.GzipFile(fileobj=plain) as unpacked:
                yield Stream(cast(BufferedIOBase, unpacked), path, size * MOST_PER_BYTE)


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """What decompression and the operating system raise, as DataError with the path."""
    try:
        yield
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

    def __init__(self, file: BufferedIOBase | RawIOBase, path: Path, most: int) -> None:
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

    def pass_over(self, count: int) -> None:
        """Read `count` bytes for nothing. Raises DataError if the file ends before."""
        for done in range(0, count, 1 << 20):
            self.take(min(1 << 20, count - done))

    def finish(self, spare: int = 0) -> None:
        """Read to the end, which is what makes gzip compare CRC and length.

        Args:
            spare: how many bytes may be left, as padding.

        Raises:
            DataError: more is left.
        """
        left = 0
        while block := self._file.read(1 << 16):
            left += len(block)
            if left > spare:
                raise DataError(
                    "the file goes on after the voxels that its header describes",
                    where=self._path,
                    do="The header is damaged or the file is not what its name says.",
                )
