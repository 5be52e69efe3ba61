"""What the header of a recipe says: its paper, the score to expect, the commands that train it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vol3d.errors import UsageError
from vol3d.files import read_text

_FIELDS = ("Paper", "Expected", "Command")
_FIELD = re.compile(rf"({'|'.join(_FIELDS)}): +(.*)")


@dataclass(frozen=True)
class RecipeHeader:
    """The comment at the beginning of a recipe.

    Args:
        summary: its first line.
        paper: which paper and table, with the number printed there.
        expected: the score to expect here, and under which conditions.
        commands: those that train it, one each.
        remarks: what else there is to know.
    """

    summary: str
    paper: str
    expected: str
    commands: tuple[str, ...]
    remarks: str = ""


def read_header(path: Path) -> RecipeHeader:
    """The header of a recipe: a summary, then `Paper:`, `Expected:` and `Command:` in one block, then remarks.

    A field goes on until the next one or an empty line; each line of `Command:` is a command.

    Raises:
        UsageError: a field is missing, empty or there twice.
    """
    lines = _comment(path) or [""]
    fields: dict[str, list[str]] = {}
    current: list[str] | None = None
    remarks: list[str] = []
    for line in lines[1:]:
        text = line.strip()
        if found := _FIELD.fullmatch(text):
            if found[1] in fields:
                raise UsageError(f"the header has '{found[1]}:' twice", where=path)
            current = fields.setdefault(found[1], [found[2]])
        elif not text:
            current = None
        else:
            (remarks if current is None else current).append(text)
    if absent := [name for name in _FIELDS if not any(fields.get(name, ()))]:
        wanted = ", ".join(f"'{name}:'" for name in _FIELDS)
        raise UsageError(f"the header has no '{absent[0]}:'", where=path, wanted=wanted)
    paper, expected = (" ".join(fields[name]) for name in ("Paper", "Expected"))
    return RecipeHeader(lines[0].strip(), paper, expected, tuple(fields["Command"]), " ".join(remarks))


def header_of(path: Path) -> str:
    """The comment that a recipe begins with, without its signs."""
    return "\n".join(line.removeprefix(" ") for line in _comment(path))


def _comment(path: Path) -> list[str]:
    """The lines before the first setting, without their `#`."""
    lines = read_text(path).splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.removeprefix("#") for line in lines[:count]]
