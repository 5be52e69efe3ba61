"""The voxels of a file as bytes in order, whatever they are encoded as; nothing is believed that is not there."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.paths import file_size
from vol3d.scans.volumes.gzipped import MOST_PER_BYTE, Stream, named_faults
from vol3d.scans.volumes.voxels import check_bytes

Coding = Literal["raw", "zlib", "gzip", "bzip2", "text", "hex"]
STEP = 1 << 16
WORD_BYTES = 100  # of memory for a number that is written out, while it is read


@dataclass(frozen=True)
class Start:
    """What comes before the voxels of a file.

    Args:
        offset: bytes of the file itself.
        lines: lines of text after those.
        skip: bytes after both, unpacked ones where the voxels are packed; -1 if raw voxels end with the file.
    """

    offset: int = 0
    lines: int = 0
    skip: int = 0


@contextmanager
def open_coded(parts: Sequence[Path], coding: Coding, dtype: np.dtype, count: int, start: Start) -> Iterator[Stream]:
    """The bytes of `count` numbers.

    Args:
        parts: the files, of equal size; several only if they are raw.
        coding: of the files; "zlib" is also gzip, by its first bytes.

    Raises:
        DataError: a file is missing, cut, damaged, or of another size than the voxels.
    """
    size = count * dtype.itemsize
    first = parts[0]
    with ExitStack() as stack:
        stack.enter_context(named_faults(first))
        if coding == "raw":
            files = [_opened_raw(stack, part, size // len(parts), start) for part in parts]
            yield Stream(_Chain(files), first, size)
            return

        length = file_size(first)
        file = stack.enter_context(first.open("rb"))
        _go_to(file, start, first)
        if coding in ("text", "hex"):
            file.seek(start.skip, io.SEEK_CUR)
            check_bytes(length * (WORD_BYTES if coding == "text" else 4), first)
            content = _numbers(file.read(), dtype, count, first) if coding == "text" else _hex(file.read(), first)
            yield Stream(io.BytesIO(content), first, len(content))
            return

        most = size + start.skip if coding == "bzip2" else length * MOST_PER_BYTE  # bzip2 has no bound
        stream = Stream(_unpacked(stack, file, coding), first, most)
        stream.pass_over(start.skip)
        yield stream


def _opened_raw(stack: ExitStack, part: Path, size: int, start: Start) -> io.BufferedReader:
    """A raw file at its first voxel, once its length is right."""
    length = file_size(part)
    file = stack.enter_context(part.open("rb"))
    _go_to(file, start, part)
    first = length - size if start.skip == -1 else file.tell() + start.skip
    if first < file.tell() or first + size != length:
        raise DataError(
            "the file is cut, or its header describes other voxels",
            where=part,
            got=f"{max(0, length - max(first, 0))} bytes of voxels",
            wanted=f"{size} bytes",
            do="Copy it again, or correct sizes and type in the header.",
        )
    file.seek(first)
    return file


def _go_to(file: io.BufferedReader, start: Start, path: Path) -> None:
    file.seek(start.offset)
    for _ in range(start.lines):
        if not file.readline():
            raise DataError("the file ends within the lines to skip", where=path, wanted=f"{start.lines} lines")


def _unpacked(stack: ExitStack, file: io.BufferedReader, coding: Coding) -> io.BufferedIOBase | io.RawIOBase:
    packed = file.peek(2)[:2] == b"\x1f\x8b"
    if coding == "gzip" or (coding == "zlib" and packed):
        return cast(io.BufferedIOBase, stack.enter_context(gzip.GzipFile(fileobj=file)))
    return stack.enter_context(bz2.BZ2File(file)) if coding == "bzip2" else _Inflated(file)


class _Inflated(io.RawIOBase):
    """A zlib stream; its checksum is compared at its end, after which nothing may come."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file, self._stream, self._packed = file, zlib.decompressobj(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._stream.eof:
            self._packed = self._packed or self._file.read(STEP)
            if not self._packed:
                raise EOFError("the compressed voxels are cut")
            block = self._stream.decompress(self._packed, min(len(into), STEP))
            self._packed = self._stream.unconsumed_tail
            if block:
                into[: len(block)] = block
                return len(block)
        if self._stream.unused_data.strip(b"\0") or self._file.read(STEP).strip(b"\0"):
            raise zlib.error("bytes after the end of the compressed voxels")
        return 0


class _Chain(io.RawIOBase):
    """Files one after the other."""

    def __init__(self, files: Sequence[io.BufferedReader]) -> None:
        self._files = list(files)

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]
        while self._files:
            if got := self._files[0].readinto(into):
                return got
            self._files.pop(0)
        return 0


def _numbers(text: bytes, dtype: np.dtype, count: int, path: Path) -> bytes:
    """Numbers that are written out, as they would be stored."""
    words = text.split()
    if len(words) != count:
        raise DataError("another number of voxels than the header's", where=path, got=len(words), wanted=count)
    try:
        if dtype.kind == "f":
            return np.array([float(word) for word in words], dtype).tobytes()
        return np.array([int(word) for word in words], dtype).tobytes()
    except (ValueError, OverflowError) as fault:
        raise DataError(
            "a voxel is no number of the header's type", where=path, got=str(fault)[:80], wanted=dtype.name
        ) from fault


def _hex(text: bytes, path: Path) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError as fault:
        raise DataError("the voxels are not hexadecimal", where=path, got=str(fault)[:80]) from fault
