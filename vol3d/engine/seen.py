"""What the scans of a training were like, kept in its checkpoints, so that a scan unlike them is noticed.

A network finds something in whatever it is shown. Only a comparison with the training scans tells that a result means
nothing: too few points, a spacing never seen, intensities on another scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from vol3d.notes import Note

MOST_SCANS = 64
"""So many training scans are measured at most: the ranges need not be exact, and reading a scan takes time."""

T = TypeVar("T")


class SeenRange(BaseModel, frozen=True, allow_inf_nan=False):
    """The lowest and the highest value of a number over the training scans."""

    low: float
    high: float
    unit: str = ""


class Seen(BaseModel, frozen=True):
    """The training scans as a checkpoint remembers them.

    Args:
        data: name of the data set.
        synthetic: whether they were made by a generator.
        ranges: name of a number -> its range over the scans.
    """

    data: str
    synthetic: bool = False
    ranges: dict[str, SeenRange] = {}


@dataclass(frozen=True)
class Trait:
    """A number that scans are compared by.

    Args:
        name: its key in `Seen.ranges`, in kebab case.
        unit: of the number; empty for a count.
        what: the start of the sentence, with `{found}`: `the scan has {found:,.0f} points`.
        spec: how the ends of the range are printed, `,.0f`.
        least, most: a scan is no surprise from `least` times the lowest to `most` times the highest.
        setting: what overrides how the scan was read, where that may be the reason.
    """

    name: str
    unit: str
    what: str
    spec: str
    least: float = 1.0
    most: float = 1.0
    setting: str | None = None

    def expects(self, value: float, known: SeenRange) -> bool:
        """Whether a value is near enough to those of the training scans."""
        return self.least * known.low <= value <= self.most * known.high


def ranges_of(scans: Iterable[Mapping[str, float]], traits: Sequence[Trait]) -> dict[str, SeenRange]:
    """The ranges over the numbers of some scans; a number that no scan has is left out."""
    values: dict[str, list[float]] = {}
    for scan in scans:
        for name, value in scan.items():
            values.setdefault(name, []).append(value)
    return {
        trait.name: SeenRange(low=min(values[trait.name]), high=max(values[trait.name]), unit=trait.unit)
        for trait in traits
        if trait.name in values
    }


def unlike(seen: Seen | None, scan: Mapping[str, float], traits: Sequence[Trait]) -> tuple[Note, ...]:
    """A note for each number of a scan that lies beyond those of the training scans; none where these are not known."""
    notes = []
    for trait in traits:
        known = seen.ranges.get(trait.name) if seen is not None else None
        found = scan.get(trait.name)
        if known is None or found is None or trait.expects(found, known):
            continue
        unit = f" {trait.unit}" if trait.unit else ""
        text = f"{trait.what}; the model was trained on {{low:{trait.spec}}} to {{high:{trait.spec}}}{unit}"
        numbers = {"found": found, "low": known.low, "high": known.high}
        notes.append(Note(f"{trait.name}-unlike-training", text, trait.setting, numbers=numbers))
    return tuple(notes)


def synthetic_note(seen: Seen | None) -> tuple[Note, ...]:
    """That the model has never seen a real scan, where that is so."""
    if seen is None or not seen.synthetic:
        return ()
    text = "the model was trained on synthetic scans only, in the format of {value}: check what it finds on real ones"
    return (Note("trained-on-synthetic", text, value=seen.data),)


def some_of(scans: Sequence[T], most: int = MOST_SCANS) -> list[T]:
    """At most `most` of the scans, evenly spread; the first is among them."""
    return [scans[number * len(scans) // most] for number in range(most)] if len(scans) > most else list(scans)
