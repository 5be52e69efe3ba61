"""`vol3d models`: what there is, by name, without loading any of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d import catalog, foreign
from vol3d.cli import names
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Json
from vol3d.errors import UsageError
from vol3d.paths import user_path
from vol3d.shipped import about

Named = Annotated[
    str | None,
    typer.Argument(
        help="A shipped model's name, a run's folder or a model folder of nnU-Net, to show its card.",
        autocompletion=names.checkpoints,
        metavar="MODEL",
    ),
]


def models(model: Named = None, as_json: Json = False) -> None:
    """List shipped models, released weights, architectures, data sets and recipes, or show the card of one model.

    [bold]Examples[/bold]

      vol3d models
      vol3d models unetr-hippocampus
      vol3d models --json > models.json
    """
    if model is None:
        show_all(as_json)
    else:
        show_card(model, as_json)


def show_all(as_json: bool) -> None:
    """Everything that has a name."""
    from vol3d.config import recipes

    entries = {
        "shipped models": [asdict(about(folder)) for folder in catalog.shipped().values()],
        "released weights": [_released(name, entry) for name, entry in catalog.RELEASED.items()],
        "architectures": [_entry(name, entry) for name, entry in catalog.MODELS.items()],
        "data sets": [_entry(name, entry) for name, entry in catalog.DATASETS.items()],
        "recipes": [{"name": name, "summary": first_comment(path)} for name, path in recipes().items()],
    }
    if as_json:
        print_json({key.replace(" ", "_"): rows for key, rows in entries.items()})
        return
    for title, rows in entries.items():
        if rows:
            columns = list(rows[0])
            print_table(columns, [[_cell(row[c]) for c in columns] for row in rows], title)


def show_card(model: str, as_json: bool) -> None:
    """What one model is, by its folder; no weights are read."""
    if (kind := foreign.kind_of(model)) is not None:
        card = {"kind": kind.title, **foreign.card(kind, model)}
    else:
        folder = catalog.shipped().get(model, user_path(model))
        if not (folder / "config.json").is_file():
            raise UsageError("no model", where=model, do=catalog.model_hint(model))
        card = asdict(about(folder))
    if as_json:
        print_json(card)
    else:
        print_table(["about", model], [[key.replace("_", " "), _text(value)] for key, value in card.items()])


def _text(value: Any) -> Any:
    """A value of a card on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _cell(value: Any) -> Any:
    """Names as one text."""
    return ", ".join(value) if isinstance(value, tuple) else value


def _entry(name: str, entry: catalog.Entry) -> dict[str, Any]:
    return {"name": name, "task": entry.task, "summary": entry.summary}


def _released(name: str, entry: catalog.Entry) -> dict[str, Any]:
    from vol3d.released.table import of_name

    publishers = ", ".join(file.publisher for file in of_name(name))
    return {**_entry(name, entry), "published by": publishers or None}


def first_comment(path: Path) -> str:
    """What a recipe's header says in its first line."""
    line = _first_line(path)
    return line.lstrip("# ") if line.startswith("#") else ""


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in lines if line.strip()), "")
