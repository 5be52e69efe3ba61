"""Names of scan files: their suffixes, the patterns that a path may be, and what to call a result."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vol3d.errors import DataError, UsageError
from vol3d.files import require_file
from vol3d.paths import user_path

NIFTI = (".nii.gz", ".nii")


ITK = (".nrrd", ".nhdr", ".mha", ".mhd")


DICOM = (".dcm", ".dicom", ".ima")


SUFFIXES = (*NIFTI, *ITK, ".zip")


def matching(paths: Iterable[str | Path]) -> list[Path]:
    """The paths that exist as they are, of others what they match as patterns (`**` too); each once, in order.

    Raises:
        UsageError: one is neither.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = user_path(given)
        # A pattern may be absolute, which `Path.glob` does not take.
        matches = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        if not matches:
            raise UsageError("no such file or folder, and no file matches the pattern", where=given)
        found.update(dict.fromkeys(matches))
    return list(found)


def expand(paths: Iterable[str | Path], in_folder: Callable[[Path], list[Path]]) -> list[Path]:
    """Files as they are, folders as what `in_folder` finds in them, patterns expanded; each path once, in order.

    Raises:
        UsageError: a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in matching(paths):
        found.update(dict.fromkeys(in_folder(path) if path.is_dir() else [path]))
    return list(found)


def without_suffix(name: str, suffixes: Iterable[str]) -> str:
    """The name without the first of the suffixes that it ends with, in any case; whole if nothing would be left."""
    for suffix in suffixes:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def scan_stem(path: str | Path) -> str:
    """The scan's name without folder and suffix; a DICOM folder's own name, of a link the link's.

    >>> scan_stem("scans/liver_12.nii.gz")
    'liver_12'
    """
    path = Path(path)
    if path.is_dir():
        return path.absolute().name if path.name not in ("", "..") else path.resolve().name
    return without_suffix(path.name, (*SUFFIXES, *DICOM))


def file_size(path: Path) -> int:
    """Bytes of a regular file with content; asks before it opens, since to open a pipe waits for ever.

    Raises:
        DataError: no such file, a folder, pipe, socket or device, or an empty file.
    """
    size = require_file(path).stat().st_size
    if size == 0:
        raise DataError("the file is empty", where=path, do="Copy or download it again.")
    return size


def walk(folder: Path, failed: Callable[[OSError], None]) -> Iterator[tuple[Path, list[Path]]]:
    """The folder and all below it, each with its sorted files; no hidden ones, and none twice however they are linked.

    Args:
        failed: called with the error of a folder that cannot be listed.
    """
    seen = {os.path.realpath(folder)}
    for here, below, names in os.walk(folder, onerror=failed, followlinks=True):
        inner = sorted((Path(here, name) for name in below), key=lambda path: (path.is_symlink(), path))
        below.clear()
        for path in inner:
            real = os.path.realpath(path)
            if not path.name.startswith(".") and real not in seen:
                seen.add(real)
                below.append(path.name)
        yield Path(here), [Path(here, name) for name in sorted(names) if not name.startswith(".")]


def walk_all(folder: Path) -> list[tuple[Path, list[Path]]]:
    """`walk`, of folders that can all be listed.

    Raises:
        DataError: one cannot.
    """
    failed: list[OSError] = []
    found = list(walk(folder, failed.append))
    if failed:
        raise DataError("a folder cannot be listed", where=failed[0].filename, got=failed[0].strerror)
    return found


def is_dicom(path: Path) -> bool:
    """True for a regular file that begins as DICOM does."""
    try:
        if not path.is_file():  # a named pipe would wait for ever
            return False
        with path.open("rb") as file:
            return begins_as_dicom(file.read(144))
    except OSError:
        return False


def begins_as_dicom(head: bytes) -> bool:
    """True for the mark behind 128 bytes of preamble, or for a data set without them (first 144 bytes).

    Such a data set begins with an element of group 8 or of the meta information, group 2.
    """
    if head[128:132] == b"DICM":
        return True
    group, element = head[0:2], head[2:4]
    if len(head) < 16 or group not in (b"\x02\0", b"\x08\0", b"\0\x08") or max(element) > 0x18:
        return False
    explicit = head[4:6] in (b"UL", b"UI", b"CS", b"SH", b"LO", b"DA", b"TM", b"DT", b"OB")
    return explicit or 0 < int.from_bytes(head[4:8], "little") <= 64
