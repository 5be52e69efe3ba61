"""Facts of a data set as tables for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows under column names.

    Args:
        title: what it is about, or None.
        columns: one name per column.
        rows: cells as the console prints them: text, numbers, None for what is not there.
    """

    title: str | None
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def left_out(unreadable: Sequence[Mapping[str, str]]) -> list[Table]:
    """The `name` of what could not be read and is not in the facts, and `why`; no table where all was read."""
    rows = [[one["name"], one["why"]] for one in unreadable]
    return [Table("Not in these figures, since they cannot be read", ["name", "why"], rows)] if rows else []


def flatten(value: Any, prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of a path and a value.

    >>> flatten({"points": {"min": 3, "mean": 4.25}})
    [['points / min', '3'], ['points / mean', '4.25']]
    """
    if isinstance(value, dict):
        return [
            row for key, item in value.items() for row in flatten(item, f"{prefix} / {key}" if prefix else str(key))
        ]
    items = value if isinstance(value, (list, tuple)) else [value]
    return [[prefix, ", ".join(map(_text, items))]]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
