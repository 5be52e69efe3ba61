"""What `vol3d init` and `vol3d plan` write for a data set: its JSON, and a recipe with a reason on each line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vol3d.config.commented import Line


@dataclass(frozen=True)
class Draft:
    """The JSON of a data set, not yet written.

    Args:
        path: where it belongs; nothing is there.
        content: what it will hold.
        remarks: a sentence for each thing in it that a person must complete or confirm.
    """

    path: Path
    content: dict[str, Any]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A recipe for a data set, not yet written.

    Args:
        lines: its settings, each with its reason.
        header: what stands above them.
        summary: what was decided, in a sentence each.
    """

    lines: list[Line]
    header: str
    summary: list[str]


def names_in(stated: Mapping[str, str], key: str) -> list[str]:
    """The names of a word `classes=chair,table`, in brackets or not; [] without the word.

    >>> names_in({"classes": "[chair, night stand]"}, "classes")
    ['chair', 'night stand']
    """
    text = stated.get(key, "").strip().removeprefix("[").removesuffix("]")
    return [name.strip() for name in text.split(",") if name.strip()]
