"""`vol3d init`: the JSON of a person's own data and a commented recipe for it, from the files that are there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vol3d import catalog
from vol3d.cli.console import print_json
from vol3d.cli.data import Root, Workers, find_data
from vol3d.cli.options import Device, Json
from vol3d.errors import UsageError
from vol3d.output import require_new_file
from vol3d.terminal import progress, say, tell

if TYPE_CHECKING:
    from vol3d.dataset_tools.draft import Draft, Recipe

RECIPE = "recipe.yaml"


def init(
    dataset: Annotated[str, typer.Argument(help="folder (own volumes), point_folder (own clouds), msd or nnunet.")],
    root: Root,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="What files do not say: classes=liver,tumour, channels=T1,FLAIR, up=z, units=m, recipe=NAME; or any "
            "setting of the data set.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The recipe.  Default: recipe.yaml in ROOT.", metavar="FILE")
    ] = None,
    workers: Workers = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Begin with own data: look at the files, write the data set's JSON and a recipe, and print what to run next.

    Nothing is replaced: a JSON that is there is kept and read, a recipe that is there is refused.

    [bold]Examples[/bold]

      vol3d init folder DATA/mine classes=liver,tumour
      vol3d init point_folder DATA/rooms classes=chair,table up=z units=m
      vol3d init nnunet nnUNet_raw/Dataset101_Mine -o mine.yaml
    """
    from vol3d.config.commented import commented, values_of
    from vol3d.files import make_folder, write_text

    if not root.is_dir():
        raise UsageError("no such folder", where="ROOT", got=root)
    do = "Train it, or give another FILE with -o."
    target = require_new_file(out or root / RECIPE, overwrite=False, what="the recipe exists", do=do)
    starter = _starter(dataset)
    stated, settings = _sorted(words or [], getattr(starter, "WORDS", ()))
    draft = _draft(starter, root, stated)
    with _written(draft):
        recipe = _recipe(dataset, starter, root, settings, stated, workers, device)
    make_folder(target.parent)
    write_text(target, commented(recipe.lines, recipe.header))
    remarks = [*(draft.remarks if draft else ()), *recipe.summary]
    commands = _commands(dataset, root, values_of(recipe.lines)["data"], target)
    if as_json:
        written = None if draft is None else str(draft.path)
        print_json({"data_set": written, "recipe": str(target), "remarks": remarks, "commands": commands})
        return
    for remark in remarks:
        say(remark)
    say(f"{target} is written; next:")
    for command in commands:
        tell(f"  {command}")


def _starter(dataset: str) -> ModuleType | None:
    """The module that drafts the JSON of this kind of own data; None where the data set brings its own.

    Raises:
        UsageError: no such data set, or a published one of point clouds.
    """
    entry = catalog.find(dataset, catalog.DATASETS, "data set")
    if dataset in catalog.STARTERS:
        return catalog.load_module(catalog.STARTERS[dataset])
    if entry.task not in catalog.PLANNERS:
        do = "Own clouds are `point_folder`; `vol3d models` lists the recipes for published data sets."
        raise UsageError("not a kind of own data", where="DATASET", got=f"{dataset} ({entry.summary})", do=do)
    return None


def _sorted(words: Sequence[str], own: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What only `init` takes, and the settings of the data set."""
    pairs = [(word.partition("=")[0].strip(), word) for word in words]
    stated = {key: word.partition("=")[2] for key, word in pairs if key in own}
    return stated, [word for key, word in pairs if key not in own]


def _draft(starter: ModuleType | None, root: Path, stated: dict[str, str]) -> Draft | None:
    if starter is None:
        return None
    with progress("reading") as report:
        found: Draft | None = starter.draft(root, stated, report)
    if found is None:
        say(f"the JSON in {root} is kept")
    return found


@contextmanager
def _written(draft: Draft | None) -> Iterator[None]:
    """The JSON is there while a recipe is made from it, and stays if one could be."""
    from vol3d.files import write_json

    if draft is None:
        yield
        return
    write_json(draft.path, draft.content)
    try:
        yield
    except BaseException:
        draft.path.unlink(missing_ok=True)
        raise
    say(f"{draft.path} is written")


def _recipe(
    dataset: str,
    starter: ModuleType | None,
    root: Path,
    settings: list[str],
    stated: dict[str, str],
    workers: int | None,
    device: str | None,
) -> Recipe:
    """By the planner of the data set's task, else by the module that drafted the JSON."""
    data, task = find_data(dataset, root, settings), catalog.DATASETS[dataset].task
    with progress("reading") as report:
        if task in catalog.PLANNERS:
            from vol3d.engine.device import pick_device

            chosen = pick_device(device, "--device")
            planned: Recipe = catalog.load(catalog.PLANNERS[task])(
                data, "residual_unet", None, 2.0, chosen, workers, report
            )
            return planned
        begun: Recipe = starter.recipe(data, stated, report)  # type: ignore[union-attr]
        return begun


def _commands(dataset: str, root: Path, data: dict[str, Any], recipe: Path) -> list[str]:
    """What to run next, as a shell takes it."""
    from vol3d.config.yaml import in_a_row

    kept = {key: value for key, value in data.items() if key in ("up", "units", "columns") and value != "auto"}
    words = [f"{key}={in_a_row(value)}".replace(" ", "") for key, value in kept.items()]
    train = f"vol3d train {shlex.quote(str(recipe))}"
    check = shlex.join(["vol3d", "data", "check", dataset, str(root), *words])
    return [check, f"{train} --dry-run", f"{train} -o runs/{root.resolve().name}"]
