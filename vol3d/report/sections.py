"""Parts of the report that show what a run's folder holds as it is; a part without content is an empty text."""

from __future__ import annotations

import math

from vol3d.report.environment import versions
from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder, number
from vol3d.report.html import fact_list, image, section, table


def pictures(run: RunFolder) -> str:
    """The pictures with their captions."""
    figures = [
        f"<figure>{image(png, name)}<figcaption>{escape(name, quote=True)}</figcaption></figure>"
        for name, png in run.pictures.items()
    ]
    return section("Pictures", f'<div class="pictures">{"".join(figures)}</div>') if figures else ""


def cases(run: RunFolder) -> str:
    """Every case and class, the worst first; the page's script sorts and filters it."""
    if not run.cases:
        return ""
    columns = list(run.cases[0])
    rows = [[row.get(column, "") for column in columns] for row in _worst_first(run)]
    tools = '<input type="search" class="filter" placeholder="filter" aria-label="filter the cases" hidden/>'
    listed = table([*map(run.title, columns)], rows, "sortable")
    return section("Cases", f'{tools}<div class="scroll">{listed}</div>')


def _worst_first(run: RunFolder) -> list[dict[str, str]]:
    """The rows by the first metric that the cases have; those without a number follow, in their own order."""
    metric = next((one for one in run.measured if one.by_case and one.key in run.cases[0]), None)
    if metric is None or metric.better is None:
        return run.cases
    sign = 1.0 if metric.better == "higher" else -1.0

    def place(row: dict[str, str]) -> float:
        value = number(row.get(metric.key))
        return sign * value if math.isfinite(value) else math.inf

    return sorted(run.cases, key=place)


def settings(run: RunFolder) -> str:
    """The resolved configuration, folded away."""
    if not run.config.strip():
        return ""
    return section("Configuration", f"<details><summary>config.yaml</summary><pre>{escape(run.config)}</pre></details>")


def environment(run: RunFolder) -> str:
    """Versions that the weights were made with, and those that wrote the report."""
    parts = []
    made = run.checkpoint.get("versions")
    if isinstance(made, dict) and made:
        parts.append(f"<h3>weights</h3>{fact_list(made)}")
    facts = {key: value for key, value in run.checkpoint.items() if key in {"sha256", "format"}}
    parts.append(f"<h3>this report</h3>{fact_list(versions() | facts)}")
    return section("Environment", f"<details><summary>versions</summary>{''.join(parts)}</details>")


def faults(run: RunFolder) -> str:
    """What could not be read."""
    if not run.faults:
        return ""
    items = "".join(f"<li>{escape(fault)}</li>" for fault in run.faults)
    return f'<aside class="faults"><b>Not everything could be read</b><ul>{items}</ul></aside>'
