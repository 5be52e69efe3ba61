"""`vol3d plan`: a recipe for a new data set, with the reason for each of its lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vol3d import catalog
from vol3d.cli.console import print_json
from vol3d.cli.data import Dataset, Root, Words, Workers, find_data
from vol3d.cli.options import Device, Json
from vol3d.errors import UsageError
from vol3d.output import require_new_file
from vol3d.terminal import progress, say


def plan(
    dataset: Dataset,
    root: Root,
    out: Annotated[Path, typer.Option("--out", "-o", help="The recipe, a YAML file.", metavar="FILE")],
    words: Words = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="residual_unet or unetr.")] = "residual_unet",
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="For a training step, 8GB.  Default: half of the free main memory, 90 % of a GPU's."
        ),
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.01, metavar="H", help="That a fold may train; steps are timed on this machine.")
    ] = 2.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", "--force", help="Replace FILE where it exists.")] = False,
    workers: Workers = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Plan the training of a data set of volumes: its fingerprint becomes a recipe with a comment on each line.

    [bold]Examples[/bold]

      vol3d plan folder DATA/mine -o mine.yaml
      vol3d plan msd DATA/Task04_Hippocampus -o hippocampus.yaml --model unetr --memory 4GB
      vol3d plan nnunet nnUNet_raw/Dataset101_Mine -o mine.yaml --hours 12 --device cuda
    """
    entry = catalog.find(dataset, catalog.DATASETS, "data set")
    if entry.task not in catalog.PLANNERS:
        got = f"{dataset} ({entry.summary})"
        do = "`vol3d models` lists the recipes for it."
        raise UsageError("only data sets of volumes are planned", where="DATASET", got=got, do=do)
    target = require_new_file(out, overwrite)

    from vol3d.config import Document, make_task
    from vol3d.config.commented import commented, values_of
    from vol3d.engine.device import pick_device
    from vol3d.files import make_folder, write_text
    from vol3d.memory import size_of

    limit = None if memory is None else size_of(memory, "--memory")
    chosen, data = pick_device(device, "--device"), find_data(dataset, root, words)
    with progress("reading") as report:
        recipe = catalog.load(catalog.PLANNERS[entry.task])(data, model, limit, hours, chosen, workers, report)
    make_task(Document(str(target), values_of(recipe.lines), {}))  # raises what a training would
    make_folder(target.parent)
    write_text(target, commented(recipe.lines, recipe.header))
    if as_json:
        print_json({"recipe": str(target), "settings": values_of(recipe.lines), "summary": recipe.summary})
    for sentence in recipe.summary:
        say(sentence)
    say(f"{target} is written; `vol3d train {target}` trains it")
