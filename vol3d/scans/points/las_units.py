"""The unit of LAS coordinates, as its coordinate system states it: in WKT or in the keys of GeoTIFF."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vol3d.errors import DataError
from vol3d.scans.points.length_unit import StatedUnit

# Of a GeoTIFF key directory: the kind of system, the unit of x and y (and its size if it has no code), that of z.
_MODEL, _LINEAR_UNIT, _LINEAR_SIZE, _VERTICAL_UNIT = 1024, 3076, 3077, 4099
_DEGREES, _EARTH_CENTRED = 2, 3
_NONE, _WITHOUT_CODE = 0, 32767
_CODES = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937, 9036: 1000.0, 9096: 0.9144, 1025: 0.001, 1033: 0.01}
_VERTICAL = re.compile(r"VERT(?:ICAL)?_?(?:CS|CRS)\s*[\[(]", re.IGNORECASE)
_LENGTH = re.compile(r'\b(?:LENGTH)?UNIT\s*[\[(]\s*"([^"]*)"\s*,\s*([-+.\deE]+)', re.IGNORECASE)
_ANGLE = re.compile(r"deg|grad|gon|rad|arc", re.IGNORECASE)
_THREE_AXES = re.compile(r"\bCS\s*\[\s*Cartesian\s*,\s*3", re.IGNORECASE)


def stated_unit(records: Sequence[Any], path: Path) -> tuple[StatedUnit | None, str | None]:
    """The unit in the records (laspy's) of a header, and what they state if it cannot be used.

    Raises:
        DataError: coordinates in degrees, or from the middle of the earth.
    """
    units, faults = set[StatedUnit](), list[str]()
    for unit, fault in _all_stated(records, path):
        units |= {unit} if unit is not None else set()
        faults += [fault] if fault is not None else []
    if len(units) > 1:
        faults.append(" and ".join(f"{unit.metres:g} m (z: {unit.z_metres or unit.metres:g} m)" for unit in units))
    return (None, faults[0]) if faults else (units.pop() if units else None, None)


_Stated = tuple[StatedUnit | None, str | None]


def _all_stated(records: Sequence[Any], path: Path) -> Iterator[_Stated]:
    sizes = next((list(record.doubles) for record in records if hasattr(record, "doubles")), [])
    for record in records:
        if hasattr(record, "geo_keys"):
            yield _of_keys({key.id: key.value_offset for key in record.geo_keys}, sizes, path)
        elif type(record).__name__ == "WktCoordinateSystemVlr":
            yield _of_wkt(record.string, path)


def _of_keys(keys: Mapping[int, int], sizes: Sequence[float], path: Path) -> _Stated:
    _refuse_others(keys.get(_MODEL) == _DEGREES, keys.get(_MODEL) == _EARTH_CENTRED, path)
    codes = [keys.get(key, _NONE) for key in (_LINEAR_UNIT, _VERTICAL_UNIT)]
    metres, z_metres = (_CODES.get(code) for code in codes)
    if codes[0] == _WITHOUT_CODE and 0 <= keys.get(_LINEAR_SIZE, -1) < len(sizes):
        metres = float(sizes[keys[_LINEAR_SIZE]])
    if unknown := [code for code, size in zip(codes, (metres, z_metres), strict=True) if code != _NONE and not size]:
        return None, f"a unit of length with the code {unknown[0]}"
    return _unit(metres, z_metres)


def _of_wkt(text: str, path: Path) -> _Stated:
    ground, *heights = _VERTICAL.split(text)
    projected = re.search(r"PROJ(?:ECTED)?_?(?:CS|CRS)\s*[\[(]", ground)
    geographic = re.search(r"GEOG(?:RAPHIC)?_?(?:CS|CRS)\s*[\[(]", ground)
    centred = re.search(r"GEOCCS\s*[\[(]|GEOD(?:ETIC)?CRS\s*[\[(]", ground)
    _refuse_others(bool(geographic and not projected), bool(centred and not projected), path)

    lengths = _lengths(ground)
    z_metres = _lengths(heights[-1])[-1:] if heights else []
    axes = _THREE_AXES.search(ground)
    if axes is not None and len(own := _lengths(ground[axes.end() :])) == 3:
        lengths, z_metres = own[:1], own[2:]
    return _unit(lengths[-1] if lengths else None, z_metres[0] if z_metres else None)


def _lengths(wkt: str) -> list[float]:
    """Metres of each unit of length in order; of a projected system the last is that of its axes."""
    return [_number(size) for name, size in _LENGTH.findall(wkt) if not _ANGLE.search(name)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unit(metres: float | None, z_metres: float | None) -> _Stated:
    if metres is None:
        return None, None if z_metres is None else f"{z_metres:g} m for z only"
    for size in (metres, metres if z_metres is None else z_metres):
        if not 1e-6 <= size <= 1e6:
            return None, f"a unit of {size:g} m"
    return StatedUnit(metres, None if z_metres in (None, metres) else z_metres), None


def _refuse_others(degrees: bool, earth_centred: bool, path: Path) -> None:
    do = "Export it in a projected coordinate system (UTM for example)."
    if degrees:
        raise DataError("coordinates in degrees", where=path, wanted="a unit of length", do=do)
    if earth_centred:
        raise DataError("coordinates from the middle of the earth", where=path, wanted="an axis that is up", do=do)
