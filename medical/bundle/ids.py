"""Ids of a bundle's entries: keys and positions joined by `::`, or in older bundles by `#`."""

from __future__ import annotations

import re
from typing import Any

SEPARATOR = "::"
_RELATIVE = re.compile(r"([@%])((?:::)+)")


def normal(id_: Any) -> str:
    """An id with the new separator."""
    return str(id_).replace("#", SEPARATOR)


def parts(id_: str) -> list[str]:
    """`a::0::b` -> ['a', '0', 'b']; the empty id stands for everything."""
    return id_.split(SEPARATOR) if id_ else []


def below(id_: str, key: Any) -> str:
    """The id of a part of an entry."""
    return f"{id_}{SEPARATOR}{key}" if id_ else str(key)


def find(values: Any, id_: str) -> Any:
    """The entry with an id. Raises KeyError where there is none."""
    for part in parts(id_):
        values = values[_key(values, part)]
    return values


def put(values: Any, id_: str, value: Any) -> bool:
    """Replaces the entry with an id, or adds a key to its parent; False where the parent is not there."""
    *path, last = parts(id_)
    try:
        parent = find(values, SEPARATOR.join(path))
        parent[_key(parent, last, new=len(path) > 0)] = value
    except KeyError:
        return False
    return True


def _key(values: Any, part: str, new: bool = False) -> Any:
    if isinstance(values, dict):
        found = next((key for key in values if str(key) == part), None)
        if found is None and not new:
            raise KeyError(part)
        return part if found is None else found
    if isinstance(values, list) and part.isdecimal() and int(part) < len(values):
        return int(part)
    raise KeyError(part)


def absolute(text: str, id_: str) -> str:
    """A text of entry `id_` with its relative references, `@::a` beside it and `@::::a` one level up, made absolute.

    Raises:
        KeyError: it leads above the configuration.
    """

    def replaced(match: re.Match[str]) -> str:
        up, here = len(match[2]) // len(SEPARATOR), parts(id_)
        if up > len(here):
            raise KeyError(match[0])
        return match[1] + "".join(f"{part}{SEPARATOR}" for part in here[: len(here) - up])

    return _RELATIVE.sub(replaced, text)
