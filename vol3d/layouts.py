"""Which layout of the catalogue a folder has, by names that only such a folder holds, and keys of a `dataset.json`."""

from __future__ import annotations

from pathlib import Path

from vol3d import catalog
from vol3d.errors import Vol3dError
from vol3d.files import read_json


def layout_hint(root: Path, wanted: str) -> str | None:
    """What to do with a folder that is not of the layout `wanted`: give a folder in it, or name another layout.

    None where neither is found. The names are those of `catalog.DATASETS`.
    """
    entry = catalog.DATASETS[wanted]
    if inside := next((folder for folder in _folders(root) if _has_layout(folder, entry)), None):
        return f"Give {inside}, which is one."
    others = [name for name in layouts_of(root) if name != wanted]
    if not others:
        return None
    name = " or ".join(others)
    return f"It looks like {name}: name that layout, in a recipe as data.name, in `vol3d evaluate` as --dataset."


def layouts_of(root: Path) -> list[str]:
    """Names of the layouts that a folder seems to have; several only where its files do not tell them apart."""
    return [name for name, entry in catalog.DATASETS.items() if _has_layout(root, entry)]


def _has_layout(folder: Path, entry: catalog.Entry) -> bool:
    """Whether a folder holds something that matches one of the patterns, and its JSON one of the keys."""
    found = [path for mark in entry.marks if (path := next(folder.glob(mark), None)) is not None]
    return bool(found) and (not entry.keys or _has_key(found[0], entry.keys))


def _has_key(path: Path, keys: tuple[str, ...]) -> bool:
    """Whether a JSON has one of the keys; true of one that cannot be read, which says nothing against them."""
    try:
        value = read_json(path)
    except Vol3dError:
        return True
    return isinstance(value, dict) and any(key in value for key in keys)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
