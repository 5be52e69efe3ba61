"""The licensed models that a model derives from, kept in its checkpoint: their terms go along with its weights.

Weights that a training begins with (`start_from`) pass on their licence; a teacher is named with its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from vol3d.notes import Note

DERIVED_FROM = "derived_from"
TERMS = ("licence", "data_terms", "attribution")
"""What is stated of weights: their licence, the data that they were trained on with its terms, whom to credit."""


@dataclass(frozen=True)
class Origin:
    """A model with terms that another one learned from.

    Args:
        how: its weights were the beginning, or it was the teacher of one of the models in between.
        model: its name, without folders.
        licence, data_terms, attribution: as it states them.
    """

    how: Literal["start_from", "teacher"]
    model: str
    licence: str | None = None
    data_terms: str | None = None
    attribution: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Ready for JSON: what is not stated is left out."""
        return {key: text for key, text in asdict(self).items() if text is not None}

    @staticmethod
    def from_dict(value: Any) -> Origin:
        """The origin that `to_dict` described. Raises ValueError if it is none."""
        texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        if not texts or value.get("how") not in ("start_from", "teacher"):
            raise ValueError(f"no model that another one derives from: {value}")
        try:
            return Origin(**value)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def __str__(self) -> str:
        by = "its teacher" if self.how == "teacher" else "its first weights"
        terms = self.licence or f"trained on {self.data_terms}"
        return f"{self.model} ({by}; {terms})"


def origins(how: Literal["start_from", "teacher"], model: str, infos: Iterable[Mapping[str, Any]]) -> list[Origin]:
    """What a model derives from that learns from another one: that one, where it states terms, and its own origins.

    Args:
        model: the name of the other one.
        infos: what its checkpoints say about themselves.
    """
    found: dict[Origin, None] = {}
    for info in infos:
        before = derived_from(info)
        stated = {key: info[key] for key in TERMS if info.get(key)}
        if stated and not any(one.how == "start_from" for one in before):  # else the terms are those of its start
            found[Origin(how=how, model=model, **stated)] = None
        for one in before:
            found[replace(one, how="teacher" if "teacher" in (how, one.how) else "start_from")] = None
    return list(found)


def derived_from(info: Mapping[str, Any]) -> list[Origin]:
    """What a checkpoint states. Raises ValueError where something else stands there."""
    return [Origin.from_dict(one) for one in info.get(DERIVED_FROM) or ()]


def passed_on(info: Mapping[str, Any]) -> dict[str, str]:
    """The terms that a checkpoint has from the weights that its training began with."""
    first = [one for one in derived_from(info) if one.how == "start_from"]
    texts = {key: "; ".join(dict.fromkeys(filter(None, (getattr(one, key) for one in first)))) for key in TERMS}
    return {key: text for key, text in texts.items() if text}


def derived_note(known: Iterable[Origin]) -> tuple[Note, ...]:
    """Whose terms hold for a model too, in one sentence; () where there is nothing to say."""
    listed = ", ".join(dict.fromkeys(map(str, known)))
    return (Note("derived-from", "the weights derive from {value}", value=listed),) if listed else ()
