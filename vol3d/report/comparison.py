"""A comparison of two evaluations as a page: what differs, by how much, and what the test says."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from vol3d.comparison.result import SIGNIFICANT, Comparison, Difference, bounded
from vol3d.files import write_text
from vol3d.report.document import document
from vol3d.report.environment import versions
from vol3d.report.escape import escape
from vol3d.report.html import fact_list, figure, section, table
from vol3d.report.svg import interval_chart


def write_comparison(path: str | Path, comparison: Comparison) -> None:
    """Writes one HTML file that loads nothing. Raises Vol3dError if it cannot be written."""
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        section("What is compared", fact_list(_facts(comparison)) + _notes(comparison)),
        *comparison_parts(comparison),
        section("Environment", f"<details><summary>versions</summary>{fact_list(versions())}</details>"),
    ]
    write_text(Path(path), document("A against B", f"vol3d comparison, {written}", parts))


def comparison_parts(comparison: Comparison) -> list[str]:
    """What is measured over all cases, the differences as a table, and their intervals as charts."""
    totals = [section("Over all cases", table(comparison.total_columns, comparison.total_rows(), "sortable"))]
    by_case = [section("Difference B - A", _table(comparison)), section("Intervals of 95 %", _charts(comparison))]
    return totals * bool(comparison.totals) + by_case


def _facts(comparison: Comparison) -> dict[str, str | int]:
    better = [one.winner for one in comparison.differences]
    return {
        "A": comparison.a,
        "B": comparison.b,
        f"{comparison.kind} paired": comparison.pairs,
        "test": comparison.test,
        f"rows with p (Holm) below {SIGNIFICANT}": f"A better in {better.count('A')}, B better in {better.count('B')}, "
        f"neither in {better.count(None)} of {len(better)}",
    }


def _notes(comparison: Comparison) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    return f"<ul>{items}</ul>" if items else ""


def _table(comparison: Comparison) -> str:
    rows = [
        [bounded(value, title, 3) for value, title in zip(row, comparison.columns, strict=True)]
        for row in comparison.rows()
    ]
    return f'<div class="scroll">{table(comparison.columns, rows, "sortable")}</div>'


def _charts(comparison: Comparison) -> str:
    """A chart for each metric: their units differ."""
    metrics: dict[str, list[Difference]] = {}
    for one in comparison.differences:
        metrics.setdefault(one.title, []).append(one)
    charts = []
    for title, listed in metrics.items():
        rows = {one.name: (one.interval[0], one.difference, one.interval[1]) for one in listed}
        if chart := interval_chart(rows, f"{title}: B - A ({listed[0].better} is better)"):
            charts.append(figure(chart, escape(title)))
    return f'<div class="charts">{"".join(charts)}</div>' if charts else "<p>No interval could be computed.</p>"
