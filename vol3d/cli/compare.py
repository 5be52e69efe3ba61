"""`vol3d compare`: do two evaluations of the same cases differ, or two trainings by more than their seeds do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d.cli.console import cell, print_first_columns, print_json
from vol3d.cli.options import Json
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.comparison.result import Comparison, Difference

_SCORES = "A run, a folder of scores or of folds, evaluation.json or cases.csv; or a folder of seeds."


def compare(
    a: Annotated[Path, typer.Argument(help=_SCORES, metavar="A")],
    b: Annotated[Path, typer.Argument(help="The same, scored on the same cases.", metavar="B")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a report of two trainings with several seeds.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two runs: paired test and interval of the difference B - A, by case or by seed.

    [bold]Examples[/bold]

      vol3d compare scores/unetr scores/nnunet
      vol3d compare runs/a/cases.csv runs/b/cases.csv --json
      vol3d compare runs/scratch_seeds runs/pretrained_seeds -o compared
    """
    import vol3d

    comparison = vol3d.compare(a, b, out=out)
    if out is not None:
        say(f"report: {out / 'report.html'}")
    if as_json:
        print_json(comparison.to_dict())
        return
    show(comparison)


def show(comparison: Comparison) -> None:
    """A row for each metric and class, and what is to be known of them."""
    seeds = comparison.kind == "seeds"
    columns = ["metric", "class", comparison.kind, "A", "B", "B - A", "95 % interval", "p", "p Holm", "better"]
    columns += ["seeds needed"] if seeds else []
    rows = [[*_row(one), *([one.needed] if seeds else [])] for one in comparison.differences]
    if more := print_first_columns(columns, rows):
        say(f"{more} more columns: --json prints them")
    for note in comparison.notes:
        print(note)
    test = "paired t-test" if seeds else "Wilcoxon's signed-rank test, intervals by bootstrap over cases"
    say(f"A {comparison.a}; B {comparison.b}; {test}; 'better' where p corrected by Holm's rule is below 0.05")


def _row(one: Difference) -> list[Any]:
    low, high = one.interval
    interval = f"{cell(low)} to {cell(high)}"
    return [one.title, one.name, one.pairs, one.a, one.b, one.difference, interval, one.p, one.p_holm, one.winner]
