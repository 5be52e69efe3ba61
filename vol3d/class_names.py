"""Names of classes as people compare them: `Traffic_Cone` is `traffic cone`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from vol3d.errors import UsageError

_Value = TypeVar("_Value")


def plain_name(name: str) -> str:
    """What of a name counts where names are compared: not its case, nor what joins its words.

    >>> plain_name("Left_Kidney"), plain_name("traffic-cone ")
    ('left kidney', 'traffic cone')
    """
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def spelled_as(names: Sequence[str], others: Sequence[str], where: str) -> dict[str, str]:
    """Names that occur among others in another spelling only -> how they are spelled there.

    Args:
        where: for the error.

    Raises:
        UsageError: several names on one side differ in their spelling only, and none is the same on both sides.

    >>> spelled_as(("Car", "bus", "traffic_cone"), ("bus", "car", "traffic cone"), "mine")
    {'Car': 'car', 'traffic_cone': 'traffic cone'}
    """
    mine, theirs = _by_plain_name(set(names) - set(others), names), _by_plain_name(set(others) - set(names), others)
    for plain in mine.keys() & theirs.keys():
        if len(mine[plain]) > 1 or len(theirs[plain]) > 1:
            got = f"{' and '.join(theirs[plain])} for {' and '.join(mine[plain])}"
            do = "Rename the classes so that one has the same name on both sides."
            raise UsageError("names of classes that differ in their spelling only", where=where, got=got, do=do)
    return {one: theirs[plain][0] for plain, (one, *_) in mine.items() if plain in theirs}


def respelled(names: Iterable[str], spelling: Mapping[str, str]) -> tuple[str, ...]:
    """The names, those that `spelled_as` found in the other spelling."""
    return tuple(spelling.get(name, name) for name in names)


def chosen_names(asked: Sequence[str], known: Sequence[str], where: str) -> tuple[str, ...]:
    """Names that a person typed, as they are known: `Left kidney` for `left_kidney`; unknown ones stay as they are.

    Raises:
        UsageError: a name stands for several that differ in their spelling only.

    >>> chosen_names(["LIVER", "lung"], ["liver", "spleen"], "--roi")
    ('liver', 'lung')
    """
    return tuple(spelled_as([name], known, where).get(name, name) for name in asked)


def of_each_class(
    values: Mapping[str, _Value], class_names: Sequence[str], what: str, where: str
) -> tuple[_Value, ...]:
    """The value of each class, in the classes' order, of a setting whose keys are names of classes.

    Args:
        what: a value is, in the plural.
        where: the setting's name.

    Raises:
        UsageError: a class has no value, or a value no class; names that differ in their spelling only.

    >>> of_each_class({"bus": 2, "CAR": 1}, ("car", "bus"), "numbers", "mine")
    (1, 2)
    """
    found = dict(zip(respelled(values, spelled_as(tuple(values), class_names, where)), values.values(), strict=True))
    if set(found) != set(class_names):
        got, wanted = ", ".join(values), f"{what} for {', '.join(class_names)}"
        do = f"Give {where} an entry for each class, or keep the classes of the recipe."
        raise UsageError(f"{what} of other classes", where=where, got=got, wanted=wanted, do=do)
    return tuple(found[name] for name in class_names)


def spelled_alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ in their spelling only.

    >>> spelled_alike(["Car", "bus", "car", "traffic cone", "traffic_cone"])
    [['Car', 'car'], ['traffic cone', 'traffic_cone']]
    """
    ordered = list(dict.fromkeys(names))
    return [group for group in _by_plain_name(set(ordered), ordered).values() if len(group) > 1]


def _by_plain_name(wanted: set[str], ordered: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(ordered):
        if name in wanted:
            found[plain_name(name)].append(name)
    return found
