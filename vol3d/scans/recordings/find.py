"""Which paths are recordings of a robot: ROS 2 bags and MCAP files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vol3d.scans.paths import without_suffix

STORAGE_SUFFIXES = (".mcap", ".db3")
"""Of single files; a bag is a folder of these with its `metadata.yaml`."""
MARKERS_SUFFIX = ".boxes.mcap"
"""Of what `predict` draws: an MCAP file without clouds, which may lie beside the recordings."""
_METADATA, _MARK = "metadata.yaml", b"rosbag2_bagfile_information"
_HEAD = 4096  # bytes of the metadata in which its mark stands


def is_recording(path: Path) -> bool:
    """Whether a path is a bag's folder, or a file with the name of a recording."""
    if not path.is_dir():
        return path.name.lower().endswith(STORAGE_SUFFIXES)
    metadata = path / _METADATA
    if not metadata.is_file():
        return False
    with metadata.open("rb") as file:
        return _MARK in file.read(_HEAD)


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in a folder and below, in order, without hidden ones and results; a bag's folder is one."""
    found = []
    for here, below, names in os.walk(folder):
        if is_recording(Path(here)):
            found.append(Path(here))
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith("."))
        meant = (name for name in sorted(names) if not name.startswith(".") and not name.endswith(MARKERS_SUFFIX))
        files = (Path(here, name) for name in meant)
        found += [path for path in files if is_recording(path)]
    return found


def recording_stem(path: Path) -> str:
    """What results are called: `drive` for the folder `drive` and for `drive.mcap`."""
    return path.absolute().name if path.is_dir() else without_suffix(path.name, STORAGE_SUFFIXES)


def recording_files(path: Path) -> list[Path]:
    """The files that a recording consists of."""
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def split_recordings(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The recordings that paths are or hold, and the paths that are something else, or hold something else too."""
    recordings: list[Path] = []
    others: list[Path] = []
    for path in paths:
        here = [path] if is_recording(path) else recordings_in(path) if path.is_dir() else []
        recordings += here
        if not here or (path not in here and _holds_others(path, here)):
            others.append(path)
    return list(dict.fromkeys(recordings)), others


def _holds_others(folder: Path, recordings: list[Path]) -> bool:
    """Whether a folder has files of points beside its recordings."""
    from vol3d.errors import DataError
    from vol3d.scans.points.find import find_point_files

    try:
        return bool(find_point_files([folder]))
    except DataError:
        return False
