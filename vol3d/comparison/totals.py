"""What an evaluation measured over all its cases together, such as AP or a mean, and how two of them differ in it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from vol3d.comparison.result import TotalDifference
from vol3d.comparison.scores import ALL, Better, Scores
from vol3d.engine.evaluation import Evaluation
from vol3d.report.scores import interval_of

Key = tuple[str, str]
"""Metric, and the class or `all classes`."""
Described = tuple[str, Better]
"""What a reader sees, and which values are better."""


def total_differences(
    a: Evaluation | None, b: Evaluation | None, by_case: Collection[str]
) -> tuple[TotalDifference, ...]:
    """Of what both measured and no case has by itself (`by_case`): over all classes, and one number for each class."""
    if a is None or b is None:
        return ()
    before, after = numbers(a), numbers(b)
    known = {key: one for key, one in described(a).items() if key in before and key in after}
    return tuple(
        TotalDifference(
            metric=metric,
            title=title,
            name=name,
            a=before[metric, name],
            b=after[metric, name],
            difference=after[metric, name] - before[metric, name],
            a_interval=_interval(a, metric, name),
            b_interval=_interval(b, metric, name),
            better=better,
        )
        for (metric, name), (title, better) in _shown(known, a).items()
        if metric not in by_case
    )


def class_names(scores: Scores) -> tuple[str, ...]:
    """Of the table of the classes where there is one, else of the rows."""
    return classes_of(scores.evaluation) or tuple(scores.classes)


def classes_of(evaluation: Evaluation | None) -> tuple[str, ...]:
    """Names in the table of the classes."""
    return tuple(_classes(evaluation)) if evaluation is not None else ()


def respelled(scores: Scores, spelling: Mapping[str, str]) -> Scores:
    """The scores under other names of classes: name -> new name."""
    rows = {(case, spelling.get(name, name)): row for (case, name), row in scores.rows.items()}
    evaluation = scores.evaluation and evaluation_respelled(scores.evaluation, spelling)
    return replace(scores, rows=rows, evaluation=evaluation)


def evaluation_respelled(evaluation: Evaluation, spelling: Mapping[str, str]) -> Evaluation:
    """Its rows and tables under other names of classes: name -> new name."""
    tables = {key: value for key, value in evaluation.summary.items() if _is_table(value)}
    renamed = {key: {spelling.get(name, name): row for name, row in one.items()} for key, one in tables.items()}
    rows = [
        {**row, "class": spelling.get(row["class"], row["class"])} if "class" in row else row for row in evaluation.rows
    ]
    return replace(evaluation, summary={**evaluation.summary, **renamed}, rows=rows)


def _shown(known: Mapping[Key, Described], evaluation: Evaluation) -> dict[Key, Described]:
    """Every total over all classes; of each annotated class the score, or the first metric that classes have."""
    totals = {*evaluation.summary, evaluation.score_name}
    classes = {name for name, row in _classes(evaluation).items() if row.get("ground_truths") != 0}
    metrics = [metric for metric, name in known if name in classes]
    first = evaluation.score_name if evaluation.score_name in metrics else next(iter(metrics), "")
    wanted = {(metric, ALL) for metric in totals} | {(first, name) for name in classes}
    return {key: one for key, one in known.items() if key in wanted}


def _classes(evaluation: Evaluation) -> Mapping[str, Mapping[str, Any]]:
    """The table of the classes; empty in an evaluation that has none."""
    table = evaluation.summary.get("classes")
    return table if _is_table(table) else {}


def _interval(evaluation: Evaluation, metric: str, name: str) -> tuple[float, float] | None:
    """The 95 % interval that an evaluation gives of its number."""
    return interval_of(
        metric, evaluation.summary if name == ALL else _classes(evaluation).get(name, {}), evaluation.metrics
    )


def described(evaluation: Evaluation) -> dict[Key, Described]:
    """What can be compared, the score first: what a reader sees, and which values are better."""
    known = {metric.key: (metric.label, metric.better) for metric in evaluation.metrics if metric.better is not None}
    known.setdefault(evaluation.score_name, (evaluation.score_name.replace("_", " "), "higher"))
    first = (evaluation.score_name, ALL)
    return {key: known[key[0]] for key in (first, *numbers(evaluation)) if key[0] in known}


def numbers(evaluation: Evaluation) -> dict[Key, float]:
    """All numbers of the summary and of its tables of classes.

    Of what several tables have under one name, the first counts: KITTI's AP at looser overlaps has that of `classes`.
    """
    tables: list[Mapping[str, Any]] = [{ALL: {**evaluation.summary, evaluation.score_name: evaluation.score}}]
    tables += [value for value in evaluation.summary.values() if _is_table(value)]
    found: dict[Key, float] = {}
    for table in tables:
        for name, row in table.items():
            for key, value in row.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                    found.setdefault((key, name), float(value))
    return found


def _is_table(value: Any) -> TypeGuard[dict[str, dict[str, Any]]]:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())
