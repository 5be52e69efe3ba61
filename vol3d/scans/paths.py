"""Names of scan files: their suffixes, the patterns that a path may be, and what to call a result."""

from __future__ import annotations

import glob
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from vol3d.errors import DataError, UsageError

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
        path = Path(given).expanduser()
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
    """The scan's name without folder and suffix; a DICOM folder's own name.

    >>> scan_stem("scans/liver_12.nii.gz")
    'liver_12'
    """
    path = Path(path)
    if path.is_dir():
        return path.resolve().name
    return without_suffix(path.name, (*SUFFIXES, *DICOM))


def require_file(path: Path) -> int:
    """Size in bytes of a regular file with content; what opens nothing else, as a pipe would be waited for without end.

    Raises:
        DataError: no such file, a folder, pipe, socket or device, or an empty file.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as fault:  # ValueError: a zero byte in the name
        reason = getattr(fault, "strerror", None) or str(fault)
        raise DataError("cannot read the file", where=path, got=reason) from fault
    if not stat.S_ISREG(found.st_mode):
        got = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise DataError("not a file", where=path, got=got, wanted="a regular file")
    if found.st_size == 0:
        raise DataError("the file is empty", where=path, do="Copy or download it again.")
    return found.st_size


def is_dicom(path: Path) -> bool:
    """True if the file has DICOM's mark behind its 128 bytes of preamble."""
    if not path.is_file():  # a pipe would be waited for without end
        return False
    try:
        with path.open("rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False
