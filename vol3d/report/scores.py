"""What was measured: the score with its conditions, tables by class, range ..., and the charts of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vol3d.engine.evaluation import Metric
from vol3d.engine.trained_on import remarks
from vol3d.report.detection import OF_DETECTORS
from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder, number
from vol3d.report.html import fact_list, figure, format_number, section, table
from vol3d.report.svg import box_plot, legend, unit_chart

if TYPE_CHECKING:
    from vol3d.engine.task import Metric

Table = dict[str, dict[str, Any]]
"""Name of a row -> key of a column -> value."""

_LONG = 60
_NOT_FACTS = {"score", "score_name", "rows", "metrics"}


def headline(run: RunFolder) -> str:
    """The score with its confidence interval, and the conditions under which it was measured."""
    shown = _headline_keys(run)
    if not shown:
        return ""
    conditions = _conditions(run, {key: value for key, value in _facts(run).items() if key not in shown})
    return f'<section class="head">{headline_scores(run)}{conditions}</section>'


def headline_scores(run: RunFolder) -> str:
    """The score and what stands beside it, each with its confidence interval, and notes; empty text without a score."""
    scores = "".join(_score(run, key) for key in _headline_keys(run))
    return f'<div class="scores">{scores}</div>{_remarks(run)}' if scores else ""


def _remarks(run: RunFolder) -> str:
    """What the scores must be read with, such as that some of the cases were trained on."""
    return "".join(f'<p class="note"><b>Note</b> {escape(text)}</p>' for text in remarks(run.evaluation))


def _headline_keys(run: RunFolder) -> list[str]:
    name, facts = score_name(run), _facts(run)
    beside = [metric.key for metric in run.measured if metric.headline and metric.key in facts]
    return [] if name is None else list(dict.fromkeys([name, *beside]))


def _facts(run: RunFolder) -> dict[str, Any]:
    return {key: value for key, value in run.evaluation.items() if _is_scalar(value) and key not in _NOT_FACTS}


def _conditions(run: RunFolder, facts: Mapping[str, Any]) -> str:
    """Facts in a list, each long one as a separate note after it."""
    long = {key: str(value) for key, value in facts.items() if len(str(value)) > _LONG}
    short = {run.title(key): value for key, value in facts.items() if key not in long}
    notes = [f'<p class="note">{escape(run.title(key))}: {escape(text)}</p>' for key, text in long.items()]
    return fact_list(short) + "".join(notes)


def score_name(run: RunFolder) -> str | None:
    """Key of the one number that ranks the run, None without a score."""
    named = run.evaluation.get("score_name")
    if isinstance(named, str) and (named in run.evaluation or "score" in run.evaluation):
        return named
    return "score" if "score" in run.evaluation else None


def _score(run: RunFolder, key: str) -> str:
    summary = run.evaluation
    score = number(summary.get(key, summary.get("score")))
    text = f"{score:.3f}" if math.isfinite(score) else "–"
    line = f'<div class="score"><b>{text}</b><span> {escape(run.title(key))}</span></div>'
    if interval := interval_of(key, run.evaluation, run.measured):
        line += f'<p class="interval">95 % confidence interval {interval[0]:.3f} to {interval[1]:.3f}</p>'
    return f"<div>{line}</div>"


def interval_of(key: str, table: Mapping[str, Any], metrics: Sequence[Metric]) -> tuple[float, float] | None:
    """The 95 % interval of a number that stands beside it in the summary or in a row; None without one."""
    place = next((metric.interval for metric in metrics if metric.key == key), None)
    bounds = numbers(table.get(place)) if place else []
    return (bounds[0], bounds[1]) if len(bounds) == 2 and all(map(math.isfinite, bounds)) else None


def classes(run: RunFolder) -> str:
    """One row per class, and box plots of the cases behind it."""
    found = class_table(run)
    parts = [found] if found else []
    if boxes := "".join(_box_plot(run, metric) for metric in run.measured if metric.by_case):
        parts.append(f'<div class="charts">{boxes}</div>')
    return section("Classes", "".join(parts)) if parts else ""


def breakdowns(run: RunFolder) -> str:
    """The further tables of the summary, each under its own name: scores by range, by difficulty ..."""
    further = [item for item in list(_tables(run.evaluation))[1:] if item[0] not in OF_DETECTORS]
    return "".join(section(run.title(key).capitalize(), _table_of_rows(run, "", rows)) for key, rows in further)


def precision_recall(run: RunFolder) -> str:
    """One small chart per class: precision as recall rises, at each overlap that counts as found."""
    curves = run.evaluation.get("precision_recall")
    if not isinstance(curves, dict):
        return ""

    recall = numbers(curves.get("recall"))
    by_metric = {key: by_class for key, by_class in curves.items() if isinstance(by_class, dict)}
    names = dict.fromkeys(name for by_class in by_metric.values() for name in by_class)
    charts = "".join(_class_curves(run, name, recall, by_metric) for name in names)
    if not charts:
        return ""

    colours = legend([run.title(key) for key in by_metric])
    return section("Precision and recall", f'{colours}<div class="charts small">{charts}</div>')


def _class_curves(run: RunFolder, name: str, recall: list[float], by_metric: Mapping[str, dict[str, Any]]) -> str:
    """The chart of one class, empty text where its curves are none."""
    precision = {key: numbers(by_class.get(name)) for key, by_class in by_metric.items()}
    if any(len(values) not in (0, len(recall)) for values in precision.values()):
        return ""

    series = {run.title(key): (recall if values else [], values) for key, values in precision.items()}
    chart = unit_chart(series, "recall", "precision")
    row = first_table(run.evaluation).get(name, {})
    areas = [f"{run.title(key)} {format_number(number(row[key]))}" for key in by_metric if key in row]
    return figure(chart, f"<b>{escape(name)}</b> {escape(' · '.join(areas))}") if chart else ""


def _box_plot(run: RunFolder, metric: Metric) -> str:
    """A metric's distribution over the cases, by class."""
    groups: dict[str, dict[str, float]] = {}
    for row in run.cases:
        groups.setdefault(row.get("class", "all"), {})[row.get("case", "")] = number(row.get(metric.key))
    chart = box_plot(groups, metric.label)
    return figure(chart, f"{escape(metric.label)} of each case") if chart else ""


def _tables(summary: Mapping[str, Any]) -> Iterator[tuple[str, Table]]:
    """The tables of a summary with their keys; that of the classes is the first."""
    for key, value in summary.items():
        if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
            yield key, value


def class_table(run: RunFolder) -> str:
    """One row per class; empty text if nothing was measured by class."""
    rows = first_table(run.evaluation)
    return _table_of_rows(run, "class", rows) if rows else ""


def first_table(summary: Mapping[str, Any]) -> Table:
    """That of the classes; {} where the summary of an evaluation has none."""
    return next((rows for _, rows in _tables(summary)), {})


def _table_of_rows(run: RunFolder, corner: str, rows: Table) -> str:
    cells = [(key, value) for row in rows.values() for key, value in row.items()]
    columns = list(dict.fromkeys(key for key, value in cells if not isinstance(value, dict)))
    lines = [[name, *(shown(row, column) for column in columns)] for name, row in rows.items()]
    return table([corner, *map(run.title, columns)], lines)


def shown(row: Mapping[str, Any], column: str) -> Any:
    """A value of a row; a score of what is annotated nowhere is none, whatever it counts in the mean."""
    value = row.get(column)
    return None if row.get("ground_truths") == 0 and isinstance(value, (float, list)) else value


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, (dict, list, tuple))


def numbers(values: Any) -> list[float]:
    """A list's numbers, NaN for anything else; empty if it is not a list."""
    return [number(value) for value in values] if isinstance(values, list) else []
