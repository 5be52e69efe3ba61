"""`vol3d import`: weights that authors released, as a folder that every verb takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vol3d import catalog
from vol3d.errors import UsageError
from vol3d.files import make_folder
from vol3d.output import require_output
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.engine.task import TakesModel


def import_weights(
    name: Annotated[str, typer.Argument(help="Name of the released model, as in 3detr-m-scannet.", metavar="NAME")],
    file: Annotated[Path, typer.Argument(help="File of the released weights.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder, for evaluate and predict.")],
) -> None:
    """Import released weights for evaluate and predict, strictly and without running code from the file.

    [bold]Examples[/bold]

      vol3d import 3detr-m-scannet scannet_masked_ep1080.pth -o runs/3detr-m
      vol3d evaluate runs/3detr-m --data DATA/ScanNet
      vol3d predict runs/3detr-m scan.ply -o out
    """
    entry = catalog.find(name, catalog.RELEASED, "released model")
    if entry.recipe is None:
        known = ", ".join(key for key, one in catalog.RELEASED.items() if one.recipe)
        do = f'In Python: vol3d.load_released("{name}", "{file}").'
        raise UsageError("these weights lack settings that a prediction needs", got=name, wanted=known, do=do)
    if (out / "best.safetensors").exists():  # perhaps days of somebody's training
        raise UsageError("the folder already holds a model", where=out, do="Choose another folder for -o.")
    require_output(out)
    import vol3d
    from vol3d.checkpoint import is_own, save_best
    from vol3d.config import load_task
    from vol3d.engine.task import Evaluation

    if is_own(file):
        do = f"Give evaluate and predict its folder, {file.parent}."
        raise UsageError("a model of vol3d, which needs no import", where=file, do=do)
    model = vol3d.load_released(name, file)
    task = cast("TakesModel", load_task(entry.recipe)).for_model(model)
    save_best(make_folder(out), model, task, Evaluation(float("nan"), "not evaluated", {}), step=0)
    say(f"{name} with {len(task.class_names)} classes is in {out}")
