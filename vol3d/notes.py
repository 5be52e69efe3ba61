"""What was assumed, found, changed or left out while a scan was read: facts, of which sentences are made at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from string import Formatter
from typing import Any


@dataclass(frozen=True, repr=False)
class Note:
    """One fact about how a scan was understood; `str(note)` is its sentence.

    Two notes are equal if their facts are, however the sentence is worded.

    Args:
        code: the kind of fact, stable and in kebab case, as a linter names its rules: `up-assumed`.
        template: the sentence for `str.format`, with `{value}` and the names of the numbers.
        setting: what overrides it: `up`, `units`, `columns` ...; None if nothing does.
        value: of the setting, as the setting takes it; or what the note is about.
        assumed: neither the file nor its content said it.
        numbers: the numbers of the sentence by name.

    >>> note = Note("points-not-finite", "{left_out} of {points} points were left out",
    ...             numbers={"left_out": 2, "points": 10})
    >>> str(note)
    '2 of 10 points were left out'
    >>> list(MergedNotes([note, replace(note, numbers={"left_out": 5, "points": 10})]))
    [Note(points-not-finite: 2 to 5 of 10 points were left out)]
    """

    code: str
    template: str = field(compare=False)
    setting: str | None = None
    value: str | None = None
    assumed: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.template.format(value=self.value, **self.numbers)

    def __repr__(self) -> str:
        return f"Note({self.code}: {self})"

    @property
    def kind(self) -> tuple[str, str | None, str | None]:
        """What notes that differ in their numbers only have in common: code, setting and value."""
        return self.code, self.setting, self.value

    def to_dict(self) -> dict[str, Any]:
        """The facts and the sentence, ready for JSON; see `from_dict`."""
        facts = {"code": self.code, "setting": self.setting, "value": self.value, "assumed": self.assumed}
        return facts | {"numbers": dict(self.numbers), "text": str(self)}

    @staticmethod
    def from_dict(facts: Mapping[str, Any], template: str | None = None) -> Note:
        """The note that `to_dict` described; without a template its sentence is fixed.

        Raises:
            KeyError, TypeError: these are not the facts of a note.
            ValueError: the template asks for something else than the value and the numbers.
        """
        setting, value = (None if facts[key] is None else str(facts[key]) for key in ("setting", "value"))
        numbers = dict(facts["numbers"])
        if template is None:
            template = _escaped(str(facts["text"]))
        _require_plain(template, numbers)
        return Note(str(facts["code"]), template, setting, value, bool(facts["assumed"]), numbers)

    @staticmethod
    def from_text(text: str) -> Note:
        """What an earlier release noted as a sentence only."""
        return Note("noted", "{value}", value=text)


def sort_notes(notes: Iterable[Note]) -> tuple[list[Note], list[Note]]:
    """What was assumed, and what was found, changed or left out: two lists, each in its order."""
    listed = list(notes)
    return [note for note in listed if note.assumed], [note for note in listed if not note.assumed]


def as_facts(notes: Iterable[Note]) -> dict[str, list[dict[str, Any]]]:
    """Both lists of `sort_notes` ready for JSON: what was assumed under `assumptions`, the rest under `remarks`."""
    assumed, others = sort_notes(notes)
    return {"assumptions": [note.to_dict() for note in assumed], "remarks": [note.to_dict() for note in others]}


class MergedNotes:
    """Notes one after the other, of which the memory holds one of each kind with the ranges of its numbers."""

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self._kinds: dict[tuple[str, str | None, str | None], _Kind] = {}
        for note in notes:
            self.add(note)

    def add(self, note: Note) -> None:
        """Widens the ranges of its kind."""
        self._kinds.setdefault(note.kind, _Kind(note)).add(note)

    def __iter__(self) -> Iterator[Note]:
        """Each kind once; of a number `x` that differs, there are `x_min` and `x_max`."""
        return (kind.merged() for kind in self._kinds.values())


class _Kind:
    """The first note of a kind, and the lowest and highest of each of its numbers."""

    def __init__(self, first: Note) -> None:
        self._first = first
        self._low, self._high = dict(first.numbers), dict(first.numbers)

    def add(self, note: Note) -> None:
        for name in self._first.numbers.keys() & note.numbers.keys():
            self._low[name] = min(self._low[name], note.numbers[name])
            self._high[name] = max(self._high[name], note.numbers[name])

    def merged(self) -> Note:
        sentence: dict[str, float | _Range] = {}
        numbers: dict[str, float] = {}
        for name, low in self._low.items():
            high = self._high[name]
            sentence[name] = self._first.numbers[name] if low == high else _Range(low, high)
            numbers |= {name: low} if low == high else {f"{name}_min": low, f"{name}_max": high}
        text = self._first.template.format(value=self._first.value, **sentence)
        return replace(self._first, template=_escaped(text), numbers=numbers)


@dataclass(frozen=True)
class _Range:
    """The lowest and the highest of several numbers, in the format that one is asked for in."""

    low: float
    high: float

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return low if low == high else f"{low} to {high}"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _require_plain(template: str, numbers: Mapping[str, float]) -> None:
    """Raises ValueError for a template from a file that looks into objects, as `{value.__class__}` does."""
    for _, name, spec, conversion in Formatter().parse(template):
        if name is not None and (name not in {"value", *numbers} or "{" in (spec or "") or conversion):
            raise ValueError(f"not a template of a note: {template}")
