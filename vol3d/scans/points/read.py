"""One door to every file of points, and to arrays of them: which reader a file needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.paths import user_path
from vol3d.scans.paths import file_size
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.find import POINT_SUFFIXES, way_to_clouds
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.raw import COPY, UTF8_MARK, RawPoints, check_memory
from vol3d.scans.points.scan import scan_of

# What files of a kind begin with, and the suffixes that such files have.
_MARKS = (
    (b"ply", (".ply",)),
    (b"# .PCD", (".pcd",)),
    (b"\x93NUMPY", (".npy",)),
    (b"PK\x03\x04", (".npz",)),
    (b"LASF", (".las", ".laz")),
    (b"glTF", (".glb",)),
    (b"ASTM-E57", (".e57",)),
    (b"ARROW1", (".feather",)),
)
_NAMED = (".ply", ".pcd", ".las", ".laz", ".obj", ".glb", ".e57", ".feather")
_TIMES = 3  # the file's size in memory while it is read


def read_points(
    path: str | Path, *, columns: tuple[str, ...] | None = None, up: str = "auto", units: str = "auto"
) -> PointCloud:
    """Read a point cloud or mesh.

    Args:
        path: `.ply .pcd .npy .npz .bin .xyz .txt .csv .pts .asc .las .laz .obj .glb .e57 .feather`.
        columns: names of the columns in a file that has none, `_` for those to leave out.
        up: the axis of the file that points up (`x`, `-x`, ... `-z`), or `auto`.
        units: of the file's coordinates (`m`, `cm`, `mm`, ...), or `auto`.

    Returns:
        Metres, z up, all points that are finite; `notes` hold all that was assumed, found or changed.

    Raises:
        DataError: missing, damaged, cut, of another kind than its name says, or without a finite point; columns that
            cannot be identified; larger than any scan.
        UsageError: no such axis or unit; `columns` for a file that names its own.
        Vol3dError: the package for LAS, OBJ, GLB, E57 or feather files is not installed.

    >>> table = np.array([[0, 0, 0, 7], [100, 0, 0, 8], [100, 200, 50, 9]], np.float32)
    >>> np.save("scan.npy", table)
    >>> cloud = read_points("scan.npy", columns=("x", "y", "z", "intensity"), units="cm")
    >>> cloud.xyz[2], cloud.columns["intensity"]
    (array([1. , 2. , 0.5], dtype=float32), array([7., 8., 9.], dtype=float32))
    >>> for note in cloud.notes:
    ...     print(note.code, "-", note)
    up-assumed - z was assumed to be up: the points do not show it; override with --up y
    """
    path = user_path(path)
    options = ReadOptions(columns, up, units)
    try:
        raw = _read(path, columns)
    except OSError as fault:
        raise DataError("cannot read the file", where=path, got=fault.strerror or str(fault)) from fault
    except MemoryError as fault:
        raise DataError("the points do not fit into this machine's memory", where=path) from fault
    return scan_of(raw, path, options)


def points_of(
    array: np.ndarray, *, columns: tuple[str, ...] | None = None, up: str = "auto", units: str = "auto"
) -> PointCloud:
    """A point cloud of an array, with all that `read_points` does to a `.npy` file that holds it.

    Args:
        array: (N, 3 or more) numbers, or (N,) with named fields.
        columns, up, units: as in `read_points`.

    Raises:
        DataError, UsageError: as `read_points`; messages say `array` where they would name the file.
    """
    from vol3d.scans.points.arrays import array_points

    options, where = ReadOptions(columns, up, units), Path("array")
    cloud = scan_of(array_points(np.asarray(array), where, "points", columns), where, options)
    return replace(cloud, source=None)


def _read(path: Path, columns: tuple[str, ...] | None) -> RawPoints:
    suffix = _suffix(path)
    check_memory(path, _TIMES * path.stat().st_size)
    if columns is not None and suffix in _NAMED:
        raise UsageError(f"a {suffix} file names its own columns", where=path, got=f"--columns {','.join(columns)}")
    if suffix == ".ply":
        from vol3d.scans.points.ply import read_ply

        return read_ply(path)
    if suffix == ".pcd":
        from vol3d.scans.points.pcd import read_pcd

        return read_pcd(path)
    if suffix in (".npy", ".npz"):
        from vol3d.scans.points.arrays import read_npy, read_npz

        return (read_npy if suffix == ".npy" else read_npz)(path, columns)
    if suffix in (".las", ".laz"):
        from vol3d.scans.points.las import read_las

        return read_las(path)
    if suffix in (".obj", ".glb"):
        from vol3d.scans.points.trimesh_files import read_trimesh

        return read_trimesh(path)
    if suffix == ".e57":
        from vol3d.scans.points.e57 import read_e57

        return read_e57(path)
    if suffix == ".feather":
        from vol3d.scans.points.feather import read_feather_points

        return read_feather_points(path)
    if suffix == ".bin":
        from vol3d.scans.points.bin import read_bin

        return read_bin(path, columns)
    from vol3d.scans.points.text import read_text

    return read_text(path, columns)


def _suffix(path: Path) -> str:
    """What decides the reader. Raises DataError for what is no file of points, and where name and content disagree."""
    file_size(path)
    with path.open("rb") as file:
        head = file.read(11).removeprefix(UTF8_MARK)
    suffix = path.suffix.lower()
    for mark, suffixes in _MARKS:
        if head.startswith(mark):
            return _marked(suffix, suffixes, path)
    if suffix not in POINT_SUFFIXES:
        do, wanted = way_to_clouds(path), " ".join(POINT_SUFFIXES)
        raise DataError("not a file of points", where=path, got=suffix or head, wanted=wanted, do=do)
    needed = next((mark for mark, suffixes in _MARKS if suffix in suffixes), None)
    if needed is not None and suffix != ".pcd":  # the first line of a PCD file is a comment and may be missing
        what = f"damaged, or not a {suffix} file"
        raise DataError(what, where=path, got=head, wanted=f"{needed!r} at its start", do=COPY)
    return suffix


def _marked(suffix: str, suffixes: tuple[str, ...], path: Path) -> str:
    """The suffix of a file that begins as those with `suffixes` do. Raises DataError if it has another."""
    if suffix and suffix not in suffixes:
        what = f"the content is that of a {suffixes[0]} file"
        do = f"Rename it to {path.stem}{suffixes[0]} if that is right."
        raise DataError(what, where=path, got=suffix, wanted=suffixes[0], do=do)
    return suffix or suffixes[0]
