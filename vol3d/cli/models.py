"""`vol3d models`: what there is, by name, without loading any of it; of one model, what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vol3d import catalog, foreign
from vol3d.cli import names
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Json
from vol3d.shipped import ShippedModel, about, seen_of
from vol3d.terminal import counted, say

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A shipped model, a run's folder, folds, weights, or a folder of another toolbox's model: its card.",
        autocompletion=names.checkpoints,
    ),
]


TITLES = {
    "segmentation": "Volumes (segmentation)",
    "pretraining": "Volumes (pre-training without labels)",
    "detection": "Rooms (detection)",
    "lidar": "LiDAR (detection)",
}
"""Tasks in the order of the list, as a person calls them."""


def models(model: Which = None, as_json: Json = False) -> None:
    """List shipped models, released weights, architectures, data sets and recipes; or describe one model.

    [bold]Examples[/bold]

      vol3d models
      vol3d models kitti-cars
      vol3d models runs/fine_tuned --json
    """
    if model is None:
        _list_all(as_json)
    else:
        _describe(model, as_json)


def _list_all(as_json: bool) -> None:
    """Everything that has a name."""
    from vol3d.config import recipes
    from vol3d.config.explained import task_of
    from vol3d.released.readers import RELEASED

    entries = {
        "shipped models": [_shipped(about(folder)) for folder in catalog.shipped().values()],
        "released weights": [_released(name, entry) for name, entry in RELEASED.items()],
        "architectures": [_entry(name, entry) for name, entry in catalog.MODELS.items()],
        "data sets": [_entry(name, entry) for name, entry in catalog.DATASETS.items()],
        "recipes": [
            {"name": name, "task": task_of(path), "summary": first_comment(path)} for name, path in recipes().items()
        ],
    }
    if as_json:
        print_json({key.replace(" ", "_"): rows for key, rows in entries.items()})
        return
    _show_all(entries)


def _shipped(model: ShippedModel) -> dict[str, Any]:
    """A row of the table; whom to credit is in the card."""
    return {key: value for key, value in asdict(model).items() if key not in ("attribution", "origins")}


def _show_all(entries: Mapping[str, list[dict[str, Any]]]) -> None:
    """The tables of each task."""
    for task, title in TITLES.items():
        for kind, rows in entries.items():
            _show(f"{title}: {kind}", [row for row in rows if task in (row["task"], *row.get("also", ()))])
    _show("Recipes of models that are not known here", [row for row in entries["recipes"] if row["task"] is None])
    say("`vol3d models NAME` shows the card of a model, `vol3d config NAME` a recipe with its comments")


def _show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table without the columns that say the same in every row or nothing at all."""
    shared = ("task", "also")  # the title has it
    columns = [name for name in (rows[0] if rows else ()) if name not in shared and any(row[name] for row in rows)]
    if columns:
        print_table(
            [name.replace("_", " ") for name in columns], [[_cell(row[c]) for c in columns] for row in rows], title
        )


def _describe(model: str, as_json: bool) -> None:
    """What each network behind a name, a folder or a file says about itself."""
    from vol3d.released.readers import RELEASED

    if model in RELEASED and not Path(model).exists():
        cards = _published(model, RELEASED[model])
    elif (kind := foreign.kind_of(model)) is not None:
        cards = [{"kind": kind.title, **foreign.card(kind, model)}]
    else:
        from vol3d.checkpoint import resolve, said_by

        cards = [_facts(path, info) for path, info in zip(resolve(model), said_by(model), strict=True)]
    if as_json:
        print_json({"models": cards})
        return
    for card in cards:
        shown = str(card.pop("weights", model))
        rows = [[key.replace("_", " "), _text(value)] for key, value in card.items() if value not in (None, "", ())]
        print_table(["", shown], rows)


def _published(name: str, entry: catalog.Entry) -> list[dict[str, Any]]:
    """Each file that is published under the name of released weights, and how to get it."""
    from vol3d.released.table import of_name

    known = {"weights": name, "task": entry.task, "summary": entry.summary}
    fetch = f"vol3d import {name} -o OUT"
    by_hand = f"vol3d import {name} FILE -o OUT, with the file of the publisher's page"
    return [
        {**known, **file.facts(), "size_mb": file.size_mb, "import": fetch if file.url else by_hand}
        for file in of_name(name)
    ]


def _text(value: Any) -> Any:
    """A value of a card on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _facts(path: Path, info: dict[str, Any]) -> dict[str, Any]:
    """None stands for what was not recorded."""
    from vol3d.engine.trained_on import trained_on_text

    known, settings = about(path.parent, info), info["settings"]
    start = info.get("started_from") or {**(settings.get("start_from") or {}), "sha256": None}
    return {
        "weights": str(path),
        "task": info["task"],
        "architecture": settings["model"]["name"],
        "classes": known.classes,
        "expected input": _expected_input(settings),
        "seen in training": _seen(path.parent, info),
        "score": known.score,
        "of": None if known.score is None else known.of,
        "step": info.get("step"),
        "trained on": known.trained_on,
        "training scans": trained_on_text(info),
        "started from": start.get("checkpoint"),
        "started from, SHA-256": start["sha256"],
        "SHA-256": info["sha256"],
        "licence": known.licence,
        "data terms": known.data_terms,
        "derived from": tuple(map(str, known.origins)),
        "attribution": known.attribution,
        "made with": ", ".join(f"{name} {version}" for name, version in info["versions"].items()),
    }


def _expected_input(settings: Mapping[str, Any]) -> str:
    """What a scan must be, and what is done with it before the network sees it."""
    if "channel_names" in settings:
        prepared, channels = settings["preprocess"], settings["channel_names"]
        spacing = prepared.get("spacing_mm")
        grid = "at its own spacing" if spacing is None else f"resampled to {' x '.join(map(str, spacing))} mm"
        listed = f"{counted(len(channels), 'channel')}: {', '.join(channels)}"
        return f"a volume with {listed}; turned to {prepared['orientation']}, {grid}"
    measured = [name for name in settings["model"].get("features") or () if name != "height"]  # that is computed
    columns = ", ".join(["x", "y", "z", *measured])
    reading = settings.get("predict") or {}
    up, units = reading.get("up", "auto") or "z", reading.get("units", "auto")  # no `up` stands for that of LiDAR
    axis = "the axis that points up is detected" if up == "auto" else f"{up} points up"
    length = "the unit is detected" if units == "auto" else f"in {units}"
    return f"points with {columns}; {axis}, {length}; --up and --units override it"


def _seen(folder: Path, info: Mapping[str, Any]) -> dict[str, str] | None:
    """Ranges of the training scans; predictions note what lies outside."""
    ranges = seen_of(folder, info).get("ranges") or {}
    return {
        name.replace("-", " "): f"{_number(one['low'])} to {_number(one['high'])} {one['unit']}".strip()
        for name, one in ranges.items()
    } or None


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cell(value: Any) -> Any:
    """Names as one text."""
    return ", ".join(value) if isinstance(value, tuple) else value


def _entry(name: str, entry: catalog.Entry) -> dict[str, Any]:
    also = {"also": entry.also} if entry.also else {}
    return {"name": name, "task": entry.task, **also, "summary": entry.summary}


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
