"""`vol3d score`: masks against masks, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vol3d.cli.console import SOME_FAILED
from vol3d.cli.evaluate import show
from vol3d.cli.options import Behind, Json
from vol3d.output import require_output
from vol3d.terminal import progress, say

if TYPE_CHECKING:
    from vol3d.view.theme import Background


def score(
    predicted: Annotated[Path, typer.Argument(help="A folder of masks, a pattern, or one mask.", metavar="PREDICTED")],
    truth: Annotated[Path, typer.Argument(help="The same of the truth; masks are paired by name.", metavar="TRUTH")],
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="Data set's JSON with the classes.  Default: dataset.json in or beside the folders, else the names in "
            "the masks, else their numbers.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, metavar="MM", help="How far apart surfaces may be for NSD, in mm.")
    ] = 1.0,
    lesion_iou: Annotated[
        float, typer.Option(min=0, max=1, metavar="S", help="Least overlap (IoU) of a detected lesion.")
    ] = 0.1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the scores, pictures and report.")] = None,
    background: Behind = "dark",
    as_json: Json = False,
) -> None:
    """Score masks that any program made: Dice, HD95, NSD, volumes and detected lesions, per case and class.

    Exits with status 3 if some cases could not be scored.

    [bold]Examples[/bold]

      vol3d score predictions DATA/Task04_Hippocampus/labelsTr -o scores
      vol3d score 'out/*.nii.gz' truth --classes DATA/mine/dataset.json --tolerance 2
      vol3d score mask.nrrd truth.dcm --json
    """
    import vol3d

    if out is not None:
        require_output(out)  # before minutes of work
    with progress("scoring") as report:
        evaluation = vol3d.score(
            predicted,
            truth,
            classes=classes,
            tolerance_mm=tolerance,
            lesion_iou=lesion_iou,
            out=out,
            background=cast("Background", background),
            progress=report,
        )
    show(evaluation, as_json, out)
    if left_out := evaluation.summary.get("not_scored"):
        say(f"{len(left_out)} of {len(left_out) + evaluation.summary['cases']} cases were not scored")
        raise typer.Exit(SOME_FAILED)
