"""Headers of lines of text: every field once, and numbers that are nothing but numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path

from vol3d.errors import DataError

LONGEST = 1 << 22  # bytes of a header: one with the names of some hundred segments has 200 kB
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_REAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")


class Fields:
    """The fields of one header by name.

    Args:
        path: for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        """Raises DataError for a second, different value of one field."""
        if self._values.setdefault(name, value) != value:
            got = f"{shortened(self._values[name])} and {shortened(value)}"
            raise DataError(f"the header gives '{name}' twice", where=self.path, got=got, wanted="one value")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def values(self) -> dict[str, str]:
        """Name -> value, in the order of the file."""
        return dict(self._values)

    def text(self, name: str, default: str | None = None) -> str:
        """Raises DataError if the field is missing and has no default."""
        value = self._values.get(name, default)
        if value is None:
            raise DataError(f"the header lacks '{name}'", where=self.path, do="The file is damaged; export it again.")
        return value

    def whole(self, name: str, default: str | None = None) -> int:
        """Raises DataError for anything but one whole number."""
        return self.wholes(name, 1, default)[0]

    def wholes(self, name: str, count: int, default: str | None = None) -> tuple[int, ...]:
        """Raises DataError for anything but `count` whole numbers."""
        words = self._words(name, count, default)
        if not all(_WHOLE.fullmatch(word) for word in words):
            raise self.wrong(name, "whole numbers")
        return tuple(int(word) for word in words)

    def reals(self, name: str, count: int, unset: bool = False) -> tuple[float, ...]:
        """Raises DataError for anything but `count` finite numbers, or NaN for "not set" where `unset` allows it."""
        words = self._words(name, count)
        values = []
        for word in words:
            if unset and word.lower() in ("nan", "none"):
                values.append(math.nan)
            elif _REAL.fullmatch(word) and math.isfinite(float(word)):
                values.append(float(word))
            else:
                raise self.wrong(name, "numbers with a decimal point")
        return tuple(values)

    def wrong(self, name: str, wanted: str) -> DataError:
        """The error for a field whose value is not what it should be."""
        got = shortened(self._values.get(name, ""))
        return DataError(f"'{name}' in the header is wrong", where=self.path, got=got, wanted=wanted)

    def _words(self, name: str, count: int, default: str | None = None) -> list[str]:
        words = self.text(name, default).split()
        if len(words) != count:
            raise self.wrong(name, f"{count} numbers" if count > 1 else "one number")
        return words


def decoded(line: bytes) -> str:
    """UTF-8 as the formats' writers use it, or what older ones made of other characters."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def shortened(text: str) -> str:
    """A value for a message."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
