"""The page of a cross-validation: every fold's scores side by side, mean and deviation, the worst cases of all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vol3d.files import write_text
from vol3d.report.document import document
from vol3d.report.environment import versions
from vol3d.report.escape import escape
from vol3d.report.folder import number
from vol3d.report.html import fact_list, figure, section, table
from vol3d.report.scores import first_table
from vol3d.report.svg import box_plot
from vol3d.report.worst import worst_first

if TYPE_CHECKING:
    from vol3d.engine.task import Evaluation, Metric

CASES_SHOWN = 20
_MOST_TABLES = 4
_NOTE = (
    "Each fold's model was scored on the cases that it was not trained on. Trainings of two folds share most of their"
    " cases, so the deviation over folds is not that of independent runs."
)


def write_folds_report(folder: Path, evaluations: Mapping[str, Evaluation]) -> Path:
    """Writes `report.html` into the folder of the folds, and returns its path.

    Args:
        evaluations: name of a fold -> its evaluation, without an empty one.

    Raises:
        Vol3dError: it cannot be written.
    """
    first = next(iter(evaluations.values()))
    parts = [
        _headline(evaluations),
        _folds(folder, evaluations),
        *_classes(evaluations),
        _spread(evaluations, first.metrics),
        _worst(evaluations, first.metrics),
        section("Environment", f"<details><summary>versions</summary>{fact_list(versions())}</details>"),
    ]
    path = folder / "report.html"
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    title = folder.resolve().name
    write_text(path, document(title, f"vol3d report of {len(evaluations)} folds, {written}", parts))
    return path


def _headline(evaluations: Mapping[str, Evaluation]) -> str:
    scores = [one.score for one in evaluations.values()]
    title = escape(_title(next(iter(evaluations.values()))))
    head = f'<div class="score"><b>{_mean_text(scores)}</b><span>{title}</span></div>'
    facts = {
        "folds": len(evaluations),
        "cases": sum(_cases(one) for one in evaluations.values()),
        "min": min(scores),
        "max": max(scores),
    }
    return f'<section class="head"><div>{head}</div>{fact_list(facts)}<p class="note">{_NOTE}</p></section>'


def _mean_text(values: Sequence[float]) -> str:
    mean, deviation = _mean_deviation(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if math.isnan(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def _mean_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Of those that are finite; the deviation of the sample (n - 1), NaN for fewer than two."""
    finite = [value for value in values if math.isfinite(value)]
    mean = statistics.fmean(finite) if finite else math.nan
    return mean, statistics.stdev(finite) if len(finite) > 1 else math.nan


def _title(evaluation: Evaluation) -> str:
    known = {metric.key: metric.label for metric in evaluation.metrics}
    return known.get(evaluation.score_name, evaluation.score_name.replace("_", " "))


def _cases(evaluation: Evaluation) -> int:
    keys = ("case", "scene")
    return len({row[key] for row in evaluation.rows for key in keys if key in row})


def _folds(folder: Path, evaluations: Mapping[str, Evaluation]) -> str:
    """A row for each fold, and their mean and deviation."""
    first = next(iter(evaluations.values()))
    shown = _headline_metrics(evaluations)
    numbers = {
        name: [one.score, *(number(one.summary.get(metric.key)) for metric in shown)]
        for name, one in evaluations.items()
    }
    rows = [[name, _cases(evaluations[name]), *values] for name, values in numbers.items()]
    spread = [_mean_deviation(column) for column in zip(*numbers.values(), strict=True)]
    rows += [[word, None, *(one[place] for one in spread)] for place, word in enumerate(("mean", "deviation"))]
    listed = table(["fold", "cases", _title(first), *(metric.label for metric in shown)], rows)
    return section("Folds", listed + _ways(folder, evaluations))


def _headline_metrics(evaluations: Mapping[str, Evaluation]) -> list[Metric]:
    """Those that a report shows beside the score, and some fold has."""
    first = next(iter(evaluations.values()))
    known = {key for one in evaluations.values() for key in one.summary} - {first.score_name}
    return [metric for metric in first.metrics if metric.headline and metric.key in known]


def _ways(folder: Path, names: Iterable[str]) -> str:
    """Links to the reports of the folds."""
    there = [escape(name, quote=True) for name in names if (folder / name / "report.html").is_file()]
    links = ", ".join(f'<a href="{name}/report.html">{name}</a>' for name in there)
    return f'<p class="note">Reports of the folds: {links}</p>' if links else ""


def _classes(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """A table for each metric of the classes: a row for each class, a column for each fold."""
    tables = {name: first_table(one.summary) for name, one in evaluations.items()}
    found = {key for rows in tables.values() for row in rows.values() for key in row}
    metrics = [metric for metric in next(iter(evaluations.values())).metrics if metric.key in found and metric.better]
    titles = ["class", *tables, "mean", "deviation"]
    return [
        section(f"{metric.label} by class", table(titles, _by_fold(tables, metric.key)))
        for metric in metrics[:_MOST_TABLES]
    ]


def _by_fold(tables: Mapping[str, Mapping[str, Mapping[str, Any]]], key: str) -> list[list[Any]]:
    """Each class with its number in each fold, their mean and deviation."""
    names = dict.fromkeys(name for rows in tables.values() for name in rows)
    lines: list[list[Any]] = []
    for name in names:
        values = [number(rows.get(name, {}).get(key)) for rows in tables.values()]
        lines.append([name, *values, *_mean_deviation(values)])
    return lines


def _spread(evaluations: Mapping[str, Evaluation], metrics: Sequence[Metric]) -> str:
    """The cases of each fold as box plots."""
    charts = []
    for metric in (one for one in metrics if one.by_case):
        groups = {
            name: {f"{row.get('case', '')} {row.get('class', '')}": number(row.get(metric.key)) for row in one.rows}
            for name, one in evaluations.items()
        }
        if chart := box_plot(groups, metric.label):
            charts.append(figure(chart, f"{escape(metric.label)} of each case and class, by fold"))
    return section("Spread over the cases", f'<div class="charts">{"".join(charts)}</div>') if charts else ""


def _worst(evaluations: Mapping[str, Evaluation], metrics: Sequence[Metric]) -> str:
    """The worst cases of all folds by the first metric that cases have."""
    rows = [{"fold": name, **row} for name, one in evaluations.items() for row in one.rows]
    shown = worst_first(rows, metrics)[0][:CASES_SHOWN]
    if not shown:
        return ""
    columns = list(dict.fromkeys(key for row in shown for key in row))
    titles = {one.key: one.label for one in metrics}
    lines = [[row.get(column) for column in columns] for row in shown]
    listed = table([titles.get(column, column.replace("_", " ")) for column in columns], lines)
    return section("Worst cases", f'<div class="scroll">{listed}</div>')
