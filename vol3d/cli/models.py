"""`vol3d models`: what there is, by name, without loading any of it; of one model, what it says about itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d import catalog, foreign
from vol3d.cli import names
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Json
from vol3d.shipped import about

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A shipped model, a run's folder, folds, weights, or a folder of another toolbox's model: its card.",
        autocompletion=names.checkpoints,
    ),
]


def models(model: Which = None, as_json: Json = False) -> None:
    """List shipped models, released weights, architectures, data sets and recipes; or describe one model.

    [bold]Examples[/bold]

      vol3d models
      vol3d models --json > models.json
      vol3d models runs/fine_tuned
    """
    if model is None:
        _list_all(as_json)
    else:
        _describe(model, as_json)


def _list_all(as_json: bool) -> None:
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


def _describe(model: str, as_json: bool) -> None:
    """What each network behind a name, a folder or a file says about itself."""
    if (kind := foreign.kind_of(model)) is not None:
        cards = [{"kind": kind.title, **foreign.card(kind, model)}]
    else:
        from vol3d.checkpoint import read_info, resolve

        cards = [_facts(path, read_info(path)) for path in resolve(model)]
    if as_json:
        print_json({"models": cards})
        return
    for card in cards:
        shown = str(card.pop("weights", model))
        print_table(["", shown], [[key.replace("_", " "), _text(value)] for key, value in card.items()])


def _text(value: Any) -> Any:
    """A value of a card on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _facts(path: Path, info: dict[str, Any]) -> dict[str, Any]:
    """None stands for what was not recorded."""
    known, settings = about(path.parent, info), info["settings"]
    start = info.get("started_from") or {**(settings.get("start_from") or {}), "sha256": None}
    return {
        "weights": str(path),
        "task": info["task"],
        "architecture": settings["model"]["name"],
        "classes": known.classes,
        "score": known.score,
        "of": known.of,
        "step": info.get("step"),
        "trained on": known.trained_on,
        "started from": start.get("checkpoint"),
        "started from, SHA-256": start["sha256"],
        "SHA-256": info["sha256"],
        "licence": known.licence,
        "made with": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
    }


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
