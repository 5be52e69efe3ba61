"""What was assumed, found, changed or left out while a scan was read: facts, of which sentences are made at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
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
    >>> note.form()
    '… of … points were left out'
    """

    code: str
    template: str = field(compare=False)
    setting: str | None = None
    value: str | None = None
    assumed: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.template.format(value=self.value, **self.numbers)

    @property
    def kind(self) -> tuple[str, str | None, str | None]:
        """What notes that differ in their numbers only have in common: code, setting and value."""
        return self.code, self.setting, self.value

    def form(self) -> str:
        """The sentence of all notes of this kind, with `…` for each number."""
        return self.template.format(value=self.value, **dict.fromkeys(self.numbers, _Ellipsis()))

    def form_of(self, notes: Sequence[Note]) -> str:
        """The sentence of notes of this kind, with the lowest and the highest of each number that differs.

        >>> found = [Note("found", "{ml:.3g} ml were found", numbers={"ml": ml}) for ml in (70, 1.5, 3)]
        >>> found[0].form_of(found)
        '1.5 to 70 ml were found'
        """
        of = {name: [note.numbers[name] for note in notes if name in note.numbers] for name in self.numbers}
        return self.template.format(
            value=self.value, **{name: _Reach(min(found), max(found)) for name, found in of.items()}
        )

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


@dataclass(frozen=True)
class _Reach:
    """The numbers of several notes: one where they are printed alike, else from the lowest to the highest."""

    low: float
    high: float

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return low if low == high else f"{low} to {high}"


class _Ellipsis:
    """A number that is left open, whatever format it is asked for in."""

    def __format__(self, spec: str) -> str:
        return "…"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
