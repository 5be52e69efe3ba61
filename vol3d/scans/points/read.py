"""One door to every file of points: which reader it needs, and from the file's numbers to metres with z up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.paths import user_path
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.fields import coordinates, named_columns
from vol3d.scans.points.find import POINT_SUFFIXES
from vol3d.scans.points.length_unit import find_unit
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.raw import COPY, RawPoints
from vol3d.scans.points.up_axis import find_up, turn_matrix, turn_up

# What files of a kind begin with, and the suffixes that such files have.
_MARKS = (
    (b"ply", (".ply",)),
    (b"# .PCD", (".pcd",)),
    (b"\x93NUMPY", (".npy",)),
    (b"PK\x03\x04", (".npz",)),
    (b"LASF", (".las", ".laz")),
)
_SAMPLE = 50_000  # points that the unit and the axis up are found from
_NEAR = 1000.0  # metres from the origin that need no other origin: float32 holds them to 0.06 mm
_LARGEST = 200_000.0  # metres that a scan extends at most


def read_points(
    path: str | Path, *, columns: tuple[str, ...] | None = None, up: str = "auto", units: str = "auto"
) -> PointCloud:
    """Read a point cloud or mesh.

    Args:
        path: `.ply .pcd .npy .npz .bin .xyz .txt .csv .pts .asc .las .laz`.
        columns: names of the columns in a file that has none, `_` for those to leave out.
        up: the axis of the file that points up (`x`, `-x`, ... `-z`), or `auto`.
        units: of the file's coordinates (`m`, `cm`, `mm`, ...), or `auto`.

    Returns:
        Metres, z up, all points that are finite; `notes` hold all that was assumed, found or changed.

    Raises:
        DataError: missing, damaged, cut, of another kind than its name says, or without a finite point; columns that
            cannot be identified; larger than any scan.
        UsageError: no such axis or unit; `columns` for a file that names its own.
        Vol3dError: the package for LAS files is not installed.

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
    return _cloud(raw, path, options)


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
    cloud = _cloud(array_points(np.asarray(array), where, "points", columns), where, options)
    return replace(cloud, source=None)


def _read(path: Path, columns: tuple[str, ...] | None) -> RawPoints:
    suffix = _suffix(path)
    if columns is not None and suffix in (".ply", ".pcd", ".las", ".laz"):
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
    if suffix == ".bin":
        from vol3d.scans.points.bin import read_bin

        return read_bin(path, columns)
    from vol3d.scans.points.text import read_text

    return read_text(path, columns)


def _suffix(path: Path) -> str:
    """What decides the reader. Raises DataError for what is no file of points, and where name and content disagree."""
    _check_there(path)
    with path.open("rb") as file:
        head = file.read(8)
    suffix = path.suffix.lower()
    for mark, suffixes in _MARKS:
        if head.startswith(mark):
            return _marked(suffix, suffixes, path)
    if suffix not in POINT_SUFFIXES:
        raise DataError("not a file of points", where=path, got=suffix or head, wanted=" ".join(POINT_SUFFIXES))
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


def _check_there(path: Path) -> None:
    """Raises DataError for a folder, an empty file and no file."""
    if path.is_dir():
        raise DataError("a folder, not a file", where=path)
    if not path.exists():
        raise DataError("no such file", where=path)
    if not path.is_file() or path.stat().st_size == 0:
        raise DataError("the file is empty", where=path)


def _cloud(raw: RawPoints, path: Path, options: ReadOptions) -> PointCloud:
    """Drop what is not finite, then unit, turn and origin."""
    xyz = coordinates(raw.fields, path)
    if not len(xyz):
        raise DataError("no points in the file", where=path)
    columns, changed = named_columns(raw.fields, path)
    faces = _checked_faces(raw.faces, len(xyz), path)
    xyz, columns, faces, dropped = _finite(xyz, columns, faces, path)

    sample = xyz[:: max(1, len(xyz) // _SAMPLE)].astype(np.float64)
    metres, unit_note = _unit(sample, raw, options)
    up, up_note = _up(sample, metres, raw, options)
    _check_extent(xyz, metres, path)

    if "normal" in columns:
        columns["normal"] = turn_up(columns["normal"], up)
    matrix = np.eye(4)
    matrix[:3, :3] = turn_matrix(up).T / metres
    xyz, origin, moved = _near(turn_up(xyz, up), metres)
    notes = (*raw.notes, *changed, *dropped, *unit_note, *up_note, *moved)
    return PointCloud(xyz, columns, faces, origin, path, notes, matrix)


def _check_extent(xyz: np.ndarray, metres: float, path: Path) -> None:
    """Raises DataError for what is larger than any scan."""
    low, high = (bound.astype(np.float64) * metres for bound in (xyz.min(axis=0), xyz.max(axis=0)))
    extent = float((high - low).max())
    if not extent <= _LARGEST:
        do = "Remove stray points, or name the unit with --units."
        got, wanted = f"{extent:.3g} m", f"at most {_LARGEST:g} m"
        raise DataError("the points extend farther than any scan", where=path, got=got, wanted=wanted, do=do)


def _finite(
    xyz: np.ndarray, columns: dict[str, np.ndarray], faces: np.ndarray | None, path: Path
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray | None, tuple[Note, ...]]:
    keep = np.isfinite(xyz).all(axis=1)
    if keep.all():
        return xyz, columns, faces, ()
    if not keep.any():
        raise DataError("no point has finite coordinates", where=path, got=f"{len(xyz)} points", do=COPY)
    text = "{left_out} of {points} points had coordinates that are not finite and were left out"
    note = Note("points-not-finite", text, numbers={"left_out": int((~keep).sum()), "points": len(keep)})
    if faces is not None:
        faces = (np.cumsum(keep) - 1)[faces[keep[faces].all(axis=1)]]
    return xyz[keep], {name: values[keep] for name, values in columns.items()}, faces, (note,)


def _unit(sample: np.ndarray, raw: RawPoints, options: ReadOptions) -> tuple[float, tuple[Note, ...]]:
    if options.metres is not None:
        return options.metres, ()
    if raw.unit_metres is not None:
        text = "the file states its unit, {metres:g} m; override with --units"
        return raw.unit_metres, (Note("units-stated", text, "units", numbers={"metres": raw.unit_metres}),)

    unit = find_unit(sample)
    sides = np.ptp(np.percentile(sample, (1, 99), axis=0), axis=0)
    size, numbers = "{x:.3g} x {y:.3g} x {z:.3g}", dict(zip("xyz", sides.tolist(), strict=True))
    value, name = {1.0: ("m", "metres"), 0.01: ("cm", "centimetres"), 0.001: ("mm", "millimetres")}[unit.metres]
    if unit.found:
        text = f"the coordinates were taken as {name}, which fits a size of {size}; override with --units"
        return unit.metres, (Note("units-found", text, "units", value, numbers=numbers),)
    text = f"{name} were assumed: a size of {size} fits several units; override with --units mm"
    return unit.metres, (Note("units-assumed", text, "units", value, assumed=True, numbers=numbers),)


def _up(sample: np.ndarray, metres: float, raw: RawPoints, options: ReadOptions) -> tuple[str, tuple[Note, ...]]:
    if options.axis is not None:
        return options.axis, ()
    if raw.up is not None:
        text = "{value} is up, as in all files of this format; override with --up"
        return raw.up, (Note("up-stated", text, "up", raw.up),)

    up = find_up(sample, metres)
    if up.found:
        text = "{value} is up: the floor was found across it; override with --up"
        return up.axis, (Note("up-found", text, "up", up.axis),)
    text = "{value} was assumed to be up: the points do not show it; override with --up y"
    return up.axis, (Note("up-assumed", text, "up", up.axis, assumed=True),)


def _near(xyz: np.ndarray, metres: float) -> tuple[np.ndarray, np.ndarray, tuple[Note, ...]]:
    """Metres as float32, near an origin of whole metres where the scan is far from the file's."""
    middle = (xyz.min(axis=0).astype(np.float64) + xyz.max(axis=0)) / 2 * metres
    origin = np.where(np.abs(middle) > _NEAR, np.round(middle), 0.0) + 0.0
    if not origin.any():
        return (xyz if metres == 1 else xyz * xyz.dtype.type(metres)).astype(np.float32, copy=False), origin, ()
    near = (xyz.astype(np.float64) * metres - origin).astype(np.float32)
    text = "the origin was moved to ({x:.0f}, {y:.0f}, {z:.0f}) m; results are written in the file's coordinates"
    return near, origin, (Note("origin-moved", text, numbers=dict(zip("xyz", origin.tolist(), strict=True))),)


def _checked_faces(faces: np.ndarray | None, points: int, path: Path) -> np.ndarray | None:
    if faces is None or not len(faces):
        return None
    if faces.min() < 0 or faces.max() >= points:
        got, wanted = f"{faces.min()} to {faces.max()}", f"0 to {points - 1}"
        raise DataError("a face names a point that is not there", where=path, got=got, wanted=wanted, do=COPY)
    return faces
