"""What the readers of point files hand over: the file's own numbers by name, nothing turned, scaled or dropped yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.memory import require_memory
from vol3d.notes import Note
from vol3d.scans.points.length_unit import StatedUnit

COPY = "Copy or export it again."
COORDINATES = ("x", "y", "z")
UTF8_MARK = b"\xef\xbb\xbf"  # that some editors put before a text


@dataclass(frozen=True, eq=False)
class RawPoints:
    """Points as they are in a file.

    Args:
        fields: name in lower case -> (N,) or (N, k) values, in the file's axes, unit and types.
        faces: (F, 3) int64 triangles, None without a mesh.
        notes: what had to be assumed about the file.
        up: the axis that the format or the file states to be up.
        unit: of the coordinates, as the format or the file states it.
        unit_fault: what the file states about its unit, where that cannot be used: it then must be asked for.
    """

    fields: dict[str, np.ndarray]
    faces: np.ndarray | None = None
    notes: tuple[Note, ...] = ()
    up: str | None = None
    unit: StatedUnit | None = None
    unit_fault: str | None = None


def check_size(path: Path, got: int, wanted: int, points: int) -> None:
    """Compare the bytes that a file has with those that its header announces.

    Raises:
        DataError: it is cut, or goes on after the last point.
    """
    if got < wanted:
        do = f"The header promises {points} points. {COPY}"
        raise DataError("the file is cut", where=path, got=f"{got} bytes", wanted=wanted, do=do)
    if got > wanted:
        do = "The header is damaged or the file is not what its name says."
        raise DataError("the file goes on after its last point", where=path, got=f"{got} bytes", wanted=wanted, do=do)


def check_memory(path: Path, needed: int) -> None:
    """Raises DataError if reading takes more bytes than are free."""
    require_memory(needed, "the points do not fit into this machine's memory", path, unit="MiB")


def table_fields(table: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of (N, k) by name; those named `_` are left out."""
    return {name: table[:, index] for index, name in enumerate(names) if name != "_"}


def unique_names(names: list[str], path: Path) -> None:
    """Raises DataError if two properties of a point have one name."""
    twice = next((name for number, name in enumerate(names) if name in names[:number] and name != "_"), None)
    if twice is not None:
        raise DataError(f"two properties are named {twice!r}", where=path, got=" ".join(names), do=COPY)


def as_type(values: np.ndarray, dtype: np.dtype, name: str, path: Path) -> np.ndarray:
    """Float64 values of a text in the type that the header announces. Raises DataError if it cannot hold them."""
    if len(values):
        limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
        outside = ~((values >= limits.min) & (values <= limits.max))
        if (wrong := outside if dtype.kind in "iu" else outside & np.isfinite(values)).any():
            do = "The header or the value is damaged."
            got = values[wrong.argmax()]
            raise DataError(f"a {name} outside its type", where=path, got=got, wanted=dtype.name, do=do)
    return values.astype(dtype)
