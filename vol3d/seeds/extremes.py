"""What the most and the least fortunate seed of a study predict differently: by class, and by case."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from vol3d.comparison.scores import COUNTED, Scores, scores_of
from vol3d.comparison.totals import described, numbers
from vol3d.errors import DataError
from vol3d.seeds.study import SeedStudy

F1 = "F1 of the objects"
"""What scenes are compared by: objects are counted there, at the score from which on each seed's F1 is the highest."""


@dataclass(frozen=True)
class Gap:
    """One number of both seeds.

    Args:
        name: the class or the case that it is of.
        title: what a reader sees for the number.
        least, most: of the least and of the most fortunate seed.
    """

    name: str
    title: str
    least: float
    most: float

    @property
    def difference(self) -> float:
        """Most - least fortunate."""
        return self.most - self.least


@dataclass(frozen=True)
class Extremes:
    """The two seeds side by side.

    Args:
        least, most: names of the runs.
        classes: all numbers that have better and worse values, those of the score first.
        cases: one number of each case that both have, over its classes, the largest difference first; none where the
            runs have no rows of cases.
        better_in, worse_in: in how many cases the most fortunate seed is better, and worse.
    """

    least: str
    most: str
    classes: tuple[Gap, ...]
    cases: tuple[Gap, ...] = ()
    better_in: int = 0
    worse_in: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {
            key: [asdict(one) | {"difference": one.difference} for one in getattr(self, key)]
            for key in ("classes", "cases")
        }


def extremes(study: SeedStudy) -> Extremes | None:
    """The most and the least fortunate seed side by side; None with a single seed."""
    if len(study.scores) < 2:
        return None
    names = study.least_fortunate, study.most_fortunate
    least, most = (study.evaluations[name] for name in names)
    before, after = numbers(least), numbers(most)
    classes = tuple(
        Gap(key[1], title, before[key], after[key])
        for key, (title, _) in described(most).items()
        if key in before and key in after
    )
    with suppress(DataError):  # rows of classes only, or none
        tables = [scores_of(one, study.folder / name) for one, name in zip((least, most), names, strict=True)]
        gaps, better, worse = _by_case(*tables)
        return Extremes(*names, classes, gaps, better, worse)
    return Extremes(*names, classes)


def _by_case(least: Scores, most: Scores) -> tuple[tuple[Gap, ...], int, int]:
    """The gaps of the cases, and in how many the most fortunate seed is better, and worse."""
    counted = set(COUNTED) <= least.columns
    if not (counted or least.better):
        return (), 0, 0
    column = F1 if counted else next(iter(least.better))
    title = column if counted else least.titles.get(column, column)
    cases = dict.fromkeys((*least.cases, *most.cases))
    gaps = [Gap(case, title, _value(least, case, column), _value(most, case, column)) for case in cases]
    gaps = sorted((gap for gap in gaps if math.isfinite(gap.difference)), key=lambda gap: -abs(gap.difference))
    sign = -1 if least.better.get(column) == "lower" else 1
    better, worse = (sum(way * sign * gap.difference > 0 for gap in gaps) for way in (1, -1))
    return tuple(gaps), better, worse


def _value(scores: Scores, case: str, column: str) -> float:
    """The mean over the classes that have a number; F1 of all objects of a scene. NaN where there is nothing."""
    rows = [row for (name, _), row in scores.rows.items() if name == case]
    if column == F1:
        truths, hits, alarms = (sum(row[key] for row in rows) for key in ("ground_truths", "hits", "false_alarms"))
        return 2 * hits / (truths + hits + alarms) if truths + hits + alarms else math.nan
    finite = [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
    return sum(finite) / len(finite) if finite else math.nan
