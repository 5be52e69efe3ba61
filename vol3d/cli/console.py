"""What the verbs print on stdout: tables, and results as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vol3d.files import plain
from vol3d.printable import one_line, printable_json
from vol3d.terminal import console

if TYPE_CHECKING:
    from rich.table import Table


SOME_FAILED = 3
"""Exit status where some of several inputs, cases or seeds failed and the others are done."""

FORMAT = 2
"""Of what `--json` prints: raised when a key changes its meaning or goes; new keys do not raise it."""


def print_json(content: Mapping[str, Any]) -> None:
    """Exactly one JSON object on stdout, `format` first; NaN and infinity, which JSON does not have, become null."""
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    versioned = {"format": FORMAT, **plain(content)}
    print(printable_json(json.dumps(versioned, indent=2, ensure_ascii=not unicode, allow_nan=False)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table; numbers stand to the right, with four places at most. Long cells are broken."""
    console().print(_table(columns, rows, title))


def print_first_columns(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """As `print_table`, but no cell is broken: the last columns are left out where there is no room; how many."""
    screen = console()
    unlimited = screen.options.update(width=sys.maxsize)
    tables = [_table(columns[:count], rows) for count in range(1, len(columns) + 1)]
    fitting = [one for one in tables if screen.measure(one, options=unlimited).maximum <= screen.width] or tables[:1]
    screen.print(fitting[-1])
    return len(columns) - len(fitting)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(one_line(title)) if title else None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        numeric = bool(cells) and all(value is None or isinstance(value, (int, float)) for value in cells)
        table.add_column(Text(one_line(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell(value))) for value in row[: len(columns)]))
    return table


def cell(value: Any) -> str:
    """A value as a reader wants it: `0.8831`, `12`, a dash for what is not there."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)
