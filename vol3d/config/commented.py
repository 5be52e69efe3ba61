"""A configuration with a comment on each of its lines, for a reader who is to change it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vol3d.config.yaml import in_a_row

WIDTH = 120


@dataclass(frozen=True)
class Line:
    """One setting.

    Args:
        key: its path, `data.root`; lines with the same beginning follow each other.
        value: plain numbers, text, lists and dicts.
        why: where the value comes from, or what it means; empty for no comment.
    """

    key: str
    value: Any
    why: str


def values_of(lines: Sequence[Line]) -> dict[str, Any]:
    """The settings as nested dicts."""
    values: dict[str, Any] = {}
    for line in lines:
        *sections, name = line.key.split(".")
        target = values
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = line.value
    return values


def commented(lines: Sequence[Line], header: str) -> str:
    """The settings as YAML, each with its comment: behind it where there is room, else above it.

    >>> print(commented([Line("data.fold", 0, "the first of 5"), Line("freeze", [], "nothing")], "By hand."), end="")
    # By hand.
    data:
      fold: 0  # the first of 5
    freeze: []  # nothing
    """
    text = [f"# {row}".rstrip() for row in header.splitlines()]
    open_sections: list[str] = []
    for line in lines:
        *sections, name = line.key.split(".")
        shared = 0
        while shared < len(sections) and sections[: shared + 1] == open_sections[: shared + 1]:
            shared += 1
        text += [f"{'  ' * depth}{sections[depth]}:" for depth in range(shared, len(sections))]
        open_sections = sections
        text += _rows("  " * len(sections), name, line)
    return "\n".join(text) + "\n"


def _rows(indent: str, name: str, line: Line) -> list[str]:
    setting = [indent + row for row in f"{name}: {in_a_row(line.value)}".splitlines()]
    if not line.why:
        return setting
    if len(setting) == 1 and len(setting[0]) + len(line.why) + 4 <= WIDTH:
        return [f"{setting[0]}  # {line.why}"]
    return [*(f"{indent}# {row}" for row in textwrap.wrap(line.why, WIDTH - len(indent) - 2)), *setting]
