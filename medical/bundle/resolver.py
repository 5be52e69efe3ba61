"""The values of a configuration: references followed, expressions interpreted, parts described; each once, on demand.

What nobody asks for - lists of a data set's files, metrics, output folders - is never looked at.
"""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from medical.bundle import known
from medical.bundle.document import SUFFIXES, Document, read_values
from medical.bundle.expression import evaluate
from medical.bundle.ids import absolute, below, find, normal
from medical.bundle.values import CODE, Component, path_within
from vol3d.errors import CheckpointError

REFERENCE, EXPRESSION, MACRO, TARGET = "@", "$", "%", "_target_"
DISABLED, MODE = "_disabled_", "_mode_"
_ABOUT = frozenset({TARGET, DISABLED, MODE, "_requires_", "_desc_"})
_IMPORT = re.compile(r"\$\s*(?:from\s+([\w.]+)\s+)?import\s+([\w., ]+?)(?:\s+as\s+(\w+))?\s*")
_WHOLE = re.compile(r"@\w*(?:::\w*)*")
_FILE = re.compile(rf"(?i)(.*(?:{'|'.join(re.escape(one) for one in SUFFIXES)}))(?:::(.*))?")


class Resolver:
    """The values of a bundle's configuration by their ids.

    Raises, as all methods do:
        CheckpointError: code of the bundle's own, an id that is not there, a circle of references, what is not known.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: dict[str, Any] = {}
        self._open: list[str] = []
        self._aliases = self._imports()
        for key, value in document.values.items():
            document.values[key] = self._expanded(value, str(key))

    def has(self, id_: str) -> bool:
        """Whether there is an entry with this id."""
        try:
            find(self.document.values, id_)
        except KeyError:
            return False
        return True

    def value(self, id_: str) -> Any:
        """The value of the entry with an id; a part (`_target_`) is the same object whenever it is asked for."""
        id_ = normal(id_)
        if id_ in self._found:
            return self._found[id_]
        if id_ in self._open:
            circle = " -> ".join([*self._open[self._open.index(id_) :], id_])
            raise CheckpointError("references in a circle", where=self.document.place(id_), got=circle)
        try:
            raw = find(self.document.values, id_)
        except KeyError as error:
            asked = self.document.place(self._open[-1] if self._open else "")
            raise CheckpointError(f"there is no entry '{id_}'", where=asked) from error
        self._open.append(id_)
        try:
            self._found[id_] = self._read(raw, id_)
        except RecursionError as error:
            raise CheckpointError("references nested too deeply", where=self.document.place(id_)) from error
        finally:
            self._open.pop()
        return self._found[id_]

    def _read(self, raw: Any, id_: str) -> Any:
        if isinstance(raw, str):
            return self._text(raw, id_)
        if isinstance(raw, dict):
            if TARGET in raw:
                return self._component(raw, id_)
            return {key: self.value(below(id_, key)) for key in raw}
        if isinstance(raw, list):
            values = [self.value(below(id_, number)) for number in range(len(raw))]
            return [one for one, word in zip(values, raw, strict=True) if not (one is None and self._is_part(word))]
        return raw

    @staticmethod
    def _is_part(raw: Any) -> bool:
        """A part that is switched off leaves its list."""
        return isinstance(raw, dict) and TARGET in raw

    def _text(self, raw: str, id_: str) -> Any:
        where = self.document.place(id_)
        if raw[:1] not in (REFERENCE, EXPRESSION) or _IMPORT.fullmatch(raw):
            return raw
        text = self._absolute(raw, id_)
        if text.startswith(EXPRESSION):
            return evaluate(text[1:], self.value, self._exists, self._aliases, where)
        return self.value(text[1:]) if _WHOLE.fullmatch(text) else raw

    def _absolute(self, raw: str, id_: str) -> str:
        try:
            return absolute(normal(raw), id_)
        except KeyError as error:
            where = self.document.place(id_)
            raise CheckpointError("the reference leads above the configuration", where=where, got=raw) from error

    def _expanded(self, raw: Any, id_: str) -> Any:
        """The words of an entry with those in place of each macro, `%other.json::entry`."""
        if isinstance(raw, dict):
            return {key: self._expanded(value, below(id_, key)) for key, value in raw.items()}
        if isinstance(raw, list):
            return [self._expanded(value, below(id_, number)) for number, value in enumerate(raw)]
        if isinstance(raw, str) and raw.startswith(MACRO):
            return self._macro(self._absolute(raw, id_)[len(MACRO) :], self.document.place(id_))
        return raw

    def _macro(self, text: str, where: str) -> Any:
        """A copy of the words of another entry, of this file or of another one in the bundle."""
        match = _FILE.fullmatch(text)
        values: Any = self.document.values
        if match:
            values = read_values(path_within(self.document.root, match[1], where))
        try:
            return deepcopy(find(values, (match[2] or "") if match else text))
        except KeyError as error:
            raise CheckpointError(f"there is no entry '{text}'", where=where) from error

    def _component(self, raw: dict[str, Any], id_: str) -> Component | None:
        where = self.document.place(id_)
        off = self.value(below(id_, DISABLED)) if DISABLED in raw else False
        if off is True or (isinstance(off, str) and off.strip().lower() == "true"):
            return None
        mode = raw.get(MODE, "default")
        if not isinstance(raw[TARGET], str) or raw[TARGET].startswith((EXPRESSION, REFERENCE)) or mode != "default":
            raise CheckpointError("a part that is called in an unusual way", where=where, got=raw[TARGET], do=CODE)
        words = {str(key): value for key, value in raw.items() if key not in _ABOUT}
        return Component(raw[TARGET], where, words, lambda name: self.value(below(id_, name)))

    def _exists(self, text: str) -> bool:
        path = Path(text)
        return (path if path.is_absolute() else self.document.root / path).exists()

    def _imports(self) -> dict[str, str]:
        """Names that the bundle's imports make: `np` -> `numpy`; nothing is imported."""
        aliases = {"np": "numpy", "Path": "pathlib.Path"}
        entries = self.document.values.get("imports") or []
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            where = self.document.place(f"imports::{number}")
            match = _IMPORT.fullmatch(entry) if isinstance(entry, str) else None
            if match is None:
                raise CheckpointError("an import that is not understood", where=where, got=entry, do=CODE)
            aliases |= _imported(match, where)
        return aliases


def _imported(match: re.Match[str], where: str) -> dict[str, str]:
    """Name -> full name of one import. Raises CheckpointError for a module that is no public library."""
    module, alias = match[1], match[3]
    names = [one.strip() for one in match[2].split(",")]
    for name in [module] if module else names:
        if name.split(".")[0] not in known.MODULES:
            raise CheckpointError("the bundle asks for code of its own", where=where, got=name, do=CODE)
    if module:
        return {alias or name: f"{module}.{name}" for name in names}
    return {alias: names[0]} if alias else {}
