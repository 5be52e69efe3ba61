"""What a report shows of detectors only: which score to choose, and which class is taken for which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder, number
from vol3d.report.html import figure, format_number, section, table
from vol3d.report.svg import legend, unit_chart

_BEST, _CURVES, _CONFUSION = "score_thresholds", "by_score", "confusion"
OF_DETECTORS = (_BEST, _CONFUSION)
"""Tables of the summary that this module shows."""
_MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1"}
_CHOSEN = "best_f1_from_score"
_UPRIGHT = 8  # columns from whose number on their titles are turned


def thresholds(run: RunFolder) -> str:
    """The score of the highest F1 of each class and of all, and charts of precision, recall and F1 by score."""
    best, curves = run.evaluation.get(_BEST), run.evaluation.get(_CURVES)
    if not isinstance(best, dict) or not all(isinstance(row, dict) for row in best.values()) or not best:
        return ""
    keys = ("from_score", *_MEASURES, "ground_truths")
    rows = [[name, *(row.get(key) for key in keys)] for name, row in best.items()]
    titles = ["class", "score of the best F1", *_MEASURES.values(), run.title("ground_truths")]
    charts = _charts(curves, best) if isinstance(curves, dict) else ""
    return section("Score threshold", f"{_advice(run)}{table(titles, rows)}{charts}")


def _advice(run: RunFolder) -> str:
    score, f1 = (number(run.evaluation.get(key)) for key in (_CHOSEN, "best_f1"))
    if not (math.isfinite(score) and math.isfinite(f1)):
        return ""
    if f1 == 0:
        return "<p>No detection hits an object, whatever its score: there is no threshold to advise.</p>"
    score = math.floor(1000 * score) / 1000  # rounded up, it would leave out the last box that counts
    said = f"Over all classes F1 is highest, {format_number(f1)}, where detections count from a score of {score:.3f} on"
    return f"<p>{said}: <code>vol3d predict MODEL SCAN -o OUT --score {score:.3f}</code> keeps these.</p>"


def _charts(curves: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """A small chart for each class of which something was found."""
    scores = _numbers(curves.get("scores"))
    charts = []
    for name, row in best.items():
        if not math.isfinite(number(row.get("from_score"))):
            continue
        series = {title: _series(scores, curves.get(key), name) for key, title in _MEASURES.items()}
        caption = f"<b>{escape(name)}</b> best from {format_number(number(row.get('from_score')))}"
        if chart := unit_chart(series, "score", "share"):
            charts.append(figure(chart, caption))
    if not charts:
        return ""
    return f'<h3>by score</h3>{legend([*_MEASURES.values()])}<div class="charts small">{"".join(charts)}</div>'


def _series(scores: list[float], by_class: Any, name: str) -> tuple[list[float], list[float]]:
    values = _numbers(by_class.get(name)) if isinstance(by_class, dict) else []
    return (scores, values) if len(values) == len(scores) else ([], [])


def _numbers(values: Any) -> list[float]:
    return [number(value) for value in values] if isinstance(values, list) else []


def confusion(run: RunFolder) -> str:
    """Annotated class by detected class, each row shaded by its shares; classes without any count are left out."""
    rows = _counts(run.evaluation.get(_CONFUSION))
    occurring = _occurring(rows)
    kept = [name for name in dict.fromkeys(name for row in rows.values() for name in row) if name in occurring]
    if not kept:
        return ""
    head = "".join(f'<th scope="col" class="n">{escape(column)}</th>' for column in kept)
    lines = {name: [row.get(column, 0) for column in kept] for name, row in rows.items() if name in occurring}
    body = "".join(_row(name, values) for name, values in lines.items())
    start = '<th scope="col">annotated \\ found as</th>'
    css = "confusion wide" if len(kept) > _UPRIGHT else "confusion"
    listed = f'<table class="{css}"><thead><tr>{start}{head}</tr></thead><tbody>{body}</tbody></table>'
    return section("Confusion matrix", f"<p>{_said(run)}</p>{listed}")


def _occurring(rows: Mapping[str, Mapping[str, int]]) -> set[str]:
    """Rows and columns with a number that is not 0."""
    cells = [(name, column) for name, row in rows.items() for column, value in row.items() if value]
    return {name for cell in cells for name in cell}


def _counts(table: Any) -> dict[str, dict[str, int]]:
    """Annotated class -> detected class -> number; {} for anything else."""
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        return {}
    return {name: {column: _count(value) for column, value in row.items()} for name, row in table.items()}


def _said(run: RunFolder) -> str:
    score = number(run.evaluation.get(_CHOSEN))
    which = f"Detections from a score of {score:.3f} on" if math.isfinite(score) else "Detections"
    return (
        f"{which}, matched by the rule of the scores: the diagonal has the hits; beside it are detections that lie on"
        " an object of another class, as near as a hit must be. The colour is the share of the row."
    )


def _count(value: Any) -> int:
    found = number(value)
    return int(found) if math.isfinite(found) else 0


def _row(name: str, values: list[int]) -> str:
    whole = sum(values) or 1
    cells = "".join(
        f'<td class="n{"" if value else " zero"}" style="--share: {value / whole:.3f}">{value}</td>' for value in values
    )
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
