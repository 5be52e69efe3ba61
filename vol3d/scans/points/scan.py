"""From the numbers of a file to a scan: what was measured, in metres with z up, near an origin that float32 holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.columns import bounds, whole_rows
from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.fields import coordinates, named_columns
from vol3d.scans.points.length_unit import StatedUnit, find_unit
from vol3d.scans.points.no_return import returned
from vol3d.scans.points.options import ReadOptions
from vol3d.scans.points.raw import COPY, RawPoints
from vol3d.scans.points.sample import some_points
from vol3d.scans.points.up_axis import find_up, turn_matrix, turn_up

_SAMPLE = 50_000  # points that the unit and the axis up are found from
_NEAR = 1000.0  # metres from the origin that need no other origin: float32 holds them to 0.06 mm
_COARSE = 0.01  # metres between neighbouring numbers that show in a scan
_LARGEST = 200_000.0  # metres that a scan extends at most
_UNIT_NAMES = {1.0: ("m", "metres"), 0.01: ("cm", "centimetres"), 0.001: ("mm", "millimetres")}


def scan_of(raw: RawPoints, path: Path, options: ReadOptions) -> PointCloud:
    """The cloud of a file's numbers, as `read_points` describes it; `path` is for messages.

    Raises:
        DataError: no point, or none that is finite; a face that names a missing point; a unit that the file states
            in two ways; larger than any scan.
    """
    xyz = coordinates(raw.fields, path)
    if not len(xyz):
        raise DataError("no points in the file", where=path)
    columns, changed = named_columns(raw.fields, path)
    faces, loose = _surface(raw.faces, len(xyz), path)
    keep, dropped = _measured(xyz, path)
    if not keep.all():
        xyz, columns, faces = xyz[keep], {name: values[keep] for name, values in columns.items()}, _kept(faces, keep)

    sample = some_points(xyz, _SAMPLE).astype(np.float64)
    unit, unit_notes = _unit(sample, raw, path, options)
    xyz, sample = (_with_one_unit(points, unit) for points in (xyz, sample))
    metres = unit.metres
    up, up_note = _up(sample, metres, raw, options)
    _check_extent(xyz, metres, path)

    if "normal" in columns:
        columns["normal"] = turn_up(columns["normal"], up)
    matrix = np.eye(4)
    matrix[:3, :3] = turn_matrix(up).T / np.array([metres, metres, unit.z_metres or metres])[:, None]
    xyz, origin, moved = _near(turn_up(xyz, up), metres)
    notes = (*raw.notes, *changed, *loose, *dropped, *unit_notes, *up_note, *moved)
    return PointCloud(xyz, columns, faces, origin, path, notes, matrix)


def _measured(xyz: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Which points (N, 3) are finite and had a return (N,), and notes on the others."""
    keep = whole_rows(np.isfinite(xyz))
    notes: tuple[Note, ...] = ()
    if not keep.all():
        if not keep.any():
            raise DataError("no point has finite coordinates", where=path, got=f"{len(xyz)} points", do=COPY)
        text = "{left_out} of {points} points had coordinates that are not finite and were left out"
        numbers = {"left_out": int((~keep).sum()), "points": len(keep)}
        notes = (Note("points-not-finite", text, numbers=numbers),)
    measured, without = returned(xyz[keep])
    if not measured.any():
        raise DataError("no point has a return", where=path, got=f"{len(measured)} points at (0, 0, 0)", do=COPY)
    keep[keep] = measured
    return keep, (*notes, *without)


def _kept(faces: np.ndarray | None, keep: np.ndarray) -> np.ndarray | None:
    """Faces whose corners are all kept, in the numbers of the kept points."""
    return None if faces is None else (np.cumsum(keep) - 1)[faces[whole_rows(keep[faces])]]


def _with_one_unit(xyz: np.ndarray, unit: StatedUnit) -> np.ndarray:
    """Coordinates (N, 3) with z in the unit of x and y."""
    if unit.z_metres is None or unit.z_metres == unit.metres:
        return xyz
    return xyz.astype(np.float64) * (1, 1, unit.z_metres / unit.metres)


def _check_extent(xyz: np.ndarray, metres: float, path: Path) -> None:
    """Raises DataError for what is larger than any scan."""
    low, high = (bound.astype(np.float64) * metres for bound in bounds(xyz))
    extent = float((high - low).max())
    if not extent <= _LARGEST:
        do = "Remove stray points, or name the unit with --units."
        got, wanted = f"{extent:.3g} m", f"at most {_LARGEST:g} m"
        raise DataError("the points extend farther than any scan", where=path, got=got, wanted=wanted, do=do)


def _unit(sample: np.ndarray, raw: RawPoints, path: Path, options: ReadOptions) -> tuple[StatedUnit, tuple[Note, ...]]:
    """The unit that was asked for, that the file states, or that the sizes of the scan show."""
    if options.metres is not None:
        return StatedUnit(options.metres), ()
    if raw.unit_fault is not None:
        do = "Name the unit with --units."
        raise DataError("the file states no one unit of length", where=path, got=raw.unit_fault, do=do)
    if raw.unit is not None:
        return raw.unit, _stated(raw.unit)

    unit = find_unit(sample)
    sides = np.ptp(np.percentile(sample, (1, 99), axis=0), axis=0)
    size, numbers = "{x:.3g} x {y:.3g} x {z:.3g}", dict(zip("xyz", sides.tolist(), strict=True))
    value, name = _UNIT_NAMES[unit.metres]
    if unit.found:
        text = f"the coordinates were taken as {name}, which fits a size of {size}; override with --units"
        return StatedUnit(unit.metres), (Note("units-found", text, "units", value, numbers=numbers),)
    text = f"{name} were assumed: a size of {size} fits several units; override with --units mm"
    return StatedUnit(unit.metres), (Note("units-assumed", text, "units", value, assumed=True, numbers=numbers),)


def _stated(unit: StatedUnit) -> tuple[Note, ...]:
    name = _UNIT_NAMES[unit.metres][1] if unit.metres in _UNIT_NAMES else "units of {metres:g} m"
    text, numbers = f"the coordinates are in {name}, as the file says; override with --units", {"metres": unit.metres}
    if unit.z_metres is None or unit.z_metres == unit.metres:
        return (Note("units-stated", text, "units", numbers=numbers),)
    text = "the file states its units, {metres:g} m for x and y and {z_metres:g} m for z; override with --units"
    return (Note("units-stated", text, "units", numbers={**numbers, "z_metres": unit.z_metres}),)


def _up(sample: np.ndarray, metres: float, raw: RawPoints, options: ReadOptions) -> tuple[str, tuple[Note, ...]]:
    if options.axis is not None:
        return options.axis, _against(options.axis, raw.up)
    if raw.up is not None:
        text = "{value} is up, as in all files of this format; override with --up"
        return raw.up, (Note("up-stated", text, "up", raw.up),)

    up = find_up(sample, metres)
    if up.found:
        text = "{value} is up: the floor was found across it; override with --up"
        return up.axis, (Note("up-found", text, "up", up.axis),)
    text = "{value} was assumed to be up: the points do not show it; override with --up y"
    return up.axis, (Note("up-assumed", text, "up", up.axis, assumed=True),)


def _against(axis: str, stated: str | None) -> tuple[Note, ...]:
    """A note where a file or the frame of a cloud states another axis than the one that was asked for."""
    if stated in (None, axis):
        return ()
    text = f"{{value}} was taken as up, as set with --up; the file or the frame of the cloud says {stated}"
    return (Note("up-overridden", text, "up", axis),)


def _near(xyz: np.ndarray, metres: float) -> tuple[np.ndarray, np.ndarray, tuple[Note, ...]]:
    """Metres as float32, near an origin of whole metres where the scan is far from the file's."""
    low, high = bounds(xyz)
    middle = (low.astype(np.float64) + high) / 2 * metres
    origin = np.where(np.abs(middle) > _NEAR, np.round(middle), 0.0) + 0.0
    if not origin.any():
        return (xyz if metres == 1 else xyz * xyz.dtype.type(metres)).astype(np.float32, copy=False), origin, ()
    near = (xyz.astype(np.float64) * metres - origin).astype(np.float32)
    text = "the origin was moved to ({x:.0f}, {y:.0f}, {z:.0f}) m; results are written in the file's coordinates"
    moved = Note("origin-moved", text, numbers=dict(zip("xyz", origin.tolist(), strict=True)))
    return near, origin, (moved, *_rounded(xyz, metres))


def _rounded(xyz: np.ndarray, metres: float) -> tuple[Note, ...]:
    """A note where all coordinates (N, 3) are float32's and lie so far away that these are apart from each other."""
    step = float(np.spacing(np.float32(np.abs(xyz).max()))) * metres
    if step < _COARSE or not np.array_equal(xyz, xyz.astype(np.float32)):
        return ()
    text = (
        "the coordinates were rounded to {step:.3g} m, which is all that float32 holds so far from the origin: export "
    )
    text += "them as doubles, or without their offset"
    return (Note("coordinates-rounded", text, numbers={"step": step}),)


def _surface(faces: np.ndarray | None, points: int, path: Path) -> tuple[np.ndarray | None, tuple[Note, ...]]:
    """The faces (F, 3) of a mesh; none, and a note, where most points are a corner of no face.

    Whatever takes points from a mesh's surface would see none of those points.
    """
    if faces is None or not len(faces):
        return None, ()
    if faces.min() < 0 or faces.max() >= points:
        got, wanted = f"{faces.min()} to {faces.max()}", f"0 to {points - 1}"
        raise DataError("a face names a point that is not there", where=path, got=got, wanted=wanted, do=COPY)
    corners = np.zeros(points, bool)
    corners[faces] = True
    if 2 * corners.sum() >= points:
        return faces, ()
    text = "{loose} of {points} points belong to no triangle, so the file was taken as points and not as a mesh"
    numbers = {"loose": points - int(corners.sum()), "points": points}
    return None, (Note("faces-ignored", text, numbers=numbers),)
