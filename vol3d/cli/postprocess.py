"""`vol3d postprocess`: which classes keep only their largest piece, as the folds decide."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vol3d import catalog
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Device, Json
from vol3d.terminal import progress, say


def postprocess(
    runs: Annotated[
        Path, typer.Argument(metavar="RUNS", help="A folder of folds, of `vol3d train --folds`, or a run.")
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="ROOT", help="The data set's folder.  Default: where it was trained."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only decide; write nothing.")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Keep only the largest piece of a class where that raises the folds' mean Dice and lowers no class's.

    Each fold's model segments its own validation cases; the decision is written into the checkpoints of all folds.

    [bold]Examples[/bold]

      vol3d postprocess runs/cv
      vol3d postprocess runs/cv --data DATA/Task04_Hippocampus --dry-run
      vol3d postprocess runs/cv --json > decision.json
    """
    from vol3d.engine.device import pick_device

    chosen = pick_device(device, "--device")
    with progress("predicting") as report:
        choice = catalog.load(catalog.CHOOSE_POSTPROCESS)(runs, data, chosen, report, not dry_run)
    if as_json:
        print_json(asdict(choice))
    else:
        columns = ["Dice", *choice.scored]
        rows = [["as predicted", *choice.before]]
        rows += [[f"largest piece of {name}", *means] for name, means in choice.alone.items()]
        print_table(columns, [*rows, ["as decided", *choice.after]])
    kept = ", ".join(choice.classes) or "no class"
    say(f"{choice.cases} cases of {choice.folds} models: the largest piece alone is kept of {kept}")
    say("nothing was written" if dry_run else f"postprocess.largest_component is set in {runs}")
