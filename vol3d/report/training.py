"""The course of a training as charts: what `metrics.csv` holds, sorted into kinds that share an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder
from vol3d.report.html import figure, section
from vol3d.report.scores import score_name
from vol3d.report.svg import line_chart

KINDS = ("score", "loss", "terms of the loss", "learning rate", "gradient")
# Columns that count or time the run rather than describe it.
_CLOCKS = ("step", "epoch", "time", "second", "memory", "speed", "eta", "per_s", "wall", "batch", "samples")


def curves(run: RunFolder) -> str:
    """Score, loss and its terms, learning rate and gradient in the course of the training, each on a separate axis.

    Terms of layers before the last, `box/layer0`, are left to the table.
    """
    axis = next((name for name in ("step", "epoch") if name in run.metrics), "row")
    longest = max(map(len, run.metrics.values()), default=0)
    steps = run.metrics.get(axis, [*map(float, range(longest))])

    score = score_name(run)
    names: dict[str | None, list[str]] = {}
    for name, values in run.metrics.items():
        names.setdefault(_kind(name, values, score), []).append(name)

    charts = "".join(_chart(run, kind, names[kind], axis, steps) for kind in KINDS if kind in names)
    return section("Training", f'<div class="charts curves">{charts}</div>') if charts else ""


def _kind(name: str, values: Sequence[float], score: str | None) -> str | None:
    """Which chart a column belongs to, None for none."""
    lowered = name.lower()
    if any(clock in lowered for clock in _CLOCKS):
        return None
    if "loss" in lowered:
        return "loss"
    if lowered in {"lr", "learning_rate"} or lowered.startswith("lr/"):
        return "learning rate"
    if name == "grad_norm":
        return "gradient"
    if name == score or _is_rare(values):
        return "score"
    return None if "/" in name else "terms of the loss"


def _is_rare(values: Sequence[float]) -> bool:
    """Whether most rows have none: an evaluation writes a row now and then, a training many."""
    return sum(map(math.isfinite, values)) < len(values) / 2


def _chart(run: RunFolder, kind: str, names: Sequence[str], axis: str, steps: Sequence[float]) -> str:
    series = {name: (steps, run.metrics[name]) for name in names}
    if kind == "score":  # scores stand in few rows; between them the line goes on
        series = {name: _present(*values) for name, values in series.items()}

    chart = line_chart(series, axis, kind)
    return figure(chart, escape(run.title(names[0]) if len(names) == 1 else kind)) if chart else ""


def _present(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    kept = [(a, b) for a, b in zip(x, y, strict=False) if math.isfinite(b)]
    return [a for a, _ in kept], [b for _, b in kept]
