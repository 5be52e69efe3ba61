"""Text with one point a line (`.xyz`, `.txt`, `.csv`, `.asc`, Leica's `.pts`): any separators, names or none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.points.layouts import check_columns, guess_columns
from vol3d.scans.points.raw import COORDINATES, COPY, RawPoints, table_fields, unique_names
from vol3d.scans.points.text_table import Rows, parse_rows

_SEPARATORS = re.compile(r'[\s,;"]+')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf)\w*", re.IGNORECASE)
_HEAD = 1 << 16  # bytes in which the first point must begin
_PTS = {
    3: COORDINATES,
    4: (*COORDINATES, "intensity"),
    6: (*COORDINATES, "red", "green", "blue"),
    7: (*COORDINATES, "intensity", "red", "green", "blue"),
}


def read_text(path: Path, columns: tuple[str, ...] | None = None) -> RawPoints:
    """Points of a text file.

    Names come from `columns`, from the line before the first point (a comment or not) or from the values.

    Raises:
        DataError: a word that is no number, lines of different length (each with its line number), no x, y and z.
        UsageError: `columns` that cannot be.
    """
    text = np.fromfile(path, np.uint8)
    head = _read_head(text, path)
    notes = []
    if head.decimal_comma:
        text = np.frombuffer(text.tobytes().replace(b",", b"."), np.uint8)
        notes.append(Note("decimal-commas", "commas were read as decimal points, semicolons separate the columns"))
    rows = parse_rows(text[head.size :], path, head.lines + 1)
    rows = _without_counts(rows, path) if path.suffix.lower() == ".pts" else rows
    if not len(rows):
        raise DataError("no points in the file", where=path, do=COPY)
    table = rows.table(path)
    names, guessed = _names(table, head, path, columns)
    return RawPoints(table_fields(table, names), notes=(*notes, *guessed))


def _names(
    table: np.ndarray, head: _Head, path: Path, columns: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """The names of the columns: as asked for, as the head or the format has them, or guessed."""
    count, is_pts = table.shape[1], path.suffix.lower() == ".pts"
    if columns is not None:
        return check_columns(columns, count, path), ()
    if len(head.names) == count and set(COORDINATES) <= set(head.names):
        unique_names(list(head.names), path)
        return head.names, ()
    if head.names and not head.is_comment:
        got, wanted = " ".join(head.names), f"{count} names with x, y and z"
        do = "Name the columns, `--columns x,y,z,_` for example."
        raise DataError("the header does not name the columns", where=path, got=got, wanted=wanted, do=do)
    if count == 3 or (is_pts and count in _PTS):
        return _PTS[count], ()
    names, note = guess_columns(table, path)
    return names, (note,)


@dataclass(frozen=True)
class _Head:
    """What stands before the first point: names if any, and how far it goes."""

    names: tuple[str, ...]
    is_comment: bool
    size: int
    lines: int
    decimal_comma: bool


def _read_head(text: np.ndarray, path: Path) -> _Head:
    begin = text[:_HEAD].tobytes()
    if b"\0" in begin:
        raise DataError("not a text file", where=path, do="Is it of another format than its name says?")
    names: tuple[str, ...] = ()
    is_comment, size = False, 0
    for number, line in enumerate(begin.splitlines(keepends=True)):
        words = _words(line)
        commented = bool(words) and words[0].startswith(("#", "//"))
        if words and not commented:
            if _NUMBER.fullmatch(words[0]):
                return _Head(names, is_comment, size, number, b";" in line and b"," in line)
            if names and not is_comment:
                got = repr(" ".join(words)[:60])
                raise DataError("a line that is no point", where=f"{path}:{number + 1}", got=got, do=COPY)
        if words:
            bare = " ".join(words).lstrip("#/ ").lower().split()
            names, is_comment = tuple(bare), commented
        size += len(line)
    raise DataError("no points in the file", where=path, do="Is it a table of numbers, a point a line?")


def _words(line: bytes) -> list[str]:
    return [word for word in _SEPARATORS.split(line.decode("utf-8-sig", "replace").strip()) if word]


def _without_counts(rows: Rows, path: Path) -> Rows:
    """A `.pts` file states the number of points on a separate line, once for each scan in it."""
    alone = rows.widths() == 1
    if not alone.any():
        return rows
    announced, points = int(rows.values[rows.starts[:-1][alone]].sum()), int((~alone).sum())
    if announced != points or not alone[0]:
        what = "the file is cut" if points < announced else "more points than the file announces"
        raise DataError(what, where=path, got=f"{points} points", wanted=announced, do=COPY)
    keep = np.repeat(~alone, rows.widths())
    return Rows(rows.values[keep], np.concatenate(([0], np.cumsum(rows.widths()[~alone]))), rows.lines[~alone])
