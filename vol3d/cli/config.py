"""`vol3d config`: a recipe with its comments, or all its settings with what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vol3d.cli import names
from vol3d.cli.console import print_json
from vol3d.cli.options import Json
from vol3d.output import require_new_file
from vol3d.terminal import say


def config(
    name: Annotated[
        str,
        typer.Argument(
            help="A shipped recipe's name (see `vol3d models`) or a YAML file.",
            autocompletion=names.recipes,
            metavar="RECIPE",
        ),
    ],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the recipe's.")
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All settings, defaults and their meaning included.  Default: with KEY=VALUE."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it there, a YAML file, to be edited.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Print a recipe with its comments, or write it as the beginning of your own.

    [bold]Examples[/bold]

      vol3d config unetr_hippocampus_small
      vol3d config unetr_hippocampus_small --all
      vol3d config unetr_hippocampus_small data=DATA/mine epochs=10 -o mine.yaml
    """
    if out is not None:
        require_new_file(out, overwrite)
    if everything or words or as_json:
        text = _resolved(name, words or [], as_json)
    else:
        from vol3d.config.locate import locate

        text = locate(name).read_text("utf-8")
    if out is not None:
        from vol3d.files import make_folder, write_text

        make_folder(out.parent)
        write_text(out, text)
        say(f"{out} is written; `vol3d train {out}` trains it")
    elif not as_json:
        print(text, end="")


def _resolved(name: str, words: list[str], as_json: bool) -> str:
    """All settings as commented YAML; with `as_json` they are printed, too."""
    from vol3d.config import load_task
    from vol3d.config.commented import commented
    from vol3d.config.explained import explained
    from vol3d.config.header import header_of
    from vol3d.config.locate import locate

    settings = load_task(name, words).settings
    if as_json:
        print_json({"recipe": name, "settings": settings.model_dump(mode="json")})
    changed = f"\n\nWith {' '.join(words)}." if words else ""
    return commented(explained(settings), f"{header_of(locate(name))}{changed}".strip())
