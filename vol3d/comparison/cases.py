"""Two evaluations of the same cases, compared case by case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vol3d.class_names import spelled_as
from vol3d.comparison.result import Comparison, Difference, TotalDifference, corrected
from vol3d.comparison.scores import ALL, COUNTED, TRUTHS, Scores
from vol3d.comparison.totals import class_names, respelled, total_differences
from vol3d.dataset_tools.fault import listed
from vol3d.errors import UsageError
from vol3d.statistics import bootstrap_interval, mean_of_means, wilcoxon_p

_SAME_TRUTH = 1e-6  # relative; the same truth is counted to the voxel, and written with all digits
FEW = 6  # cases from which on Wilcoxon's test can reach 0.05


def compare_cases(a: Scores, b: Scores) -> Comparison:
    """Per metric and class: the mean difference B - A with its bootstrap interval over cases, and Wilcoxon's test.

    A case counts for a class where both have a number. `all classes` is the mean over classes of the mean over cases,
    tested by the cases' means over the classes that count in them. What is measured over all cases together, such as
    AP, stands beside it without a test.

    Raises:
        UsageError: scored on other cases or another truth, no class or metric in common, or names of classes that
            differ in their spelling only.
    """
    b, matched = _as_spelled(a, b)
    refuse_others(a, b)
    cases = list(dict.fromkeys((*a.cases, *b.cases)))
    classes = [name for name in a.classes if name in b.classes]
    metrics = [name for name in a.better if name in b.better and not _other_rules(a, b, name)]
    totals = _totals(a, b)
    _refuse_strangers(a, b, classes, [*metrics, *totals])

    rows = [one for metric in metrics for one in _differences(a, b, metric, cases, classes)]
    counted = [one for one in rows if one.pairs] or rows
    notes = [f"{len(cases)} cases were paired; a case counts for a class where both have a number"]
    notes += _without_partner(a, b, metrics, cases, classes)
    notes += [*matched, *_notes(a, b, classes, cases)]
    return Comparison("cases", str(a.path), str(b.path), len(cases), corrected(counted), tuple(notes), totals=totals)


def _as_spelled(a: Scores, b: Scores) -> tuple[Scores, list[str]]:
    """B with A's spelling of the classes, and what a reader must know of the names of both."""
    spelling = spelled_as(class_names(b), class_names(a), f"{a.path} and {b.path}")
    b = respelled(b, spelling)
    notes = [f"{theirs} of B is {mine} of A" for theirs, mine in spelling.items()]
    if not _same_classes(a, b):
        notes.append("numbers over all classes of an evaluation were left out, since A and B have others")
    return b, notes


def _same_classes(a: Scores, b: Scores) -> bool:
    return {*class_names(a)} == {*class_names(b)}


def _totals(a: Scores, b: Scores) -> tuple[TotalDifference, ...]:
    """What is measured over all cases; nothing over all classes where these are others."""
    totals = total_differences(a.evaluation, b.evaluation, a.columns)
    return totals if _same_classes(a, b) else tuple(one for one in totals if one.name != ALL)


def _refuse_strangers(a: Scores, b: Scores, classes: Sequence[str], compared: Sequence[Any]) -> None:
    """Raises UsageError where there is no class, or nothing to compare, that both have."""
    if classes and compared:
        return
    what, key = ("metric", "better") if classes else ("class", "classes")
    got = " and ".join(listed(getattr(one, key), 8) for one in (a, b))
    raise UsageError(f"the scores have no {what} in common", where=f"{a.path} and {b.path}", got=got)


def _differences(a: Scores, b: Scores, metric: str, cases: Sequence[str], classes: Sequence[str]) -> list[Difference]:
    """Of each class and, where there are several, of all of them."""
    tables = [np.array([[_value(one, case, name, metric) for name in classes] for case in cases]) for one in (a, b)]
    groups = [(name, slice(number, number + 1)) for number, name in enumerate(classes)]
    groups += [(ALL, slice(None))] if len(classes) > 1 else []
    return [_difference(a, metric, name, tables[0][:, part], tables[1][:, part]) for name, part in groups]


def _difference(a: Scores, metric: str, name: str, before: np.ndarray, after: np.ndarray) -> Difference:
    """Of (cases, classes) numbers of A and of B."""
    both = np.isfinite(before) & np.isfinite(after)
    before, after = (np.where(both, table, math.nan) for table in (before, after))
    counted = both.any(axis=1)
    means = np.array([mean_of_means((after - before)[[case]]) for case in np.flatnonzero(counted)])
    return Difference(
        metric=metric,
        title=a.titles.get(metric, metric.replace("_", " ")),
        name=name,
        pairs=int(counted.sum()),
        a=mean_of_means(before),
        b=mean_of_means(after),
        difference=mean_of_means(after - before),
        interval=bootstrap_interval(after - before),
        p=wilcoxon_p(means),
        better=a.better[metric],
    )


def _value(scores: Scores, case: str, name: str, metric: str) -> float:
    row = scores.rows.get((case, name))
    if row is None:
        return 0.0 if metric in COUNTED else math.nan
    return row.get(metric, math.nan)


def _without_partner(
    a: Scores, b: Scores, metrics: Sequence[str], cases: Sequence[str], classes: Sequence[str]
) -> list[str]:
    """How many numbers are in no difference: a false alarm where the other side rightly found nothing is such a one."""
    if not metrics:
        return []
    metric = "dice" if "dice" in metrics else metrics[0]
    keys = [(case, name) for case in cases for name in classes]
    known = [[math.isfinite(_value(one, *key, metric)) for one in (a, b)] for key in keys]
    alone = [sum(mine and not other for mine, other in pairs) for pairs in (known, [pair[::-1] for pair in known])]
    if not any(alone):
        return []
    counts = f"{alone[0]} of A and {alone[1]} of B"
    return [f"{metric}: {counts} have no partner and do not count, as a false alarm where the other found nothing"]


def refuse_others(a: Scores, b: Scores) -> None:
    """Raises UsageError unless both were scored on the same cases with the same truth."""
    detections = all("ground_truths" in one.columns for one in (a, b))
    only = [(one.path, sorted(set(one.cases) - set(other.cases))) for one, other in ((a, b), (b, a))]
    if any(names for _, names in only) and not detections:  # a scene without objects and detections has no row
        got = "; ".join(f"only in {path}: {listed(names)}" for path, names in only if names)
        do = "Score both on the same cases."
        raise UsageError("the runs were scored on other cases", where=f"{a.path} and {b.path}", got=got, do=do)
    for column in TRUTHS:
        _refuse_other_truths(a, b, column)


def _refuse_other_truths(a: Scores, b: Scores, column: str) -> None:
    classes = set(a.classes) & set(b.classes)
    keys = [key for key in dict.fromkeys((*a.rows, *b.rows)) if key[1] in classes]
    pairs = [(key, _truth(a, key, column), _truth(b, key, column)) for key in keys]
    wrong = [(key, x, y) for key, x, y in pairs if abs(x - y) > _SAME_TRUTH * max(abs(x), abs(y))]
    if wrong:
        (case, name), x, y = wrong[0]
        got = f"{column} {x:g} and {y:g} of {name} in {case}, and {len(wrong) - 1} more"
        raise UsageError("the runs were scored with another truth", where=f"{a.path} and {b.path}", got=got)


def _truth(scores: Scores, key: tuple[str, str], column: str) -> float:
    """NaN where nothing is known of it; no object where a scene of detections has no row."""
    row = scores.rows.get(key)
    if row is None:
        return 0.0 if column in COUNTED and column in scores.columns else math.nan
    return row.get(column, math.nan)


def _other_rules(a: Scores, b: Scores, metric: str) -> bool:
    """Whether the metric was measured by two rules, as NSD with two tolerances."""
    return metric in a.rules and metric in b.rules and a.rules[metric] != b.rules[metric]


def _notes(a: Scores, b: Scores, classes: Sequence[str], cases: Sequence[Any]) -> list[str]:
    notes = []
    for one in (a, b):
        if other := [name for name in one.classes if name not in classes]:
            notes.append(f"classes only in {one.path} were left out: {listed(other)}")
    if other := [name for name in a.better if name in b.better and _other_rules(a, b, name)]:
        notes.append(f"measured by other rules, and left out: {', '.join(other)}")
    if len(cases) < FEW:
        notes.append(f"with {len(cases)} cases Wilcoxon's test cannot give a p below {2 / 2 ** len(cases):.3g}")
    return notes + [f"{one.path}: {text}" for one in (a, b) for text in one.remarks]
