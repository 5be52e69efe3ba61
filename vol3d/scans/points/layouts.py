"""What the columns of a table without names are: asked for, or read from their values where only one layout fits.

A layout fits where the values show it, and not merely because they can be that: `column_kinds.py` has what each kind
of column shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans.points.column_kinds import COLOURS, KINDS, NORMALS, can_be_ring, is_counter
from vol3d.scans.points.raw import COORDINATES

LAYOUTS = (
    COORDINATES,
    (*COORDINATES, "intensity"),
    (*COORDINATES, "intensity", "ring"),
    (*COORDINATES, "intensity", "time"),
    (*COORDINATES, *COLOURS),
    (*COORDINATES, *NORMALS),
    (*COORDINATES, "intensity", "ring", "time"),
    (*COORDINATES, "intensity", *COLOURS),
)
"""KITTI has four columns, nuScenes five (its `.pcd.bin` ends in the ring), indoor sets six with colours."""
_FARTHEST = 1e8  # larger numbers are no coordinates in any unit
_NO_NUMBER = 3e38  # the end of float32, which stands for no value
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


def guess_columns(table: np.ndarray, path: Path, hint: str | None = None) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Names for the columns of a table (N, k), and the note that states them; three columns are x, y and z.

    Args:
        hint: a name that the last column has if nothing else decides.

    Raises:
        DataError: no known layout fits its values, or several do; a column counts the points.
    """
    refuse_counter(table, path)
    if table.shape[1] == 3:
        return COORDINATES, ()
    rows = telling_rows(table)
    fitting = [layout for layout in LAYOUTS if fits(rows, layout, hint)]
    if len(fitting) > 1 and hint is not None:
        fitting = [layout for layout in fitting if layout[-1] == hint] or fitting
    if len(fitting) != 1:
        raise unclear([",".join(layout) for layout in fitting], f"{table.shape[1]} columns{misfits(table)}", path)
    return fitting[0], (assumed(fitting[0], len(table)),)


def refuse_counter(table: np.ndarray, path: Path) -> None:
    """Raises DataError if a column of a table (N, k) is the number of each point, in order or not."""
    counters = [is_counter(column) for column in table.T]
    if any(counters) and not all(counters[:3]):
        column = counters.index(True)
        got = f"column {column + 1} ({table[:, column].min():.10g} to {table[:, column].max():.10g})"
        names = ["_", *COORDINATES] if column == 0 else [*COORDINATES, *"_" * table.shape[1]]
        do = f"Name the columns, `--columns {','.join(names[: table.shape[1]])}` for example; _ leaves one out."
        raise DataError("a column that counts the points", where=path, got=got, do=do)


def telling_rows(table: np.ndarray) -> np.ndarray:
    """Finite rows from all over a table (N, k), without those at (0, 0, 0) and, if these are few, of huge numbers."""
    rows = table[:: max(1, len(table) // _SEEN)]
    rows = rows[np.isfinite(rows).all(axis=1) & (np.abs(rows) < _NO_NUMBER).all(axis=1)]
    rows = rows[rows[:, :3].any(axis=1)] if rows[:, :3].any() else rows
    near = (np.abs(rows) <= _FARTHEST).all(axis=1)
    return rows[near] if (~near).sum() <= _STRAY * len(rows) else rows


def misfits(table: np.ndarray) -> str:
    """Why no layout of k columns fits a table (N, k), `: column 4 (-3 to 1) is no intensity`; empty for other k."""
    if empty := [str(number + 1) for number, column in enumerate(table.T) if not np.isfinite(column).any()]:
        return f": no finite number in column {', '.join(empty)}"
    rows = telling_rows(table)
    faults = [_misfit(rows, layout) for layout in LAYOUTS if len(layout) == table.shape[1]]
    return ": " + "; ".join(dict.fromkeys(filter(None, faults))) if any(faults) else ""


def assumed(columns: tuple[str, ...], points: int) -> Note:
    """What was assumed of the columns."""
    text = "columns {value} were assumed from the values of {points} points; override with --columns"
    return Note("columns-assumed", text, "columns", ",".join(columns), assumed=True, numbers={"points": points})


def unclear(fitting: list[str], got: str, path: Path, example: str = "x,y,z,intensity") -> DataError:
    """The error for columns that could be several things, or none; `example` is for none."""
    example = fitting[0] if fitting else example
    return DataError(
        f"{'several layouts fit' if fitting else 'no known layout fits'} the numbers in this file",
        where=path,
        got=" or ".join(fitting) or got,
        do=f"Name its columns, `--columns {example}` for example; _ leaves one out.",
    )


def fits(rows: np.ndarray, layout: tuple[str, ...], hint: str | None = None) -> bool:
    """Whether finite rows (N, k) are what the names mean; a ring that `hint` names needs no other proof."""
    return rows.shape[1] == len(layout) and len(rows) > 0 and not _misfit(rows, layout, hint)


def _misfit(rows: np.ndarray, layout: tuple[str, ...], hint: str | None = None) -> str:
    """The first columns of finite rows (N, k) that are not what the names mean, and why; empty if all are."""
    if not len(rows):
        return "no row of finite numbers"
    if np.abs(rows[:, :3]).max() > _FARTHEST:
        return f"columns 1 to 3 ({_range(rows[:, :3])}) are no coordinates"
    for names, fault_of in KINDS:
        if names[0] in layout:
            first, last = layout.index(names[0]), layout.index(names[-1])
            values = rows[:, first : last + 1]
            hinted = hint == "ring" and hint in names and can_be_ring(values)
            fault = "" if hinted else fault_of(values, rows)
            if fault:
                place = f"column {first + 1}" if first == last else f"columns {first + 1} to {last + 1}"
                return f"{place} ({_range(values)}) {fault}"
    return ""


def _range(values: np.ndarray) -> str:
    return f"{values.min():.5g} to {values.max():.5g}"
