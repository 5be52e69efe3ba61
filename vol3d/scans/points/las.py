"""LAS and LAZ (ASPRS) through laspy, an optional package."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import COPY, RawPoints, check_size

INSTALL = "Run `pip install 'vol3d[lidar]'`."
# Of a GeoTIFF key directory: the model (1 projected, 2 longitude and latitude) and the projected linear unit.
_MODEL, _LINEAR_UNIT = 1024, 3076
_GEO_UNITS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}
_DEGREES = 2
_MOST_PER_BYTE = 1000  # that one byte of LAZ is unpacked to
_LEFT_OUT = {"X", "Y", "Z"}
_COLOURS = ("red", "green", "blue")


def read_las(path: Path) -> RawPoints:
    """Every dimension, coordinates as float64 with the header's scale and offset; colours that are all 0 are left out.

    Raises:
        DataError: damaged, cut, or in degrees of longitude and latitude.
        Vol3dError: laspy, or its decoder for LAZ, is not installed.
    """
    las, unit = _read(path)
    if len(las.points) != las.header.point_count:
        raise DataError("the file is cut", where=path, got=len(las.points), wanted=las.header.point_count, do=COPY)

    fields = {axis: np.asarray(las[axis], np.float64) for axis in "xyz"}
    names = [name for name in las.point_format.dimension_names if name not in _LEFT_OUT]
    fields |= {name.lower(): np.asarray(las[name]) for name in names}
    # Some point formats have room for colours that no camera ever took.
    if not any(fields[name].any() for name in _COLOURS if name in fields):
        fields = {name: values for name, values in fields.items() if name not in _COLOURS}
    return RawPoints(fields, up="z", unit=None if unit is None else StatedUnit(unit))


def _read(path: Path) -> tuple[Any, float | None]:
    """laspy's object of the file, and metres per unit if the file states it."""
    try:
        import laspy
    except ImportError as fault:
        raise Vol3dError("LAS files need the package laspy", where=path, do=INSTALL) from fault
    _check_counts(path)
    try:
        with laspy.open(path) as file:
            if file.header.are_points_compressed and not laspy.LazBackend.detect_available():
                raise Vol3dError("compressed LAS files need the package lazrs", where=path, do=INSTALL)
            _check_size(file.header, path)
            unit = _unit(file.header, path)
            return file.read(), unit
    except Vol3dError:
        raise
    except Exception as fault:  # laspy, struct, NumPy and the decoder each raise their own
        raise DataError("a damaged or cut LAS file", where=path, got=str(fault).strip()[:200], do=COPY) from fault


def _check_counts(path: Path) -> None:
    """Compare the counts in the header with the file's size: laspy would allocate whatever they state.

    Raises:
        DataError: the header is cut, or announces more records or points than the file can hold.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(255)
    if len(head) < 227:
        raise DataError("the header is cut", where=path, got=f"{len(head)} bytes", wanted="at least 227", do=COPY)
    records, _, row, points = struct.unpack_from("<IBHI", head, 100)
    extended = 0
    if head[24:26] == b"\1\4" and len(head) == 255:
        extended, points = struct.unpack_from("<IQ", head, 243)
    if 54 * records + 60 * extended > size or points * max(row, 1) > size * _MOST_PER_BYTE:
        got = f"{records + extended} records and {points} points in {size} bytes"
        raise DataError("the header announces more than the file can hold", where=path, got=got, do=COPY)


def _check_size(header: Any, path: Path) -> None:
    if header.are_points_compressed:
        return
    end = header.offset_to_point_data + header.point_count * header.point_format.size
    size = path.stat().st_size
    # What follows the points is announced: extended records, or the waveforms of LAS 1.3.
    goes_on = getattr(header, "number_of_evlrs", 0) or header.point_format.has_waveform_packet
    check_size(path, min(size, end) if goes_on else size, end, header.point_count)


def _unit(header: Any, path: Path) -> float | None:
    """Metres per unit as the coordinate system states it; None if it does not."""
    for record in header.vlrs:
        keys = {key.id: key.value_offset for key in getattr(record, "geo_keys", ())}
        text = getattr(record, "string", "") if type(record).__name__ == "WktCoordinateSystemVlr" else ""
        geographic = re.search(r"GEOG(CS|CRS)\[", text) and not re.search(r"PROJ(CS|CRS)\[", text)
        if keys.get(_MODEL) == _DEGREES or geographic:
            do = "Export it in a projected coordinate system (UTM for example)."
            raise DataError("coordinates in degrees", where=path, wanted="a unit of length", do=do)
        if keys.get(_LINEAR_UNIT) in _GEO_UNITS:
            return _GEO_UNITS[keys[_LINEAR_UNIT]]
        # Of a projected system in WKT, the last unit of length is that of its axes (degrees are 0.0175).
        ground = re.split(r"VERT_?(?:CS|CRS)\[", text)[0]
        units = [float(size) for size in re.findall(r'UNIT\["[^"]*",\s*([0-9.eE+-]+)', ground)]
        lengths = [size for size in units if size > 0.1]
        if lengths:
            return lengths[-1]
    return None
