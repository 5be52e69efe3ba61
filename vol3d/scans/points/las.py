"""LAS and LAZ (ASPRS) through laspy, an optional package; its decoder for LAZ aborts on some damaged files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.notes import Note
from vol3d.scans.child import Decoded, decode_in_child
from vol3d.scans.points.las_units import stated_unit
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import COPY, RawPoints, check_memory, check_size

INSTALL = "Run `pip install 'vol3d[lidar]'`."
_MOST_PER_BYTE = 1000  # that one byte of LAZ is unpacked to
_COMPRESSED = 0xC0  # bits of the point format
_TIMES, _BESIDES = 8, 256 << 20  # bytes per byte of a point that decoding takes, and in any case
_LEFT_OUT = {"X", "Y", "Z"}
_COLOURS = ("red", "green", "blue")


def read_las(path: Path) -> RawPoints:
    """Every dimension, coordinates as float64 with the header's scale and offset; colours that are all 0 are left out.

    Raises:
        DataError: damaged, cut, or in degrees of longitude and latitude.
        Vol3dError: laspy, or its decoder for LAZ, is not installed.
    """
    try:
        import laspy
    except ImportError as fault:
        raise Vol3dError("LAS files need the package laspy", where=path, do=INSTALL) from fault
    header = _checked_header(path)
    if not header.compressed:
        fields, facts = decode_las(path)
    else:
        if not laspy.LazBackend.detect_available():
            raise Vol3dError("compressed LAS files need the package lazrs", where=path, do=INSTALL)
        needed = _TIMES * header.bytes + _BESIDES
        check_memory(path, needed)
        fields, facts = decode_in_child(decode_las, path, memory=needed)
    unit = None if facts["unit"] is None else StatedUnit(*facts["unit"])
    fields, notes = _without_withheld(fields)
    return RawPoints(fields, None, (*notes, *_bounds_note(fields, *facts["bounds"])), "z", unit, facts["unit_fault"])


def decode_las(path: Path) -> Decoded:
    """The dimensions of each point by name, and what the header states: `unit`, `unit_fault` and `bounds`.

    Raises:
        DataError: damaged, cut, a scale or offset that is none, or in degrees of longitude and latitude.
    """
    import laspy

    try:
        with laspy.open(path) as file:
            header = file.header
            _check_header(header, path)
            unit, unclear = stated_unit([*header.vlrs, *(getattr(header, "evlrs", None) or ())], path)
            las = file.read()
            fields = _fields(las)
    except Vol3dError:
        raise
    except Exception as fault:  # laspy, struct, NumPy and the decoder each raise their own
        raise DataError("a damaged or cut LAS file", where=path, got=str(fault).strip()[:200], do=COPY) from fault
    if len(las.points) != header.point_count:
        raise DataError("the file is cut", where=path, got=len(las.points), wanted=header.point_count, do=COPY)
    stated = None if unit is None else [unit.metres, unit.z_metres]
    bounds = [[float(value) for value in ends] for ends in (header.mins, header.maxs, header.scales)]
    return fields, {"unit": stated, "unit_fault": unclear, "bounds": bounds}


def _fields(las: Any) -> dict[str, np.ndarray]:
    fields = {axis: np.asarray(las[axis], np.float64) for axis in "xyz"}
    names = [name for name in las.point_format.dimension_names if name not in _LEFT_OUT]
    fields |= {name.lower(): np.asarray(las[name]) for name in names}
    # Some point formats have room for colours that no camera ever took.
    if not any(fields[name].any() for name in _COLOURS if name in fields):
        fields = {name: values for name, values in fields.items() if name not in _COLOURS}
    return fields


@dataclass(frozen=True)
class _Header:
    """Whether the points are compressed, and the bytes that they take when they are not."""

    compressed: bool
    bytes: int


def _checked_header(path: Path) -> _Header:
    """Compare the counts in the header with the file's size: laspy would allocate whatever they state.

    Raises:
        DataError: the header is cut, or announces more records or points than the file can hold.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(255)
    if len(head) < 227:
        raise DataError("the header is cut", where=path, got=f"{len(head)} bytes", wanted="at least 227", do=COPY)
    records, kind, row, points = struct.unpack_from("<IBHI", head, 100)
    extended = 0
    if head[24] == 1 and head[25] >= 4 and len(head) == 255:
        extended, points = struct.unpack_from("<IQ", head, 243)
    if 54 * records + 60 * extended > size or points * max(row, 1) > size * _MOST_PER_BYTE:
        got = f"{records + extended} records and {points} points in {size} bytes"
        raise DataError("the header announces more than the file can hold", where=path, got=got, do=COPY)
    return _Header(bool(kind & _COMPRESSED), points * max(row, 1))


def _check_header(header: Any, path: Path) -> None:
    """Raises DataError if the points do not end where the file does, or their scale or offset is none."""
    scales, offsets = np.asarray(header.scales, np.float64), np.asarray(header.offsets, np.float64)
    if not (np.isfinite([*scales, *offsets]).all() and (scales > 0).all()):
        got, wanted = f"scale {scales.tolist()}, offset {offsets.tolist()}", "finite numbers, the scale above 0"
        raise DataError("a scale or offset that is none", where=path, got=got, wanted=wanted, do=COPY)
    if header.are_points_compressed:
        return
    end = header.offset_to_point_data + header.point_count * header.point_format.size
    size = path.stat().st_size
    # What follows the points is announced: extended records, or the waveforms of LAS 1.3.
    goes_on = getattr(header, "number_of_evlrs", 0) or header.point_format.has_waveform_packet
    check_size(path, min(size, end) if goes_on else size, end, header.point_count)


def _without_withheld(fields: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[Note, ...]]:
    """The points that are not marked as withheld, which in this format means deleted."""
    withheld = fields.pop("withheld", np.zeros(0)).astype(bool)
    if not withheld.any() or withheld.all():
        return fields, ()
    text = "{left_out} of {points} points are marked as withheld and were left out"
    numbers = {"left_out": int(withheld.sum()), "points": len(withheld)}
    return {name: values[~withheld] for name, values in fields.items()}, (Note("withheld", text, numbers=numbers),)


def _bounds_note(
    fields: dict[str, np.ndarray], low: list[float], high: list[float], scales: list[float]
) -> tuple[Note, ...]:
    """What the header states of the points' extent, where that is something and does not hold."""
    if not any(low) and not any(high):
        return ()
    beyond = np.zeros(len(fields["x"]), bool)
    for axis, least, greatest, scale in zip("xyz", low, high, scales, strict=True):
        beyond |= ~((fields[axis] >= least - scale) & (fields[axis] <= greatest + scale))
    if not beyond.any():
        return ()
    text = "{beyond} of {points} points lie outside the bounds that the header states"
    return (Note("beyond-bounds", text, numbers={"beyond": int(beyond.sum()), "points": len(beyond)}),)
