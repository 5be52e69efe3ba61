"""`vol3d compare`: do two evaluations of the same cases differ, or two trainings by more than their seeds do?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli.console import cell, print_first_columns, print_json, print_table
from vol3d.cli.options import Json
from vol3d.errors import UsageError
from vol3d.output import require_output
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.comparison.result import Comparison

_SCORES = "A run, a folder of scores or of folds, evaluation.json or cases.csv; or a folder of seeds."


def compare(
    a: Annotated[Path, typer.Argument(help=_SCORES, metavar="A")],
    b: Annotated[Path, typer.Argument(help="The same, scored on the same cases.", metavar="B")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write a report, as in comparison.html.", metavar="HTML")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: paired test and interval of the difference B - A, by case or by seed.

    [bold]Examples[/bold]

      vol3d compare scores/unetr scores/nnunet
      vol3d compare runs/a/cases.csv runs/b/cases.csv -o comparison.html
      vol3d compare runs/scratch_seeds runs/pretrained_seeds -o seeds.html
    """
    import vol3d

    if out is not None:
        require_output(_page(out), folder=False)
    comparison = vol3d.compare(a, b)
    if out is not None:
        _write(out, comparison)
    if as_json:
        print_json(comparison.to_dict())
        return
    show(comparison)
    if out is not None:
        say(f"report written to {out}")


def _write(out: Path, comparison: Comparison) -> None:
    """The page; of seeds with how they spread."""
    if comparison.kind == "seeds":
        from vol3d.seeds.report import write_seed_comparison

        write_seed_comparison(out, comparison)
    else:
        from vol3d.report.comparison import write_comparison

        write_comparison(out, comparison)


def _page(out: Path) -> Path:
    if out.suffix.lower() != ".html":
        raise UsageError("not the name of a page", where="--out", got=out, wanted="a name that ends in .html")
    return out


def show(comparison: Comparison) -> None:
    """What is measured over all cases, a row for each metric and class, and what is to be known of them."""
    if comparison.totals:
        print_table(comparison.total_columns, [[_cell(value) for value in row] for row in comparison.total_rows()])
    titles = comparison.columns
    rows = [[_cell(value, title) for value, title in zip(row, titles, strict=True)] for row in comparison.rows()]
    if more := print_first_columns(titles, rows):
        say(f"more columns ({more}): --json prints them")
    for note in comparison.notes:
        print(note)
    corrected = "'better' where p corrected by Holm's rule is below 0.05"
    say(f"A {comparison.a}; B {comparison.b}; {comparison.test}; {corrected}")


def _cell(value: Any, title: str = "") -> Any:
    """An interval as text; a p value that four places show as 0 by its bound."""
    from vol3d.comparison.result import bounded

    if not isinstance(value, tuple):
        return bounded(value, title, 4)
    return " to ".join(map(cell, value)) if all(map(math.isfinite, value)) else None
