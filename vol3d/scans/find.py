"""Which scans a path means, and what to call the result."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from vol3d.errors import DataError, UsageError

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
DICOM = (".dcm", ".dicom", ".ima")
SUFFIXES = (*NIFTI, *ITK, ".zip")


def find_scans(paths: Iterable[str | Path]) -> list[Path]:
    """Every scan that the paths mean, each once, in order.

    A file is one scan. A folder gives the volume files in it and below, and each folder that holds DICOM files as one
    scan. A pattern (`scans/*.nii.gz`) is expanded. Hidden files and `._*` copies are skipped.

    Raises:
        UsageError: a path that does not exist.
        DataError: a folder without a scan.
    """
    return expand(paths, _in_folder)


def expand(paths: Iterable[str | Path], in_folder: Callable[[Path], list[Path]]) -> list[Path]:
    """Files as they are, folders as what `in_folder` finds in them, patterns expanded; each path once, in order.

    Raises:
        UsageError: a path that does not exist.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given)
        # A pattern may be absolute, which `Path.glob` does not take.
        matches = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(given)))]  # noqa: PTH207
        if not matches:
            raise UsageError("no such file or folder", where=path)
        for match in matches:
            found.update(dict.fromkeys(in_folder(match) if match.is_dir() else [match]))
    return list(found)


def without_suffix(name: str, suffixes: Iterable[str]) -> str:
    """The name without the first of the suffixes that it ends with, in any case; whole if nothing would be left."""
    for suffix in suffixes:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def scan_stem(path: str | Path) -> str:
    """The scan's name without folder and suffix; a DICOM folder's own name."""
    path = Path(path)
    if path.is_dir():
        return path.resolve().name
    return without_suffix(path.name, (*SUFFIXES, *DICOM))


def is_dicom(path: Path) -> bool:
    """True if the file has DICOM's mark behind its 128 bytes of preamble."""
    try:
        with path.open("rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def _in_folder(folder: Path) -> list[Path]:
    scans = []
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files = [Path(here, name) for name in sorted(names) if not name.startswith(".")]
        scans += [path for path in files if path.name.lower().endswith(SUFFIXES)]
        rest = (path for path in files if not path.name.lower().endswith(SUFFIXES))
        if any(path.name.lower().endswith(DICOM) or is_dicom(path) for path in rest):
            scans.append(Path(here))
    if not scans:
        raise DataError("no scan in this folder", where=folder, wanted=f"DICOM files or one of {', '.join(SUFFIXES)}")
    return scans
