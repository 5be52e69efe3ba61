"""Which scans a path means, and what to call the result."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.paths import DICOM, SUFFIXES, expand, is_dicom


def find_scans(paths: Iterable[str | Path]) -> list[Path]:
    """Every scan that the paths mean, each once, in order.

    A file is one scan. A folder gives the volume files in it and below, and each folder that holds DICOM files as one
    scan. A pattern (`scans/*.nii.gz`) is expanded. Hidden files and `._*` copies are skipped.

    Raises:
        UsageError: a path that does not exist.
        DataError: a folder without a scan.
    """
    return expand(paths, _in_folder)


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
