"""`metrics.csv`: how the numbers of a run went, step by step; nothing of a run depends on it."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

from vol3d.files import write_text
from vol3d.notes import Note
from vol3d.printable import one_line

_CUT = "\0"


class Metrics:
    """A row for a step, a column for a number; an empty cell was not measured then.

    Rows are appended in one write each, so a killed run leaves whole rows; rows after `step` are cut off at a resume. A
    number seen for the first time adds a column at the right.

    Args:
        damaged: what a resume left out because it could not be read; None if there was nothing.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.columns = ["step", "epoch"]
        self.damaged: Note | None = None
        if step and not path.exists():
            template = "metrics.csv is missing, and the curves begin at step {step}"
            self.damaged = Note("metrics-missing", template, numbers={"step": step})
        self._rewrite(self._kept(step))

    def _kept(self, step: int) -> list[dict[str, str]]:
        """The whole rows up to `step`; a file whose first line is not that of such a table has none."""
        head, *lines = _lines(self.path)
        columns = _cells(head)
        if columns[:2] != ["step", "epoch"] or len(set(columns)) != len(columns) or not all(map(_is_name, columns)):
            self._note(len(lines) + bool(head))
            return []

        self.columns = columns
        rows = [_row(line, columns) for line in lines]
        self._note(rows.count(None))
        return [row for row in rows if row is not None and int(row["step"]) <= step]

    def _note(self, lines: int) -> None:
        if lines:
            template = "metrics.csv was damaged: {lines} of its lines could not be read, and the curves lack them"
            self.damaged = Note("metrics-damaged", template, numbers={"lines": lines})

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())

    def append(self, step: int, epoch: int, values: dict[str, float]) -> None:
        """Adds the row of `step`."""
        values = {one_line(name): value for name, value in values.items()}
        fresh = [name for name in values if name not in self.columns]
        if fresh:
            rows = self._kept(sys.maxsize)
            self.columns += fresh
            self._rewrite(rows)
        cells = {"step": str(step), "epoch": str(epoch), **{name: f"{value:.7g}" for name, value in values.items()}}
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="", lineterminator="\n").writerow(cells)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())


def _lines(path: Path) -> list[str]:
    """The table's lines, at least one; a cut last one with a mark that no line of a table has."""
    if not path.is_file():  # missing, or a pipe
        return [""]
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return [_CUT]
    *whole, rest = text.split("\n")
    return [*whole, rest + _CUT] if rest else whole or [""]


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _row(line: str, columns: list[str]) -> dict[str, str] | None:
    """A line of the table, None if it is damaged."""
    cells = _cells(line)
    good = len(cells) == len(columns) and all(map(_is_count, cells[:2])) and all(map(_is_number, cells[2:]))
    return dict(zip(columns, cells, strict=True)) if good else None


def _is_name(text: str) -> bool:
    return bool(text) and one_line(text) == text


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _is_number(text: str) -> bool:
    try:
        return not text or ("_" not in text and float(text) is not None)
    except ValueError:
        return False
