"""The pages of seed studies: one study beside its runs, or two side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vol3d.comparison.result import Comparison
from vol3d.comparison.scores import ALL
from vol3d.engine.results import REPORT
from vol3d.files import write_text
from vol3d.report.comparison import comparison_parts
from vol3d.report.document import document
from vol3d.report.environment import versions
from vol3d.report.escape import escape
from vol3d.report.html import fact_list, figure, section, table
from vol3d.report.spread import Band, band_chart, histogram
from vol3d.seeds.extremes import Extremes, Gap, extremes
from vol3d.seeds.study import SeedStudy, read_study
from vol3d.statistics import deviation_interval, mean_interval

CASES_SHOWN = 12
_SELECTED = (
    "Both seeds were selected for their scores, so two others differ by less. This shows where luck acts, and tests"
    " nothing."
)


def write_study_report(study: SeedStudy) -> Path:
    """Writes `report.html` into the folder of a study, and returns its path."""
    path = study.folder / REPORT
    pair = extremes(study)
    parts = [_headline(study), _failed([study]), _courses([study]), _outliers(study), _seeds(study), _pair(pair)]
    write_text(path, _page(study.folder.resolve().name, f"{len(study.scores)} seeds", [*parts, _environment()]))
    return path


def write_seed_comparison(path: Path, comparison: Comparison) -> None:
    """Writes the page of two studies that were compared seed by seed.

    Raises:
        UsageError: the seeds of a side differ in more than their numbers.
        Vol3dError: it cannot be written.
    """
    studies = [read_study(Path(folder)) for folder in (comparison.a, comparison.b)]
    parts = [
        _answer(comparison, studies),
        _failed(studies),
        _courses(studies),
        *comparison_parts(comparison),
        *(_outliers(study, f"Outliers of {word}") for word, study in zip("AB", studies, strict=True)),
        _environment(),
    ]
    write_text(path, _page("Two trainings, seed by seed", f"{comparison.pairs} pairs of seeds", parts))


def _page(title: str, what: str, parts: Sequence[str]) -> str:
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return document(title, f"vol3d report of {what}, {written}", parts)


def _headline(study: SeedStudy) -> str:
    """The mean, how sure it is, and from where to where the seeds go."""
    deviation = "" if study.deviation is None else f" ± {study.deviation:.4f}"
    score = f'<div class="score"><b>{study.mean:.4f}{deviation}</b><span>{escape(study.title)}</span></div>'
    low, high = mean_interval(study.values)
    sure = f'<p class="interval">95 % interval of the mean {low:.4f} to {high:.4f}</p>' if math.isfinite(low) else ""
    facts = fact_list(_facts(study))
    note = "The score of a seed is that of the weights that its run kept, the best of its evaluations."
    return f'<section class="head"><div>{score}{sure}</div>{facts}<p class="note">{note}</p></section>'


def _facts(study: SeedStudy) -> dict[str, Any]:
    low, high = deviation_interval(study.values)
    wide = {"95 % interval of the deviation": f"{low:.4f} to {high:.4f}"} if math.isfinite(low) else {}
    return {
        "seeds": len(study.scores),
        "failed or not ended": len(study.failed),
        f"min ({study.least_fortunate})": f"{study.values.min():.4f}",
        f"max ({study.most_fortunate})": f"{study.values.max():.4f}",
        **wide,
        "started from": study.started_from or "random weights",
    }


def _failed(studies: Sequence[SeedStudy]) -> str:
    """The seeds without a score, by name and reason."""
    several = len(studies) > 1
    rows = [(study.folder / name if several else name, why) for study in studies for name, why in study.failed.items()]
    items = "".join(f"<li><b>{escape(str(name))}</b>: {escape(why)}</li>" for name, why in rows)
    count = f"{len(rows)} {'seeds have' if len(rows) > 1 else 'seed has'} no score"
    return f'<aside class="faults"><b>{count} and no part in the numbers</b><ul>{items}</ul></aside>' if rows else ""


def _courses(studies: Sequence[SeedStudy]) -> str:
    """Band over the epochs; histogram and density of the final scores."""
    names = _group_names(studies)
    label = studies[0].title
    groups = {name: [_band(one) for one in study.bands] for name, study in zip(names, studies, strict=True)}
    bands = band_chart(groups, "epoch", label)
    scores = histogram({name: study.scores for name, study in zip(names, studies, strict=True)}, label)
    caption = f"{escape(label)} by epoch: mean, mean ± deviation (dark), min to max (pale)"
    charts = (figure(bands, caption) if bands else "") + figure(scores, "final scores: seeds in each bin, density")
    return section("Spread over the seeds", f'<div class="charts">{charts}</div>')


def _group_names(studies: Sequence[SeedStudy]) -> list[str]:
    if len(studies) == 1:
        return ["seeds"]
    return [f"{word}: {study.folder.name}" for word, study in zip("AB", studies, strict=True)]


def _band(one: Any) -> Band:
    return Band(one.epoch, one.mean, one.deviation, one.minimum, one.maximum)


def _outliers(study: SeedStudy, title: str = "Outliers") -> str:
    """Which seeds lie too far out to be chance, and which nearly do."""
    if not study.suspects:
        return section(title, "<p>Fewer than three seeds, or no spread: nothing to test.</p>")
    found = study.outliers
    said = f"{', '.join(found)}: more than chance." if found else "No seed lies farther out than chance would have it."
    rows = [
        [name, f"{study.scores[name]:.4f}", f"{one.statistic:.3f}", f"{one.critical:.3f}", one.is_outlier]
        for name, one in study.suspects.items()
    ]
    tested = table(["farthest seed", study.title, "deviations from the mean", "limit at 5 %", "outlier"], rows)
    test = (
        "Generalised ESD test (Rosner 1983), which with fewer than 20 seeds is Grubbs' test; it takes scores as normal."
    )
    return section(title, f'<p>{escape(said)}</p>{tested}<p class="note">{test}</p>')


def _seeds(study: SeedStudy) -> str:
    """All seeds, those without a score too."""
    rows: list[list[str | None]] = [[name, f"{score:.4f}", "ended"] for name, score in study.scores.items()]
    rows += [[name, None, why] for name, why in study.failed.items()]
    return section("Seeds", table(["seed", study.title, "run"], rows))


def _pair(pair: Extremes | None) -> str:
    """The most and the least fortunate seed."""
    if pair is None:
        return ""
    heads = [f"least: {pair.least}", f"most: {pair.most}", "difference"]
    parts = [f'<p class="note">{_SELECTED}</p>', class_gaps(pair, heads)]
    if pair.cases:
        count, title = len(pair.cases), pair.cases[0].title
        said = f"{pair.most} is better in {pair.better_in} of {count} cases, {pair.least} in {pair.worse_in}."
        shown = [[gap.name, *_numbers(gap)] for gap in pair.cases[:CASES_SHOWN]]
        parts += [f"<h3>cases with the largest differences, {escape(title)}</h3><p>{escape(said)}</p>"]
        parts += [table(["case", *heads], shown)]
    return section("The most and the least fortunate seed", "".join(parts))


def class_gaps(pair: Extremes, heads: Sequence[str]) -> str:
    """All totals, and the first number of each class; the others can be unfolded."""
    first = next((gap.title for gap in pair.classes if gap.name != ALL), "")
    parts: list[list[list[str]]] = [[], []]
    for gap in pair.classes:
        is_more = gap.name != ALL and gap.title != first
        parts[is_more].append([gap.title, gap.name, *_numbers(gap)])
    shown, more = (table(["metric", "of", *heads], rows) for rows in parts)
    folded = f"<details><summary>{len(parts[1])} more numbers by class</summary>{more}</details>"
    return shown + (folded if parts[1] else "")


def _numbers(gap: Gap) -> list[str]:
    return [*_places(gap.least, gap.most), f"{gap.difference:+.4f}"]


def _places(*values: float | None) -> list[str]:
    """With four places: seeds differ where three show nothing."""
    return ["" if value is None else f"{value:.4f}" for value in values]


def _answer(comparison: Comparison, studies: Sequence[SeedStudy]) -> str:
    """Whether the two differ by more than seeds do, in mean and in spread."""
    rows: list[list[Any]] = []
    for word, study in zip("AB", studies, strict=True):
        counts = len(study.scores), len(study.failed)
        ends = float(study.values.min()), float(study.values.max())
        numbers = _places(study.mean, study.deviation, *ends)
        rows.append([word, str(study.folder), study.started_from or "random weights", *counts, *numbers])
    columns = ["", "runs", "started from", "seeds", "failed", "mean", "deviation", "min", "max"]
    said = "".join(f"<p>{escape(note)}</p>" for note in comparison.notes)
    return section(f"Do they differ by more than seeds do? {studies[0].title}", table(columns, rows) + said)


def _environment() -> str:
    facts = fact_list(versions())
    return section("Environment", f"<details><summary>versions</summary><h3>this report</h3>{facts}</details>")
