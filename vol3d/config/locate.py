"""The configurations that are shipped, by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from vol3d.errors import UsageError
from vol3d.files import require_file
from vol3d.paths import user_path

_MANY = 8  # recipes that a message names


def recipes() -> dict[str, Path]:
    """Name -> file of every configuration that is shipped; the name is the file's path without `.yaml`."""
    here = Path(__file__).resolve().parents[1]
    folder = next((f for f in (here / "configs", here.parent / "configs") if f.is_dir()), None)
    if folder is None:
        return {}
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*.yaml"))}


def locate(name: str) -> Path:
    """The configuration file that a person means: a path, or the name of a shipped recipe.

    Raises:
        UsageError: neither; proposes the nearest recipe.
    """
    path = user_path(name)
    if path.exists() and not path.is_dir():
        return require_file(path, UsageError)
    shipped = recipes()
    asked = name.removesuffix(".yaml").removeprefix("configs/")
    by_stem = {key.rsplit("/", 1)[-1]: file for key, file in shipped.items()}
    if found := shipped.get(asked) or by_stem.get(asked):
        return found
    raise UsageError("no such configuration file or recipe", where=name, do=_hint(asked, [*shipped, *by_stem]))


def _hint(asked: str, names: Sequence[str]) -> str:
    """The nearest name, those with a word of it, or where all are listed."""
    if near := difflib.get_close_matches(asked, names, n=1):
        return f"Did you mean '{near[0]}'?"
    words = set(re.split(r"[\W_]+", Path(asked).name.lower())) - {""}
    alike = [name for name in dict.fromkeys(names) if words & set(re.split(r"[\W_]+", name.lower()))]
    listed = f"Recipes with a word of this name: {', '.join(alike[:_MANY])}. " if alike else ""
    return f"{listed}`vol3d models` lists all recipes."
