"""Text of numbers to a table in which every row has as many as the first, or an error that names the line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vol3d.errors import DataError


@dataclass(frozen=True, eq=False)
class Rows:
    """Lines of numbers, comments and empty lines left out.

    Args:
        values: (V,) float64, all numbers in order.
        starts: (R + 1,) where each row begins in `values`, and the end.
        lines: (R,) line of each row in the file, from 1.
    """

    values: np.ndarray
    starts: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, begin: int, end: int) -> Rows:
        """Rows `begin` to `end`."""
        return Rows(self.values, self.starts[begin : end + 1], self.lines[begin:end])

    def widths(self) -> np.ndarray:
        """(R,) how many numbers each row has."""
        return np.diff(self.starts)

    def table(self, path: Path, columns: int | None = None) -> np.ndarray:
        """(R, columns), as many columns as the first row has by default.

        Raises:
            DataError: a row with another number of values.
        """
        widths = self.widths()
        columns = (int(widths[0]) if len(widths) else 0) if columns is None else columns
        if (wrong := widths != columns).any():
            row = int(wrong.argmax())
            raise DataError(
                "a line with another number of values", where=f"{path}:{self.lines[row]}", got=widths[row],
                wanted=columns, do="The line is damaged, or the file is cut there.",
            )  # fmt: skip
        return self.values[self.starts[0] : self.starts[-1]].reshape(len(self), columns)


def parse_rows(text: bytes | np.ndarray, path: Path, first_line: int = 1) -> Rows:
    """Every number of a text; blanks, tabs, commas, semicolons and double quotes separate them.

    Lines that begin with `#` or `//` are comments.

    Raises:
        DataError: a word that is no number, with its line.
    """
    from vol3d.scans.points.text_kernels import count_tokens, parse_lines

    data = np.frombuffer(text, np.uint8)
    tokens, lines = count_tokens(data)
    values, starts = np.empty(tokens), np.zeros(lines + 1, np.int64)
    numbers = np.empty(lines, np.int64)
    rows, fault = parse_lines(data, first_line, values, starts, numbers)
    if fault:
        line = bytes(data).split(b"\n", fault - first_line + 1)[fault - first_line]
        raise DataError(
            "a word that is no number", where=f"{path}:{fault}", got=repr(line[:80].decode("utf-8", "replace").strip()),
            do="The file is damaged or is no table of numbers.",
        )  # fmt: skip
    return Rows(values[: starts[rows]], starts[: rows + 1], numbers[:rows])
