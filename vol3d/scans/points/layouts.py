"""What the columns of a table without names are: asked for, or read from their values where only one layout fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans.points.raw import COORDINATES

_COLOURS, _NORMALS = ("red", "green", "blue"), ("nx", "ny", "nz")
LAYOUTS = (
    COORDINATES,
    (*COORDINATES, "intensity"),
    (*COORDINATES, "intensity", "ring"),
    (*COORDINATES, "intensity", "time"),
    (*COORDINATES, *_COLOURS),
    (*COORDINATES, *_NORMALS),
    (*COORDINATES, "intensity", "ring", "time"),
    (*COORDINATES, "intensity", *_COLOURS),
)
"""KITTI has four columns, nuScenes five (its `.pcd.bin` ends in the ring), indoor sets six with colours."""
_FARTHEST = 1e8  # larger numbers are no coordinates in any unit
_HIGHEST_RING, _LONGEST_SECONDS = 255, 10.0
_SEEN = 100_000  # rows looked at
_STRAY = 0.01  # share of rows with huge numbers that decide nothing


def check_names(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The names that were asked for, in lower case; `_` leaves a column out.

    Raises:
        UsageError: x, y or z is missing, or a name is twice or empty.
    """
    names = tuple(name.strip().lower() for name in columns)
    named = [name for name in names if name != "_"]
    if len(set(named)) != len(named) or not set(COORDINATES) <= set(named) or "" in named:
        wanted = "x, y, z and others, each once"
        raise UsageError("no good list of columns", where="--columns", got=",".join(names), wanted=wanted)
    return names


def check_columns(columns: tuple[str, ...], count: int, path: Path) -> tuple[str, ...]:
    """As `check_names`, for a file of so many columns.

    Raises:
        UsageError: as there, or there are more or fewer names than the file has columns.
    """
    names = check_names(columns)
    if len(names) != count:
        wanted = f"{count}, with _ for those to leave out"
        raise UsageError("the file has another number of columns", where=path, got=len(names), wanted=wanted)
    return names


def guess_columns(table: np.ndarray, path: Path, hint: str | None = None) -> tuple[tuple[str, ...], Note]:
    """Names for the columns of a table (N, k), and the note that states them.

    Args:
        hint: a name that the last column has if nothing else decides.

    Raises:
        DataError: no known layout fits its values, or several do.
    """
    rows = telling_rows(table)
    fitting = [layout for layout in LAYOUTS if fits(rows, layout)]
    if len(fitting) > 1 and hint is not None:
        fitting = [layout for layout in fitting if layout[-1] == hint] or fitting
    if len(fitting) != 1:
        raise unclear([",".join(layout) for layout in fitting], f"{table.shape[1]} columns{misfits(table)}", path)
    return fitting[0], assumed(fitting[0])


def telling_rows(table: np.ndarray) -> np.ndarray:
    """Finite rows from all over a table (N, k), without those of huge numbers, if these are few."""
    rows = table[:: max(1, len(table) // _SEEN)]
    rows = rows[np.isfinite(rows).all(axis=1)]
    near = (np.abs(rows) <= _FARTHEST).all(axis=1)
    return rows[near] if (~near).sum() <= _STRAY * len(rows) else rows


def misfits(table: np.ndarray) -> str:
    """Why no layout of k columns fits a table (N, k), `: column 4 (-3 to 1) is no intensity`; empty for other k."""
    if empty := [str(number + 1) for number, column in enumerate(table.T) if not np.isfinite(column).any()]:
        return f": no finite number in column {', '.join(empty)}"
    rows = telling_rows(table)
    faults = [_misfit(rows, layout) for layout in LAYOUTS if len(layout) == table.shape[1]]
    return ": " + "; ".join(dict.fromkeys(filter(None, faults))) if any(faults) else ""


def assumed(columns: tuple[str, ...]) -> Note:
    """What was assumed of the columns."""
    text = "columns {value} were assumed from the values; override with --columns"
    return Note("columns-assumed", text, "columns", ",".join(columns), assumed=True)


def unclear(fitting: list[str], got: str, path: Path, example: str = "x,y,z,intensity") -> DataError:
    """The error for columns that could be several things, or none; `example` is for none."""
    example = fitting[0] if fitting else example
    return DataError(
        f"{'several layouts fit' if fitting else 'no known layout fits'} the numbers in this file",
        where=path,
        got=" or ".join(fitting) or got,
        do=f"Name its columns, `--columns {example}` for example; _ leaves one out.",
    )


def fits(rows: np.ndarray, layout: tuple[str, ...]) -> bool:
    """Whether finite rows (N, k) can be what the names mean."""
    return rows.shape[1] == len(layout) and len(rows) > 0 and not _misfit(rows, layout)


def _misfit(rows: np.ndarray, layout: tuple[str, ...]) -> str:
    """The first columns of finite rows (N, k) that cannot be what the names mean, and their range; empty if all can."""
    if not len(rows):
        return "no row of finite numbers"
    if np.abs(rows[:, :3]).max() > _FARTHEST:
        return f"columns 1 to 3 ({_range(rows[:, :3])}) are no coordinates"
    for names, can_be, what in _KINDS:
        if names[0] in layout:
            first, last = layout.index(names[0]), layout.index(names[-1])
            values = rows[:, first : last + 1]
            if not can_be(values.T):
                place = f"column {first + 1}" if first == last else f"columns {first + 1} to {last + 1}"
                return f"{place} ({_range(values)}) {'is' if first == last else 'are'} no {what}"
    return ""


def _range(values: np.ndarray) -> str:
    return f"{values.min():.5g} to {values.max():.5g}"


def _is_intensity(values: np.ndarray) -> bool:
    return bool(values.min() >= 0 and values.max() <= 65535)


def _is_ring(values: np.ndarray) -> bool:
    return bool(values.min() >= 0 and values.max() <= _HIGHEST_RING and (values == np.floor(values)).all())


def _is_time(values: np.ndarray) -> bool:
    # Several whole numbers are rings; one sweep's lag is 0 throughout.
    lags = (values != np.floor(values)).any() or not values.any()
    return bool(lags and np.abs(values).max() <= _LONGEST_SECONDS)


def _is_colour(values: np.ndarray) -> bool:
    if values.min() < 0 or values.max() > 255:
        return False
    return bool(values.max() <= 1 or (values == np.floor(values)).all())


def _is_normal(values: np.ndarray) -> bool:
    lengths = np.linalg.norm(values, axis=0)
    return bool((np.abs(lengths - 1) < 0.01).mean() > 0.9 and values.min() < 0)


_KINDS = (
    (("intensity",), _is_intensity, "intensity"),
    (("ring",), _is_ring, "ring"),
    (("time",), _is_time, "age in seconds"),
    (_COLOURS, _is_colour, "colours"),
    (_NORMALS, _is_normal, "normals"),
)
