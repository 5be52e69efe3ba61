"""The configurations that are shipped, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from vol3d.errors import UsageError
from vol3d.files import require_file
from vol3d.paths import user_path


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
    near = difflib.get_close_matches(asked, [*shipped, *by_stem], n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Shipped recipes: {', '.join(shipped) or 'none'}."
    raise UsageError("no such configuration file or recipe", where=name, do=hint)
