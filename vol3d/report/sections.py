"""Parts of the report that show what a run's folder holds as it is; a part without content is an empty text."""

from __future__ import annotations

from vol3d.report.environment import versions
from vol3d.report.escape import escape
from vol3d.report.folder import RunFolder
from vol3d.report.html import fact_list, image, section, table
from vol3d.report.worst import worst_first


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
    scored, rest = worst_first(run.cases, run.measured)
    rows = [[row.get(column, "") for column in columns] for row in (*scored, *rest)]
    tools = '<input type="search" class="filter" placeholder="filter" aria-label="filter the cases" hidden/>'
    listed = table([*map(run.title, columns)], rows, "sortable")
    return section("Cases", f'{tools}<div class="scroll">{listed}</div>')


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
