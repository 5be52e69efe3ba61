"""Text with one point a line (`.xyz`, `.txt`, `.csv`, `.asc`, Leica's `.pts`): any separators, names or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.decimal_commas import with_decimal_points
from vol3d.scans.points.layouts import check_columns, guess_columns, refuse_counter
from vol3d.scans.points.raw import COORDINATES, COPY, RawPoints, table_fields, unique_names
from vol3d.scans.points.text_head import Head, as_utf8, read_head
from vol3d.scans.points.text_table import Rows, parse_rows
from vol3d.scans.points.unit_words import unit_in_comments, unit_in_names

_PTS = {
    4: (*COORDINATES, "intensity"),
    6: (*COORDINATES, "red", "green", "blue"),
    7: (*COORDINATES, "intensity", "red", "green", "blue"),
}


def read_text(path: Path, columns: tuple[str, ...] | None = None) -> RawPoints:
    """Points of a text file.

    Names come from `columns`, from a line before the first point (a comment or not) or from the values.

    Raises:
        DataError: a word that is no number, lines of different length (each with its line number), commas that may
            be several things, no x, y and z.
        UsageError: `columns` that cannot be.
    """
    text = as_utf8(path.read_bytes(), path)
    head = read_head(text, path)
    text, notes = with_decimal_points(text[head.size :], path)
    rows = _without_count(parse_rows(text, path, head.lines + 1), path)
    if not len(rows):
        raise DataError("no points in the file", where=path, do=COPY)
    table = rows.table(path)
    table, numbered = _without_numbered_header(table, text)
    names, guessed = _names(table, head, path, columns)
    plain, unit, fault = unit_in_names(names)
    if unit is None and fault is None:
        unit, fault = unit_in_comments(head.comments)
    return RawPoints(table_fields(table, plain), None, (*notes, *numbered, *guessed), None, unit, fault)


def _names(
    table: np.ndarray, head: Head, path: Path, columns: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """The names of the columns: as asked for, as the head or the format has them, or guessed."""
    count, names = table.shape[1], head.names(table.shape[1])
    if columns is not None:
        return check_columns(columns, count, path), ()
    if len(names) == count and set(COORDINATES) <= set(unit_in_names(names)[0]):
        unique_names(list(names), path)
        return names, ()
    if names and not head.is_comment:
        got, wanted = " ".join(names), f"{count} names with x, y and z"
        do = "Name the columns, `--columns x,y,z,_` for example."
        raise DataError("the header does not name the columns", where=path, got=got, wanted=wanted, do=do)
    if path.suffix.lower() == ".pts" and count in _PTS:
        refuse_counter(table, path)
        return _PTS[count], ()
    return guess_columns(table, path)


def _without_count(rows: Rows, path: Path) -> Rows:
    """Many programs state the number of points on the first line, and `.pts` files once for each scan in them."""
    alone = rows.widths() == 1
    if not len(rows) or not alone[0] or alone.all():
        return rows
    if path.suffix.lower() != ".pts":
        alone[1:] = False
    announced, points = rows.values[rows.starts[:-1][alone]].sum(), int((~alone).sum())
    if announced != points:
        what = "the file is cut" if points < announced else "more points than the file announces"
        raise DataError(what, where=path, got=f"{points} points", wanted=f"{announced:.0f}", do=COPY)
    keep = np.repeat(~alone, rows.widths())
    return Rows(rows.values[keep], np.concatenate(([0], np.cumsum(rows.widths()[~alone]))), rows.lines[~alone])


def _without_numbered_header(table: np.ndarray, text: bytes) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Tables without names are saved with the numbers 0, 1, 2 ... of their columns as the first line."""
    first, _, rest = text.lstrip().partition(b"\n")
    numbered = len(table) > 1 and np.array_equal(table[0], np.arange(table.shape[1]))
    if not numbered or b"." in first or b"." not in rest.partition(b"\n")[0]:
        return table, ()
    note = Note("numbered-header", "the first line numbers the {columns} columns and is no point",
                numbers={"columns": table.shape[1]})  # fmt: skip
    return table[1:], (note,)
