"""Which layout of the catalogue a folder has, by names that only such a folder holds, and keys of a `dataset.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vol3d import catalog
from vol3d.errors import Vol3dError
from vol3d.files import read_json
from vol3d.scans.source import ScanSource
from vol3d.terminal import counted, say


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


def only_scans(found: Sequence[ScanSource], paths: Iterable[Path]) -> list[ScanSource]:
    """What was found in folders without what a data set keeps beside its scans: labels, cut-outs, other sensors.

    A data set's folder is one of the paths or lies directly in one. Where its usual places hold none of what was found,
    all of it stays. How much is left out is printed.

    Args:
        found: files and folders of scans, in the paths.
        paths: that a person gave.
    """
    left_out: set[ScanSource] = set()
    for folder in dict.fromkeys(path for path in paths if path.is_dir()):
        below = [source for source in found if folder in source.path.parents]
        in_child: dict[Path, list[ScanSource]] = {folder: below}
        for source in below:
            in_child.setdefault(folder / source.path.relative_to(folder).parts[0], []).append(source)
        for root, here in in_child.items():
            left_out |= _beside_scans(root, here)
    return [source for source in found if source not in left_out]


def _beside_scans(root: Path, found: Sequence[ScanSource]) -> set[ScanSource]:
    """What does not lie in the places where a data set of the folder's layout keeps its scans, if others do."""
    layouts = layouts_of(root)
    scans = {path for name in layouts for pattern in catalog.DATASETS[name].scans for path in root.glob(pattern)}
    others = {source for source in found if source.path not in scans}
    if not others or len(others) == len(found):
        return set()
    taken, left_out = counted(len(found) - len(others), "scan"), counted(len(others), "other file")
    say(
        f"note: {root} has the layout of {' or '.join(layouts)}: {taken} found, {left_out} left out (labels and the "
        "like); name files to predict them"
    )
    return others


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
    return sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith("."))
