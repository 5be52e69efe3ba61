"""Feather files (Arrow's IPC format) as columns of numbers and text; needs pyarrow, the extra `vol3d[argoverse]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.files import atomic, require_file

Kind = Literal["float32", "float64", "int64", "text"]
INSTALL = "Run `pip install 'vol3d[argoverse]'`."


def read_feather(path: Path, columns: Mapping[str, Kind]) -> dict[str, np.ndarray]:
    """The named columns of a file, each as an array of the wanted kind; its other columns stay unread.

    Raises:
        DataError: missing or damaged, without one of the columns, or with other values in it.
        Vol3dError: pyarrow is not installed.
    """
    arrow = _pyarrow(path)
    from pyarrow import feather

    require_file(path, do="Download it again.")
    try:
        table = feather.read_table(path, columns=list(columns), memory_map=False)
    except (OSError, arrow.ArrowException) as error:
        names = _names(path)
        if names is not None and (absent := [name for name in columns if name not in names]):
            got, wanted = ", ".join(names), ", ".join(absent)
            raise DataError("a column is missing", where=path, got=got, wanted=wanted) from error
        raise DataError("a damaged feather file", where=path, got=error, do="Download it again.") from error
    return {name: _values(table[name], kind, f"{path}, column {name}") for name, kind in columns.items()}


def write_feather(path: Path, columns: Mapping[str, np.ndarray | Sequence[str]]) -> None:
    """Writes columns of one length, in their order; the file is whole or not there.

    Raises:
        Vol3dError: pyarrow is not installed, or the file cannot be written.
    """
    arrow = _pyarrow(path)
    from pyarrow import feather

    with atomic(path) as temporary:
        feather.write_feather(arrow.table(dict(columns)), str(temporary))


def _values(column: Any, kind: Kind, where: str) -> np.ndarray:
    """A column of a table as an array.

    Raises:
        DataError: a value is missing or of another kind.
    """
    arrow = _pyarrow(where)
    if column.null_count:
        raise DataError("values are missing", where=where, got=f"{column.null_count} of {len(column)}")
    try:
        if kind == "text":
            return np.array(column.cast(arrow.string()).to_pylist(), np.str_)
        values = column.to_numpy()
    except arrow.ArrowException as error:
        raise DataError("values of another kind", where=where, got=column.type, wanted=kind) from error
    if values.dtype.kind not in ("iu" if kind == "int64" else "iuf"):
        raise DataError("values of another kind", where=where, got=column.type, wanted=kind)
    return values.astype(kind)


def _names(path: Path) -> list[str] | None:
    """The columns of a file; None where it is damaged."""
    arrow = _pyarrow(path)
    try:
        with arrow.OSFile(str(path)) as file:
            return list(arrow.ipc.open_file(file).schema.names)
    except (OSError, arrow.ArrowException):
        return None


def _pyarrow(where: Path | str) -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise Vol3dError("feather files need the package pyarrow", where=where, do=INSTALL) from error
    return pyarrow
