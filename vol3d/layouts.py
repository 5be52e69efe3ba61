"""Which layout of the catalogue a folder has, by names that only such a folder holds; nothing is opened."""

from __future__ import annotations

from pathlib import Path

from vol3d import catalog


def layout_hint(root: Path, wanted: str) -> str | None:
    """What to do with a folder that is not of the layout `wanted`: give a folder in it, or name another layout.

    None where neither is found. The names are those of `catalog.DATASETS`.
    """
    marks = catalog.DATASETS[wanted].marks
    if inside := next((folder for folder in _folders(root) if _has_layout(folder, marks)), None):
        return f"Give {inside}, which is one."
    others = [name for name, entry in catalog.DATASETS.items() if name != wanted and _has_layout(root, entry.marks)]
    if not others:
        return None
    name = " or ".join(others)
    return f"It looks like {name}: name that layout, in a recipe as data.name, in `vol3d evaluate` as --dataset."


def _has_layout(folder: Path, marks: tuple[str, ...]) -> bool:
    """Whether a folder holds something that matches one of the patterns."""
    return any(next(folder.glob(mark), None) is not None for mark in marks)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
