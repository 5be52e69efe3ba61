"""`vol3d import`: weights that authors released, as a folder that every verb takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vol3d import catalog
from vol3d.errors import UsageError
from vol3d.files import make_folder, sha256, write_json
from vol3d.output import require_output
from vol3d.terminal import say

if TYPE_CHECKING:
    from vol3d.engine.task import TakesModel
    from vol3d.released.store import Offer

SOURCE = "released.json"
"""Beside imported weights: whose they are, and their licence."""


def import_weights(
    name: Annotated[str, typer.Argument(help="Name of the released model, as in 3detr-m-scannet.", metavar="NAME")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder, for evaluate and predict.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="File of the released weights; without it, the published file is fetched.", metavar="FILE"),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Where to take the published file from, by default its official address.",
            metavar="URL|FOLDER",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.")] = False,
) -> None:
    """Import released weights for evaluate and predict, strictly and without running code from the file.

    Files are cached in VOL3D_CACHE, by default ~/.cache/vol3d. VOL3D_OFFLINE=1 switches downloads off.

    [bold]Examples[/bold]

      vol3d import 3detr-m-scannet -o runs/3detr-m
      vol3d import 3detr-m-scannet scannet_masked_ep1080.pth -o runs/3detr-m
      vol3d predict runs/3detr-m scan.ply -o out
    """
    recipe = catalog.find(name, catalog.RELEASED, "released model").recipe
    if file is not None and (mirror is not None or yes):
        raise UsageError("--from and --yes belong to a download, and a FILE is given", got=file, do="Leave one out.")
    if (out / "best.safetensors").exists():  # perhaps days of somebody's training
        raise UsageError("the folder already holds a model", where=out, do="Choose another folder for -o.")
    require_output(out)
    _import(name, str(recipe), out, _published(name, mirror, yes) if file is None else file, is_published=file is None)


def _published(name: str, mirror: str | None, yes: bool) -> Path:
    from vol3d.released.store import fetch

    can_ask = sys.stdin is not None and sys.stdin.isatty()
    return fetch(name, mirror, _agree_to if yes else _ask if can_ask else None)


def _agree_to(offer: Offer) -> bool:
    for line in offer.lines():
        say(line)
    return True


def _ask(offer: Offer) -> bool:
    return _agree_to(offer) and typer.confirm("Download it?", err=True)


def _import(name: str, recipe: str, out: Path, file: Path, is_published: bool) -> None:
    import vol3d
    from vol3d.checkpoint import is_own, save_best
    from vol3d.config import load_task
    from vol3d.engine.task import Evaluation
    from vol3d.released.table import direct, identify

    if is_own(file):
        do = f"Give evaluate and predict its folder, {file.parent}."
        raise UsageError("a model of vol3d, which needs no import", where=file, do=do)
    model = vol3d.load_released(name, file)
    task = cast("TakesModel", load_task(recipe)).for_model(model)
    save_best(make_folder(out), task.holding(model), task, Evaluation(float("nan"), "not evaluated", {}), step=0)
    if source := direct(name) if is_published else identify(name, file):
        write_json(out / SOURCE, {**source.facts(), "sha256": sha256(file)})
        say(f"licence: {source.licence}; trained on {source.data}")
    say(f"{name} with {len(task.class_names)} classes is in {out}")
