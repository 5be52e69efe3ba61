"""Which scans a path means, and what to call the result."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.paths import DICOM, SUFFIXES, expand, is_dicom, scan_stem
from vol3d.scans.results.own import is_own
from vol3d.scans.source import ScanSource


def find_scans(paths: Iterable[str | Path]) -> list[ScanSource]:
    """Every scan that the paths mean, each once, in order.

    A file is one scan. A folder gives the volume files in it and below, and each folder that holds DICOM files as one
    scan. A pattern (`scans/*.nii.gz`) is expanded. Hidden files and `._*` copies are skipped, and in folders masks that
    vol3d wrote.

    Raises:
        UsageError: a path that does not exist.
        DataError: a folder without a scan.
    """
    return [ScanSource(path, scan_stem(path)) for path in expand(paths, _in_folder)]


def _in_folder(folder: Path) -> list[Path]:
    scans: list[Path] = []
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        scans += _here(Path(here), sorted(name for name in names if not name.startswith(".")))
    if not scans:
        raise DataError("no scan in this folder", where=folder, wanted=f"DICOM files or one of {', '.join(SUFFIXES)}")
    return scans


def _here(folder: Path, names: list[str]) -> list[Path]:
    """The volume files among the names, and the folder itself if any of the others is DICOM."""
    volumes = [folder / name for name in names if name.lower().endswith(SUFFIXES)]
    volumes = [path for path in volumes if not is_own(path)]
    others = (folder / name for name in names if not name.lower().endswith(SUFFIXES))
    has_dicom = any(path.name.lower().endswith(DICOM) or is_dicom(path) for path in others)
    return [*volumes, folder] if has_dicom else volumes
