"""Which point files a path means, and what to call their results."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vol3d.errors import DataError
from vol3d.scans.paths import expand, without_suffix

POINT_SUFFIXES = (
    *(".pcd.bin", ".ply", ".pcd", ".npy", ".npz", ".bin"),
    *(".xyz", ".txt", ".csv", ".pts", ".asc", ".las", ".laz"),
    *(".obj", ".glb", ".e57", ".feather"),
)
# Not in folders, where they are notes, lists and tables more often than points.
_ONLY_BY_NAME = (".txt", ".csv", ".feather")
_SENSORS = ("lidar", "velodyne")  # names of folders that hold clouds only, as Argoverse 2 and KITTI have them
# What `predict` draws is a PLY file too, and may lie beside the scans.
BOX_LINES_SUFFIX, BOX_LINES_MARK = ".boxes.ply", b"comment boxes found by vol3d"


def find_point_files(paths: Iterable[str | Path]) -> list[Path]:
    """Every point file that the paths mean, each once, in order.

    A folder gives the point files in it and below, without hidden ones and without `.txt`, `.csv` and `.feather`,
    which must be named or matched by a pattern (`scans/*.txt`). Boxes that `predict` drew are none of them, nor are
    the columns beside the points of a prepared scene (`NAME.rgb.npy` beside `NAME.points.npy`).

    Raises:
        UsageError: a path that does not exist.
        DataError: a folder without a point file.
    """
    return [path for path in expand(paths, _in_folder) if not _is_box_lines(path)]


def points_file_stem(path: str | Path) -> str:
    """The file's name without folder and suffix: `sweep.pcd.bin` -> `sweep`."""
    return without_suffix(Path(path).name, POINT_SUFFIXES)


def _in_folder(folder: Path) -> list[Path]:
    wanted = tuple(suffix for suffix in POINT_SUFFIXES if suffix not in _ONLY_BY_NAME)
    files = []
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files += [Path(here, name) for name in sorted(names) if not name.startswith(".")]
    points = [path for path in files if path.name.lower().endswith(wanted) and not _is_beside(path)]
    if not points:
        do = _instead(folder, files)
        raise DataError("no point file in this folder", where=folder, wanted=f"one of {', '.join(wanted)}", do=do)
    return points


def _instead(folder: Path, files: Sequence[Path]) -> str | None:
    """What to do with a folder without a point file."""
    return next(filter(None, map(way_to_clouds, files)), None) or _by_pattern(folder, files)


def way_to_clouds(path: Path) -> str | None:
    """What to do with what a depth camera recorded, which no reader of points takes; None for other files.

    A PNG is taken for a depth image by the name of its folder, as SUN RGB-D and others have it: `depth`, `depth_bfx`.
    """
    if path.suffix.lower() == ".sens":
        name, what, own = "scannet", "ScanNet's scans", f"or {path.stem}_vh_clean_2.ply beside it"
    elif path.suffix.lower() == ".png" and path.absolute().parent.name.lower().startswith("depth"):
        name, what, own = "sun_rgbd", "SUN RGB-D's depth images", "or own ones as points in a .ply or .npy file"
    else:
        return None
    return f"Predict clouds: `vol3d data prepare {name} ROOT -o READY` makes them of {what}; give READY, {own}."


def _by_pattern(folder: Path, files: Sequence[Path]) -> str | None:
    """How to give files of a kind that is left out of folders; None if there are none."""
    found = [(kind, path) for kind in _ONLY_BY_NAME for path in files if path.name.lower().endswith(kind)]
    chosen = [(kind, path) for kind, path in found if path.parent.name in _SENSORS] or found
    if not chosen:
        return None
    kind, path = chosen[0]
    below = f"{path.parent.name}/" if path.parent.name in _SENSORS else ""
    return f"Of {kind} files give the names or a pattern, '{folder}/**/{below}*{kind}'."


def _is_beside(path: Path) -> bool:
    """Whether a file of points only goes with a scan: boxes that were drawn, a column of a prepared scene."""
    name, _, column = path.name.removesuffix(".npy").rpartition(".")
    is_column = name and column != "points" and path.suffix == ".npy"
    return (bool(is_column) and path.with_name(f"{name}.points.npy").exists()) or _is_box_lines(path)


def _is_box_lines(path: Path) -> bool:
    if not path.name.endswith(BOX_LINES_SUFFIX) or not path.is_file():
        return False
    with path.open("rb") as file:
        return BOX_LINES_MARK in file.read(200)
