"""`vol3d import`: weights that authors released, as a folder that every verb takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vol3d import catalog
from vol3d.cli.console import print_json
from vol3d.cli.options import Changes, Json, files_and_settings
from vol3d.errors import UsageError
from vol3d.files import make_folder, sha256, write_json
from vol3d.output import require_output
from vol3d.paths import user_path
from vol3d.released.readers import RELEASED
from vol3d.shipped import SOURCE
from vol3d.terminal import say

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")

if TYPE_CHECKING:
    from vol3d.engine.task import CompleteTask, TakesModel
    from vol3d.released.store import Offer


def import_weights(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of the released model, as in 3detr-m-scannet.  A FILE alone is recognised where it can be.",
            metavar="NAME",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder, for evaluate and predict.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="File of the released weights; without it, the published file is fetched.  Words KEY=VALUE are "
            "settings of the recipe, or convention=ours|clockwise of boxes of mmdetection3d.",
            metavar="FILE|KEY=VALUE",
        ),
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
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe or YAML file that the weights were trained by.  Default: the publisher's.", metavar="RECIPE"
        ),
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Import released weights for evaluate and predict, strictly and without running code from the file.

    Files are cached in VOL3D_CACHE, by default ~/.cache/vol3d. VOL3D_OFFLINE=1 switches downloads off.

    [bold]Examples[/bold]

      vol3d import 3detr-m-scannet -o runs/3detr-m
      vol3d import downloads/checkpoint.pth -o runs/found
      vol3d import unetr mine.pth -o runs/mine --recipe mine.yaml
    """
    name, file, settings = _words(name, words or [], is_download=mirror is not None or yes)
    entry = catalog.find(name, RELEASED, "released model")
    if (out / "best.safetensors").exists():  # perhaps days of somebody's training
        raise UsageError("the folder already holds a model", where=out, do="Choose another folder for -o.")
    require_output(out)
    how = _how(entry, recipe, [*settings, *(changes or ())])
    used = _published(name, mirror, yes) if file is None else file
    facts = _import(name, how, out, used, is_published=file is None)
    if as_json:
        print_json(facts)


@dataclass(frozen=True)
class How:
    """By which settings the weights were trained, as far as a person or their publisher says.

    Args:
        entry: of the weights in the catalogue.
        recipe: that the person names; None is the publisher's.
        changes: of its settings, `key.path=value`.
        stated: what the reader takes beside the file and no recipe has.
    """

    entry: catalog.Entry
    recipe: str | None
    changes: tuple[str, ...]
    stated: Mapping[str, str]

    def task(self) -> TakesModel:
        """The task of the recipe.

        Raises:
            UsageError: class names that are not the publisher's, and nothing about the preparation of the scans.
        """
        from vol3d.config import load_task

        part, keys = self.entry.together, self._keys()
        if part and "class_names" in keys and self.recipe is None and not any(key.startswith(part) for key in keys):
            do = f"Give the recipe that it was trained by, --recipe FILE, or its settings, --set {part}.KEY=VALUE."
            raise UsageError(
                f"other classes, and nothing about {part}", where="class_names", wanted=f"{part} too", do=do
            )
        return cast("TakesModel", load_task(self.recipe or str(self.entry.recipe), self.changes))

    def beside(self, task: TakesModel) -> dict[str, Any]:
        """What the person states that the file does not hold, for its reader."""
        found: dict[str, Any] = dict(self.stated)
        for name, key in self.entry.stated.items():
            if self.recipe is not None or key in self._keys():
                found[name] = _setting(task, key)
        return found

    def check(self, recipe: TakesModel, task: CompleteTask[Any]) -> None:
        """Raises UsageError for a change that the file overrules."""
        for key in self._keys():
            if _setting(recipe, key) != (got := _setting(task, key)):
                raise UsageError("the file itself determines this setting", where=f"--set {key}", wanted=got)

    def _keys(self) -> list[str]:
        return [word.partition("=")[0].strip() for word in self.changes]


def _how(entry: catalog.Entry, recipe: str | None, words: Sequence[str]) -> How:
    """Words `KEY=VALUE`, of which some are for the reader."""
    pairs = [(word, *(part.strip() for part in word.partition("=")[::2])) for word in words]
    changes = tuple(word for word, key, _ in pairs if key not in entry.beside)
    return How(entry, recipe, changes, {key: value for _, key, value in pairs if key in entry.beside})


def _setting(task: TakesModel | CompleteTask[Any], key: str) -> Any:
    """The value of a setting; None below one that has no such part."""
    return reduce(lambda value, part: getattr(value, part, None), key.split("."), task.settings)


def _words(first: str, words: Sequence[str], is_download: bool) -> tuple[str, Path | None, list[str]]:
    """Name of the model, its file if one is given, and settings; a file without a name is recognised.

    Raises:
        UsageError: two files, a file beside a download, a folder or a model of vol3d in its place.
    """
    files, settings = files_and_settings(words)
    is_named = not _is_file(first)
    files = files if is_named else [first, *files]
    if len(files) > 1:
        raise UsageError("more than one file", where="FILE", got=" ".join(files))
    if not files:
        return first, None, settings
    file = user_path(files[0])
    if is_download:
        raise UsageError("--from and --yes belong to a download, and a FILE is given", got=file, do="Leave one out.")
    _refuse_own(file)
    return first if is_named else _recognised(file), file, settings


def _is_file(word: str) -> bool:
    """Whether a word in the place of NAME is a file: it is there, or has the suffix of weights."""
    return word not in RELEASED and (user_path(word).exists() or Path(word).suffix in SUFFIXES)


def _refuse_own(file: Path) -> None:
    from vol3d.checkpoint import is_own

    if file.is_dir():
        do = "Give it to predict and evaluate as it is, or name the FILE in it."
        raise UsageError("a folder, and one file of weights is imported", where=file, do=do)
    if is_own(file):
        do = f"Give evaluate and predict its folder, {file.parent}."
        raise UsageError("a model of vol3d, which needs no import", where=file, do=do)


def _recognised(file: Path) -> str:
    from vol3d.errors import CheckpointError
    from vol3d.files import require_file
    from vol3d.released.recognise import recognise

    return recognise(require_file(file, CheckpointError))


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


def _import(name: str, how: How, out: Path, file: Path, is_published: bool) -> dict[str, Any]:
    """Writes the model's folder and returns what it holds."""
    import vol3d
    from vol3d.checkpoint import save_best
    from vol3d.engine.task import Evaluation
    from vol3d.errors import CheckpointError
    from vol3d.released.recognise import right_name
    from vol3d.released.table import direct, identify

    recipe = how.task()
    try:
        model = vol3d.load_released(name, file, how.beside(recipe))
    except CheckpointError as error:
        raise right_name(file, name) or error from error
    task = recipe.for_model(model)
    how.check(recipe, task)
    save_best(make_folder(out), task.holding(model), task, Evaluation(float("nan"), "not evaluated", {}), step=0)
    source = direct(name) if is_published else identify(file)
    if source is not None:
        write_json(out / SOURCE, {**source.facts(), "sha256": sha256(file)})
        say(f"licence: {source.licence}; trained on {source.data}")
    say(f"{name} with {len(task.class_names)} classes is in {out}")
    published = None if source is None else source.facts()
    return {"name": name, "out": str(out), "classes": list(task.class_names), "published": published}
