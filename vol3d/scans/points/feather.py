"""Sweeps of Argoverse 2 as it publishes them: Arrow tables in feather files, through pyarrow, an optional package.

Points are in metres in the frame of the vehicle: x ahead, y to the left, z up, from the middle of its rear axle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.scans.points.length_unit import StatedUnit
from vol3d.scans.points.raw import COORDINATES, COPY, RawPoints

INSTALL = "Run `pip install 'vol3d[argoverse]'`."
_NAMES = {"laser_number": "ring", "offset_ns": "scan_time"}


def read_feather_points(path: Path) -> RawPoints:
    """Every column of numbers under its name.

    Raises:
        DataError: damaged, a value that is missing, or a table without x, y and z, such as one of boxes.
        Vol3dError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, feather
    except ImportError as fault:
        raise Vol3dError("feather files need the package pyarrow", where=path, do=INSTALL) from fault
    try:
        table = feather.read_table(path, memory_map=False)
    except (OSError, ArrowException) as fault:
        raise DataError("a damaged feather file", where=path, got=str(fault)[:200], do=COPY) from fault
    if missing := [axis for axis in COORDINATES if axis not in table.column_names]:
        got = ", ".join(table.column_names)
        raise DataError("no table of points", where=path, got=got, wanted=", ".join(missing))
    columns = {name: _numbers(table[name], path) for name in table.column_names}
    fields = {_NAMES.get(name, name): values for name, values in columns.items() if values is not None}
    return RawPoints(fields, up="z", unit=StatedUnit(1.0))


def _numbers(column: Any, path: Path) -> np.ndarray | None:
    """A column as an array; None if it holds no numbers."""
    values = column.to_numpy()
    if column.null_count:
        raise DataError("values are missing", where=path, got=f"{column.null_count} of {len(column)}", do=COPY)
    return values if values.dtype.kind in "iuf" else None
