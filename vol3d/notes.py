"""What was assumed, found, changed or left out while a scan was read: facts, of which sentences are made at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    >>> merge_notes([note, replace(note, numbers={"left_out": 5, "points": 10})])
    Note(points-not-finite: 2 to 5 of 10 points were left out)
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
    def from_dict(facts: Mapping[str, Any]) -> Note:
        """The note that `to_dict` described. Its form is its sentence: a template from a file is not trusted.

        Raises:
            KeyError, TypeError: these are not the facts of a note.
        """
        text = _escaped(str(facts["text"]))
        setting, value = (None if facts[key] is None else str(facts[key]) for key in ("setting", "value"))
        return Note(str(facts["code"]), text, setting, value, bool(facts["assumed"]), dict(facts["numbers"]))

    @staticmethod
    def from_text(text: str) -> Note:
        """What an earlier release noted as a sentence only."""
        return Note("noted", "{value}", value=text)


def sort_notes(notes: Iterable[Note]) -> tuple[list[Note], list[Note]]:
    """What was assumed, and what was found, changed or left out: two lists, each in its order."""
    listed = list(notes)
    return [note for note in listed if note.assumed], [note for note in listed if not note.assumed]


def merge_notes(notes: Sequence[Note]) -> Note:
    """One note for several of a kind; of a number that differs among them, `x`, there are `x_min` and `x_max`."""
    first = notes[0]
    sentence: dict[str, float | _Range] = {}
    numbers: dict[str, float] = {}
    for name in first.numbers:
        values = [note.numbers[name] for note in notes if name in note.numbers]
        low, high = min(values), max(values)
        sentence[name] = first.numbers[name] if low == high else _Range(low, high)
        numbers |= {name: low} if low == high else {f"{name}_min": low, f"{name}_max": high}
    text = first.template.format(value=first.value, **sentence)
    return replace(first, template=_escaped(text), numbers=numbers)


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
