"""How two evaluations differ: one row for each metric and class, ready to be printed or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from vol3d.statistics import holm

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """One metric of one class.

    Args:
        metric, title: its key, and what a reader sees.
        name: of the class, or of what the number stands for.
        pairs: how many pairs (cases, or seeds) have both numbers.
        a, b: means over these pairs.
        difference: mean of B - A, with its 95 % `interval`.
        p: of the paired test; `p_holm` corrected for the number of tests in the table.
        better: which values are the better ones.
        needed: pairs that would be needed to tell, where that was computed.
    """

    metric: str
    title: str
    name: str
    pairs: int
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float
    better: Literal["higher", "lower"]
    p_holm: float = float("nan")
    needed: int | None = None

    @property
    def winner(self) -> Literal["A", "B"] | None:
        """The better one, where the corrected test says that they differ."""
        if not self.p_holm < SIGNIFICANT or self.difference == 0:
            return None
        return "B" if (self.difference > 0) == (self.better == "higher") else "A"


@dataclass(frozen=True)
class TotalDifference:
    """A number that is measured over all cases together, such as AP; no test of it is made.

    Args:
        metric, title: its key, and what a reader sees.
        name: of the class, or `all classes`.
        a, b: the numbers, with the 95 % intervals that each evaluation gives by itself, where it does.
        difference: B - A.
        better: which values are the better ones.
    """

    metric: str
    title: str
    name: str
    a: float
    b: float
    difference: float
    a_interval: tuple[float, float] | None
    b_interval: tuple[float, float] | None
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class SpreadChange:
    """How the scores of two trainings spread over the seeds.

    Args:
        a, b: standard deviations (n - 1) of all seeds with a score, those that have no partner too.
        seeds: how many these are.
        p: of Brown and Forsythe's test that they spread alike, NaN with fewer than three seeds on a side.
    """

    a: float
    b: float
    seeds: tuple[int, int]
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same cases.

    Args:
        kind: what was paired: the cases of two evaluations, or the seeds of two trainings.
        a, b: where they are from.
        pairs: how many were paired.
        differences: one for each metric and class.
        notes: what else is to be known, a sentence each.
        spread: of the score over the seeds, of two trainings.
        totals: what is measured over all cases together.
    """

    kind: Literal["cases", "seeds"]
    a: str
    b: str
    pairs: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    spread: SpreadChange | None = None
    totals: tuple[TotalDifference, ...] = ()

    @property
    def test(self) -> str:
        """What the p values and the intervals are of."""
        if self.kind == "seeds":
            return "paired t-test and its interval"
        return "Wilcoxon's signed-rank test, intervals by bootstrap over cases"

    @property
    def columns(self) -> tuple[str, ...]:
        """Titles of `rows`."""
        columns = ("metric", "class", self.kind, "A", "B", "B - A", "95 % interval", "p", "p Holm", "better")
        return (*columns, "seeds needed") if self.kind == "seeds" else columns

    def rows(self) -> list[list[Any]]:
        """A row of values for each difference, the interval as (low, high)."""
        return [
            [
                *(one.title, one.name, one.pairs, one.a, one.b, one.difference, one.interval),
                *(one.p, one.p_holm, one.winner),
                *([one.needed] if self.kind == "seeds" else []),
            ]
            for one in self.differences
        ]

    @property
    def total_columns(self) -> tuple[str, ...]:
        """Titles of `total_rows`: none of the intervals where no evaluation gives one."""
        every = ("over all cases", "class", "A", "B", "B - A", "A 95 %", "B 95 %")
        return every if any(one.a_interval or one.b_interval for one in self.totals) else every[:-2]

    def total_rows(self) -> list[list[Any]]:
        """A row of values for each number over all cases, intervals as (low, high)."""
        shown = len(self.total_columns)
        rows = [
            [one.title, one.name, one.a, one.b, one.difference, one.a_interval, one.b_interval] for one in self.totals
        ]
        return [row[:shown] for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        rows = [asdict(one) | {"winner": one.winner, "interval": list(one.interval)} for one in self.differences]
        return asdict(self) | {"differences": rows, "notes": list(self.notes)}


def bounded(value: Any, title: str, places: int) -> Any:
    """A value under its column's title; a p value that so many places show as 0 is given by its bound."""
    least = 10.0**-places
    return f"< {least:.{places}f}" if title.startswith("p") and value < least else value


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """With `p_holm`."""
    values = holm(np.array([one.p for one in differences]))
    return tuple(replace(one, p_holm=float(p)) for one, p in zip(differences, values, strict=True))
