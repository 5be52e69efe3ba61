"""Every row of the papers' tables with the recipe that gives it: writes docs/reproduction.md.

python -m benchmarks.reproduction            write the page
python -m benchmarks.reproduction --check    exit with status 1 if the page is not up to date
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.common import RESULTS
from vol3d.config import recipes
from vol3d.config.header import read_header
from vol3d.errors import DataError
from vol3d.files import read_json, write_text

ROOT = Path(__file__).resolve().parents[1]
PAPERS, PAGE = ROOT / "benchmarks" / "papers.yaml", ROOT / "docs" / "reproduction.md"
NOT_MEASURED = "not measured"
_INTRODUCTION = (
    "A command lacks only the place of the data, `data.root=DATA`, which [the page on data](data.md) describes."
    " A teacher is trained first, with its own recipe, into the folder that the command names."
    " The full trainings need GPUs and data sets that are not part of this package."
)
_TABLE, _ROW = {"paper", "table", "conditions", "here", "columns", "small", "rows"}, {"row", "published", "recipe"}
_ROW |= {"settings", "teacher", "small", "note"}


@dataclass(frozen=True)
class Row:
    """A line of a printed table.

    Args:
        name: as printed.
        published: the numbers, as printed, in the order of the table's columns.
        recipe: what gives it, or would; "" where nothing does.
        settings: that the recipe needs for it.
        teacher: recipe of the network that teaches it.
        small: figures of a small version, ready to be printed.
        note: what differs from the paper.
    """

    name: str
    published: tuple[str, ...]
    recipe: str = ""
    settings: tuple[str, ...] = ()
    teacher: str = ""
    small: str = ""
    note: str = ""

    @property
    def has_recipe(self) -> bool:
        """Whether its recipe is part of this package."""
        return self.recipe in recipes()

    @property
    def command(self) -> str:
        """Without the data."""
        verb, teacher = ("distill", [f"distill.teacher=runs/{self.teacher}"]) if self.teacher else ("train", [])
        words = [f"'{word}'" if set(word) & set("{} ") else word for word in (*teacher, *self.settings)]
        return " ".join(["vol3d", verb, self.recipe, *words])


@dataclass(frozen=True)
class Table:
    """A printed table, or the part of one that has the same columns and conditions."""

    paper: str
    name: str
    conditions: str
    here: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_tables(path: Path = PAPERS) -> list[Table]:
    """The tables of the data file; every value as it is written there.

    Raises:
        DataError: an unknown key, or a row with another number of columns or without its figures.
    """
    return [_table(entry, path) for entry in yaml.load(path.read_text("utf-8"), yaml.BaseLoader)]


def _table(entry: Mapping[str, Any], path: Path) -> Table:
    _check_keys(entry, _TABLE, path)
    columns, small = tuple(entry["columns"]), entry.get("small", {})
    rows = tuple(_row(row, len(columns), small, path) for row in entry["rows"])
    return Table(entry["paper"], entry["table"], entry["conditions"], entry.get("here", ""), columns, rows)


def _row(entry: Mapping[str, Any], columns: int, small: Mapping[str, Any], path: Path) -> Row:
    _check_keys(entry, _ROW, path)
    published = tuple(entry["published"])
    if len(published) != columns:
        raise DataError("a row with another number of columns", where=path, got=entry["row"], wanted=columns)
    figures = _figures(small, entry["small"]) if "small" in entry else ""
    texts = {key: entry.get(key, "") for key in ("recipe", "teacher", "note")}
    return Row(entry["row"], published, settings=tuple(entry.get("settings", ())), small=figures, **texts)


def _check_keys(entry: Mapping[str, Any], known: set[str], path: Path) -> None:
    if unknown := set(entry) - known:
        raise DataError("an unknown key", where=path, got=", ".join(sorted(unknown)), wanted=", ".join(sorted(known)))


def _figures(small: Mapping[str, Any], row: str) -> str:
    """Mean and deviation over the seeds of a small version, from a file of results."""
    rows = read_json(RESULTS / small["file"])["rows"]
    if row not in rows:
        raise DataError("no such row among the results", where=RESULTS / small["file"], got=row)
    found = rows[row]
    spreads = {name: found[key] for name, key in small["columns"].items()}
    numbers = [f"{name} {one['mean']:.3f} ± {one['deviation']:.3f}" for name, one in spreads.items()]
    return f"{', '.join(numbers)} ({small['how']}, {len(found['seeds'])} seeds, `benchmarks/results/{small['file']}`)"


def page(tables: Sequence[Table]) -> str:
    """The page."""
    rows = [row for table in tables for row in table.rows]
    without = sum(not row.has_recipe for row in rows)
    counts = f"{len(rows)} published rows: {len(rows) - without} have a recipe, {without} have none."
    parts = [
        "# Reproduction: the papers' tables, row by row",
        "<!-- Written by `python -m benchmarks.reproduction` from benchmarks/papers.yaml, the headers of configs/ and"
        "\nbenchmarks/results/. Change those. -->",
        textwrap.fill(f"{counts} {_INTRODUCTION}", 118),
        *map(_section, tables),
        _others({row.recipe for row in rows}),
    ]
    return "\n\n".join(parts) + "\n"


def _section(table: Table) -> str:
    head = f"## {table.paper}, table {table.name}"
    conditions = f"Published: {table.conditions}." + (f" Here: {table.here}." if table.here else "")
    lines = [_line(["row", *table.columns, "how", "measured here"])]
    lines.append(_line(["---", *["--:"] * len(table.columns), "---", "---"]))
    for row in table.rows:
        how = f"`{row.command}`" if row.has_recipe else "no recipe"
        how += f"; {row.note}" if row.note else ""
        measured = f"{NOT_MEASURED}; {row.small}" if row.small else NOT_MEASURED
        lines.append(_line([row.name, *row.published, how, measured]))
    return f"{head}\n\n{conditions}\n\n" + "\n".join(lines)


def _others(named: set[str]) -> str:
    """The recipes that no printed row of above names: of model zoos and toolboxes, of other papers, small ones."""
    lines = [_line(["recipe", "paper", "expected"]), _line(["---"] * 3)]
    for name, path in recipes().items():
        if name not in named:
            header = read_header(path)
            lines.append(_line([f"`{name}`", header.paper, header.expected]))
    return "## Recipes that give none of these rows\n\nWhat their headers say.\n\n" + "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> int:
    """Writes the page, or says whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the page is not up to date")
    text = page(read_tables())
    if not parser.parse_args().check:
        write_text(PAGE, text)
        return 0
    current = PAGE.is_file() and PAGE.read_text("utf-8") == text
    print("up to date" if current else "the page is not up to date: run python -m benchmarks.reproduction")
    return 0 if current else 1


if __name__ == "__main__":
    sys.exit(main())
