"""Pieces of the page that know no run: sections, facts, tables and what stands in their cells."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vol3d.report.escape import escape
from vol3d.report.folder import number

_ABSENT = "–"
_SECTION = re.compile(r'<section id="([^"]*)"><h2>(.*?)</h2>')


def section(title: str, body: str) -> str:
    """A part of the page under a heading, which the contents lead to."""
    return f'<section id="{_anchor(escape(title))}"><h2>{escape(title)}</h2>{body}</section>'


def contents(parts: Sequence[str]) -> str:
    """Links to the sections among the parts of a page; empty text for fewer than three."""
    found = [match for part in parts for match in _SECTION.findall(part)]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in found)
    return f'<nav aria-label="contents">{links}</nav>' if len(found) > 2 else ""


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def figure(chart: str, caption: str) -> str:
    """A chart under its caption; both are HTML already."""
    return f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"


def image(png: bytes, name: str) -> str:
    """A picture that is part of the page."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(name, quote=True)}" loading="lazy" src="data:image/png;base64,{data}"/>'


def fact_list(facts: Mapping[str, Any]) -> str:
    """Titles with their values; empty text if there is none."""
    items = "".join(f"<div><dt>{escape(title)}</dt><dd>{cell(value)}</dd></div>" for title, value in facts.items())
    return f'<dl class="facts">{items}</dl>' if items else ""


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]], css: str = "") -> str:
    """A table; a column of nothing but numbers stands to the right."""
    styles = [' class="n"' if all(_is_number(row[i]) for row in rows) else "" for i in range(len(titles))]
    head = "".join(f'<th scope="col"{style}>{escape(title)}</th>' for title, style in zip(titles, styles, strict=True))
    body = "".join(_row(row, styles) for row in rows)
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(values: Sequence[Any], styles: Sequence[str]) -> str:
    cells = "".join(f"<td{style}>{cell(value)}</td>" for value, style in zip(values, styles, strict=True))
    return f"<tr>{cells}</tr>"


def _is_number(value: Any) -> bool:
    text = str(value).removeprefix("< ").lower()
    return value is None or math.isfinite(number(text)) or text in {"", "nan", "inf", "none"}


def cell(value: Any) -> str:
    """A value of a table as HTML: `yes`, `0.801 to 0.843`, a dash for what is not there."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or str(value).lower() in {"", "nan", "none", "null"}:
        return _ABSENT
    if isinstance(value, (list, tuple)):
        return " to ".join(cell(item) for item in value)
    parsed = number(value)
    has_point = isinstance(value, str) and "." in value and math.isfinite(parsed)
    return format_number(parsed) if isinstance(value, float) or has_point else escape(str(value))


def format_number(value: float) -> str:
    """Three places behind the point below 10, one above, a dash for what is not finite."""
    if not math.isfinite(value):
        return _ABSENT
    if abs(value) < 10:
        return f"{round(value, 3) + 0.0:.3f}"  # without the sign of a zero
    return f"{value:.1f}" if abs(value) < 1e5 else f"{value:.4g}"
