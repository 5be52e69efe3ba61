"""The message sensor_msgs/PointCloud2 as columns of numbers: any fields, either byte order, padded rows and points.

Its definition (sensor_msgs, REP 117 and 138): `height` rows of `width` points; a point takes `point_step` bytes, a row
`row_step`; each field has a byte offset, a type 1 to 8 and a count. Frames follow REP 103: metres, z up, but for those
whose name ends in `_optical` or `_optical_frame`: x to the right, y down, z forward.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import RawPoints

MESSAGE = "sensor_msgs/msg/PointCloud2"
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_TIMES = {"t", "time", "timestamp", "time_stamp", "time_offset", "offset_time", "dt", "time_lag", "timelag"}
SCAN_TIME = "scan_time"
"""The time of each point in the sweep, in the scanner's own unit: no age of a sweep."""


def points_of_message(message: Any, where: Path) -> RawPoints:
    """The points of a decoded message with every field under its name in lower case.

    Fields for padding (without a name, or called `padding`, `_`) are left out; those of several numbers are (N, k).

    Args:
        message: with the attributes of PointCloud2.
        where: what errors name.

    Raises:
        DataError: sizes that contradict each other, a field of no known type, outside of its point or named twice, no
            field x, y or z.
    """
    dtype = _row_type(message, where)
    table = _table(message, dtype, where)
    fields: dict[str, np.ndarray] = {}
    for name in dtype.names or ():
        usual = SCAN_TIME if name in _TIMES else name
        if usual in fields:
            raise DataError("two fields are times of the points", where=where, got=", ".join(dtype.names or ()))
        fields[usual] = table[name].reshape(len(table), *dtype[name].shape)
    optical = str(message.header.frame_id).endswith(("_optical", "_optical_frame"))
    return RawPoints(fields, up="-y" if optical else "z", unit=StatedUnit(1.0))


def _row_type(message: Any, where: Path) -> np.dtype:
    """The structured type of one point."""
    order, step = ">" if message.is_bigendian else "<", int(message.point_step)
    names: list[str] = []
    kinds: list[Any] = []
    offsets: list[int] = []
    for field in message.fields:
        name = str(field.name).lower()
        if not name or name == "_" or name.startswith("padding"):
            continue
        kind = _field_type(field, order, step, where)
        if name in names:
            raise DataError(f"two fields are named {name!r}", where=where)
        names.append(name)
        kinds.append(kind)
        offsets.append(int(field.offset))
    if missing := [axis for axis in "xyz" if axis not in names]:
        raise DataError(f"the cloud has no field {missing[0]}", where=where, got=", ".join(names) or "no fields")
    return np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": step})


def _field_type(field: Any, order: str, step: int, where: Path) -> np.dtype:
    """The type of one field, of several numbers where its count says so."""
    name, count = str(field.name), max(1, int(field.count))
    if field.datatype not in _TYPES:
        raise DataError(f"the field {name!r} has no known type", where=where, got=field.datatype, wanted="1 to 8")
    kind = np.dtype(order + _TYPES[field.datatype])
    end = field.offset + kind.itemsize * count
    if end > step:
        got = f"bytes {field.offset} to {end}"
        raise DataError(f"the field {name!r} leaves its point", where=where, got=got, wanted=f"at most {step}")
    return kind if count == 1 else np.dtype((kind, (count,)))


def _table(message: Any, dtype: np.dtype, where: Path) -> np.ndarray:
    """The points (N,) without the padding of the rows."""
    width, height, row_step = int(message.width), int(message.height), int(message.row_step)
    data = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    used = width * dtype.itemsize
    if height <= 1:  # some drivers leave row_step at 0 where there is one row only
        row_step = max(row_step, used)
    if row_step < used or len(data) < max(0, height - 1) * row_step + (used if height else 0):
        got = f"{len(data)} bytes for {height} x {width} points of {dtype.itemsize} bytes, rows of {row_step}"
        raise DataError("the cloud's data are shorter than it says", where=where, got=got)
    if not width * height:
        return np.zeros(0, dtype)
    rows = np.lib.stride_tricks.as_strided(data, (height, used), (row_step, 1))
    return np.ascontiguousarray(rows).reshape(-1).view(dtype)
