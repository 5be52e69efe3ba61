"""What the numbers in masks stand for: by a data set's JSON, by the names in the files, or each number for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from medical.classes import Classes
from medical.datasets.folder import classes_of
from medical.masks.pairs import MaskPair
from medical.masks.read import Numbering, occurring, read_mask
from vol3d.class_names import plain_name
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.scans.volumes.volume import Volume
from vol3d.terminal import say

DOCUMENT = "dataset.json"
_DO = "Give the data set's JSON with --classes."


def numbering_of(
    pairs: Sequence[MaskPair], roots: Sequence[Path], document: Path | None
) -> tuple[Numbering, Classes, str]:
    """The numbers of the masks, the classes or regions that are scored, and where both are from, in words.

    Args:
        roots: folders of prediction and truth; a `dataset.json` in them or beside them is used.
        document: the JSON to use instead.

    Raises:
        DataError: the JSON is none of a data set, or no mask has a label.
        UsageError: names and numbers that do not fit each other.
    """
    path = document or _beside(roots)
    if path is not None:
        table = classes_of(path)
        numbering = Numbering(table.class_names, None, table.ignore)
        return numbering, Classes(table.class_names, table.regions), str(path)
    numbering, source = _of_masks(pairs)
    if len(numbering.class_names) < 2:
        raise DataError("no mask has a label, so there is no class to score", do=_DO)
    return numbering, Classes(numbering.class_names), source


def _beside(roots: Sequence[Path]) -> Path | None:
    places = [place for root in reversed(roots) for place in (root, root.parent)]
    return next((place / DOCUMENT for place in places if (place / DOCUMENT).is_file()), None)


def _of_masks(pairs: Sequence[MaskPair]) -> tuple[Numbering, str]:
    """By what is in the masks; opens each of them."""
    sides, tables, nameless = (set[int](), set[int]()), list[Mapping[int, str]](), 0
    for side, mask in _readable(pairs):
        if mask.label_names is None:
            sides[side].update(occurring(mask))
            nameless += 1
        elif mask.label_names not in tables:
            tables.append(mask.label_names)
    numbers = sides[0] | sides[1]
    if not tables:
        _warn_of_nothing_common(*sides)
        names = {number: f"label {number}" for number in sorted(numbers)}
        return Numbering(_class_names(names.values()), names), "the numbers in the masks"
    if not numbers:
        return Numbering(_class_names(name for table in tables for name in table.values())), "the names in the masks"
    names = _merged(tables)
    source = f"the names in the masks; {nameless} masks without names were taken to number their labels in the same way"
    return Numbering(_class_names(names.values()), names), source


def _merged(tables: Sequence[Mapping[int, str]]) -> dict[int, str]:
    """One table of number -> name; raises UsageError where a number has two names."""
    merged: dict[int, str] = {}
    for table in tables:
        for number, name in table.items():
            if plain_name(merged.setdefault(number, name)) != plain_name(name):
                got = f"number {number} is '{merged[number]}' in one and '{name}' in another"
                raise UsageError("some masks name their labels differently, others have no names", got=got, do=_DO)
    return dict(sorted(merged.items()))


def _class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Background and each name once, however it is spelled."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(plain_name(name), name)
    return "background", *first.values()


def _warn_of_nothing_common(predicted: set[int], truth: set[int]) -> None:
    """One class as 1 in the predictions and as 255 in the truth would be two classes, both with a Dice of 0."""
    if predicted and truth and not predicted & truth:
        ours, theirs = (listed(sorted(side)) for side in (predicted, truth))
        said = f"the predictions have the labels {ours}, the truth {theirs}, and none in common"
        say(f"warning: {said}; if they stand for the same classes, renumber one side")


def _readable(pairs: Sequence[MaskPair]) -> Iterator[tuple[int, Volume]]:
    """One mask at a time, 0 or 1 for prediction or truth before it; a damaged one is reported when it is scored."""
    for pair in pairs:
        for side, path in enumerate((pair.predicted, pair.truth)):
            try:
                yield side, read_mask(path)
            except Vol3dError:
                continue
