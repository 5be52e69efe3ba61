"""`vol3d models`: what there is, by name, without loading any of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vol3d import catalog
from vol3d.cli.console import print_json, print_table
from vol3d.cli.options import Json
from vol3d.errors import Vol3dError

# Name -> words that only its text has all of.
_LICENCES = {
    "CC-BY-NC-SA 4.0": ("by-nc-sa", "4.0"),
    "CC-BY-SA 4.0": ("by-sa", "4.0"),
    "CC-BY 4.0": ("creativecommons.org/licenses/by/4.0",),
    "Apache-2.0": ("apache license", "version 2.0"),
}


def models(as_json: Json = False) -> None:
    """List shipped models, released weights, architectures, data sets and recipes.

    [bold]Examples[/bold]

      vol3d models
      vol3d models --json
      vol3d models --json > models.json
    """
    from vol3d.config import recipes

    entries = {
        "shipped models": [shipped_model(name, folder) for name, folder in catalog.shipped().items()],
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
            print_table(columns, [[row[c] for c in columns] for row in rows], title)


def _entry(name: str, entry: catalog.Entry) -> dict[str, Any]:
    return {"name": name, "task": entry.task, "summary": entry.summary}


def _released(name: str, entry: catalog.Entry) -> dict[str, Any]:
    from vol3d.released.table import of_name

    publishers = ", ".join(file.publisher for file in of_name(name))
    return {**_entry(name, entry), "published by": publishers or None}


def shipped_model(name: str, folder: Path) -> dict[str, Any]:
    """What a shipped model's `config.json` and licence say about it."""
    from vol3d.files import read_json

    try:
        about = read_json(folder / "config.json")
    except Vol3dError:
        about = None
    about = about if isinstance(about, dict) else {}
    licence = next((file for file in sorted(folder.glob("LICENSE*")) if file.is_file()), None)
    return {
        "name": name,
        "classes": ", ".join(str(item) for item in about.get("class_names") or ())[:100],
        "score": about.get("score"),
        "of": about.get("score_name"),
        "licence": licence_name(licence) if licence else None,
    }


def licence_name(path: Path) -> str:
    """The licence that a file names, or the file's first line."""
    try:
        text = path.read_text("utf-8", errors="replace").lower()
    except OSError:
        return path.name
    return next((name for name, words in _LICENCES.items() if all(word in text for word in words)), _first_line(path))


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
