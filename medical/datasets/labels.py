"""What the numbers in label files stand for, by the `labels` of a JSON: classes, overlapping regions, voxels to ignore.

nnU-Net's rules: `"ignore": N` marks voxels that nobody labelled, and a list of numbers is a region, `"whole": [1, 2]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medical.datasets.cases import MOST_LABELS, UNUSED
from vol3d.errors import DataError

WANTED = '{"0": "background", "1": "first class", ...}, or nnU-Net\'s {"background": 0, "first class": 1, ...}'


@dataclass(frozen=True)
class LabelTable:
    """The meaning of label numbers.

    Args:
        class_names: `class_names[label]`, background first.
        regions: region -> names of its classes, largest first, or None where classes do not overlap.
        ignore: the number of voxels that take no part in training and scores, or None.
    """

    class_names: tuple[str, ...]
    regions: Mapping[str, tuple[str, ...]] | None = None
    ignore: int | None = None


def label_table(labels: Any, path: Path, order: Any = None) -> LabelTable:
    """`{"0": "background", "1": "liver"}` or `{"background": 0, "liver": 1, "ignore": 2}` -> what numbers stand for.

    A number that the data set leaves out (BraTS has 0, 1, 2, 4) becomes a class called `unused 3`.

    Args:
        order: nnU-Net's `regions_class_order`: the number that each region writes.

    Raises:
        DataError: something else, a number or name twice, no background, more gaps than classes, or regions of which
            one does not add one number to those after it.
    """
    numbers = _numbers(labels)
    ignored = [name for name in numbers if is_ignore(name)]
    ignore = numbers.pop(ignored[0]) if ignored else ()
    names, regions = _named(numbers, order, path)
    if 0 not in names or len(ignored) > 1 or len(ignore) > 1 or set(ignore) & set(names):
        raise DataError("labels are not understood", where=path, got=str(labels)[:200], wanted=WANTED)

    last = max(names)
    if last >= min(MOST_LABELS, 2 * len(names)):
        do = "Number the labels from 0 without gaps, in the label files too."
        raise DataError("label numbers leave large gaps", where=path, got=sorted(names), wanted=WANTED, do=do)
    class_names = tuple(names.get(number, f"{UNUSED}{number}") for number in range(last + 1))
    return LabelTable(class_names, regions, ignore[0] if ignore else None)


def is_ignore(name: str) -> bool:
    """Whether a class of this name is nnU-Net's mark for voxels without a label."""
    return name.strip().casefold() == "ignore"


def _numbers(labels: Any) -> dict[str, tuple[int, ...]]:
    """Either form of `labels` as name -> numbers; {} for anything else, and for a number or a name twice."""
    if not isinstance(labels, dict):
        return {}
    pairs = list(labels.items())
    if all(_is_number(key) for key, _ in pairs):
        pairs = [(name, int(key)) for key, name in pairs]
    lists = [(name, _as_list(value)) for name, value in pairs]
    if not all(isinstance(name, str) and value and all(map(_is_number, value)) for name, value in lists):
        return {}
    numbers = {name: tuple(map(int, value)) for name, value in lists}
    return numbers if len(numbers) == len(lists) == len(set(numbers.values())) else {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_number(value: Any) -> bool:
    """0 and more, as JSON has it in values and in keys."""
    text = str(value)
    return isinstance(value, (int, str)) and text.isascii() and text.isdecimal() and len(text) < 10


def _named(
    numbers: Mapping[str, tuple[int, ...]], order: Any, path: Path
) -> tuple[dict[int, str], dict[str, tuple[str, ...]] | None]:
    """Number -> name of its class, and the regions."""
    if all(len(value) == 1 for value in numbers.values()):
        return {value[0]: name for name, value in numbers.items()}, None
    names = {value[0]: name for name, value in numbers.items() if value == (0,)}
    regions = {name: value for name, value in numbers.items() if value != (0,)}
    added = _added(regions, order, path)
    for region, number in added.items():
        names[number] = region if len(regions[region]) == 1 else f"rest of {region}"
    return names, {region: tuple(names[number] for number in sorted(set(regions[region]) - {0})) for region in added}


def _added(regions: Mapping[str, tuple[int, ...]], order: Any, path: Path) -> dict[str, int]:
    """Region -> the number that it adds to those after it, in the order of the network's outputs.

    Raises:
        DataError: one adds none or several, or another than `order` states.
    """
    ordered = list(regions) if order is not None else sorted(regions, key=lambda name: -len(set(regions[name])))
    later, added = set[int](), dict[str, int]()
    for region in reversed(ordered):
        new = set(regions[region]) - later - {0}
        if len(new) != 1:
            raise _no_regions(f"'{region}' adds {sorted(new) or 'no label'} to those after it", path)
        added[region] = new.pop()
        later |= set(regions[region])
    result = {region: added[region] for region in ordered}
    if order is not None and list(result.values()) != order:
        raise _no_regions(f"regions_class_order {str(order)[:80]}, where they add {list(result.values())}", path)
    return result


def _no_regions(got: str, path: Path) -> DataError:
    wanted = "regions from the largest to the smallest, each with one label more than the next"
    do = "Number the labels as classes in the JSON, and list `regions` and their classes in the recipe."
    return DataError("the regions of the labels are not understood", where=path, got=got, wanted=wanted, do=do)
