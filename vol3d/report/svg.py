"""Small charts as inline SVG. Colours are CSS classes (`s0` to `s7`), so that they follow the page's light or dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vol3d.report.escape import escape

SERIES = 8
CURVE_WIDTH, CURVE_HEIGHT, _BOX_WIDTH = 400, 250, 540
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
_POINTS = 240
_ROW = 46


def ticks(low: float, high: float, wanted: int = 5, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, about `wanted` of them.

    Args:
        whole: what is counted, such as epochs, has no fractions; where no whole number lies between the two, there is
            no number.

    >>> ticks(0, 2), ticks(0, 2, whole=True), ticks(0.2, 0.7, whole=True)
    ([0.0, 0.5, 1.0, 1.5, 2.0], [0.0, 1.0, 2.0], [])
    """
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    raw = max(span / wanted, 1.0) if whole else span / wanted
    decade = 10.0 ** math.floor(math.log10(raw))
    steps = [decade * factor for factor in (1, 2, 2.5, 5, 10) if not whole or (decade * factor).is_integer()]
    step = next(one for one in steps if one >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str) -> str:
    """Lines of (x, y) values over steps or epochs; a line breaks where a value is not finite.

    Empty text if nothing can be drawn.

    A series of more than 240 points is drawn as the means of 240 stretches.
    """
    lines = {name: _finite(*values) for name, values in series.items()}
    lines = {name: pieces for name, pieces in lines.items() if pieces}
    if not lines:
        return ""
    every = np.concatenate([piece for pieces in lines.values() for piece in pieces])
    x_low, x_high = float(every[:, 0].min()), float(every[:, 0].max())
    y_low, y_high = with_margin(float(every[:, 1].min()), float(every[:, 1].max()), 0.05)
    x_axis, y_axis = curve_axes((x_low, x_high if x_high > x_low else x_low + 1), (y_low, y_high), counts="x")

    parts = grid(x_axis, y_axis, x_label)
    for index, (name, pieces) in enumerate(lines.items()):
        parts += [_line(piece, x_axis, y_axis, f"line s{index % SERIES}", name) for piece in pieces]
    return svg_frame(parts, CURVE_WIDTH, CURVE_HEIGHT, y_label) + legend(list(lines))


def curve_axes(x: tuple[float, float], y: tuple[float, float], counts: Literal["", "x", "y"] = "") -> tuple[Axis, Axis]:
    """The axes of a chart of `CURVE_WIDTH` by `CURVE_HEIGHT`, from low to high; one may count whole things."""
    across = Axis(*x, LEFT, CURVE_WIDTH - RIGHT, whole=counts == "x")
    return across, Axis(y[1], y[0], TOP, CURVE_HEIGHT - BOTTOM, whole=counts == "y")


def grid(x_axis: Axis, y_axis: Axis, x_label: str) -> list[str]:
    """Horizontal lines at round values, and the numbers of both axes."""
    parts = []
    for y in y_axis.ticks(5):
        at = y_axis.place(y)
        line = f'<path class="grid" d="M{x_axis.start:g} {at:.1f}H{x_axis.stop:g}"/>'
        parts.append(line + svg_text(x_axis.start - 8, at + 4, y, "end"))
    below = y_axis.stop
    parts += [svg_text(x_axis.place(x), below + 18, x, "middle") for x in x_axis.ticks(4)]
    return [*parts, svg_text((x_axis.start + x_axis.stop) / 2, below + BOTTOM - 4, x_label, "middle")]


def unit_chart(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str) -> str:
    """A small square chart of lines whose x and y lie in 0 to 1; a line ends where a value is not finite.

    The colours follow the order of the series; `legend` names them once for many charts. Empty text if there is
    nothing to draw.
    """
    lines = [(index, name, _finite(*values)) for index, (name, values) in enumerate(series.items())]
    if not any(pieces for _, _, pieces in lines):
        return ""
    side, left, top = 150, 46, 8
    parts = []
    for value in (0.0, 0.5, 1.0):
        x, y = left + value * side, top + (1 - value) * side
        parts.append(f'<path class="grid" d="M{left} {y:g}h{side}M{x:g} {top}v{side}"/>')
        parts += [svg_text(left - 6, y + 4, value, "end"), svg_text(x, top + side + 15, value, "middle")]
    for index, name, pieces in lines:
        for piece in pieces:
            inside = piece.clip(0, 1)
            points = [(left + x * side, top + (1 - y) * side) for x, y in inside]
            parts.append(_polyline(points, f"line s{index % SERIES}", name))
    parts.append(svg_text(left + side / 2, top + side + 30, x_label, "middle"))
    turned = f'transform="translate(14 {top + side / 2:g}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(y_label)}</text>')
    return svg_frame(parts, left + side + 12, top + side + 36, f"{y_label} by {x_label}")


def box_plot(groups: Mapping[str, Mapping[str, float]], label: str) -> str:
    """Horizontal box plots, one row per group, each case a dot that names itself; empty text if there is no number.

    Args:
        groups: name of a group -> name of a case -> value; values that are not finite are left out.
        label: the axis, with its unit.

    The box spans the quartiles, the bar is the median, the whiskers end at the last case within 1.5 box lengths.
    """
    finite = {name: {case: v for case, v in cases.items() if math.isfinite(v)} for name, cases in groups.items()}
    values = [value for cases in finite.values() for value in cases.values()]
    if not values:
        return ""
    low, high = with_margin(min(values), max(values), 0.04)

    def draw(name: str, middle: float, axis: Axis) -> str:
        cases = finite[name]
        return _box(list(cases.values()), middle, axis) + _dots(cases, middle, axis) if cases else ""

    return _rows(list(finite), (low, high), label, draw)


def interval_chart(rows: Mapping[str, tuple[float, float, float]], label: str) -> str:
    """Estimates with their intervals, one row each, and a line at 0; empty text if there is none.

    Args:
        rows: name -> lower end, estimate, upper end; rows with a number that is not finite are left out.
        label: the axis, with its unit.
    """
    finite = {name: ends for name, ends in rows.items() if all(map(math.isfinite, ends))}
    if not finite:
        return ""
    ends = [0.0, *(value for row in finite.values() for value in row)]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0

    def draw(name: str, middle: float, axis: Axis) -> str:
        low, estimate, high = map(axis.place, finite[name])
        zero = f'<path class="grid" d="M{axis.place(0):.1f} {middle - _ROW / 2}v{_ROW}" stroke-width="2"/>'
        title = escape("{1:.4g} ({0:.4g} to {2:.4g})".format(*finite[name]))
        path = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 6}v12M{high:.1f} {middle - 6}v12"
        dot = f'<circle cx="{estimate:.1f}" cy="{middle}" r="4"><title>{title}</title></circle>'
        return f'{zero}<path class="whisker" d="{path}"/>{dot}'

    return _rows(list(finite), (min(ends) - margin, max(ends) + margin), label, draw)


def _rows(names: Sequence[str], span: tuple[float, float], label: str, draw: Callable[[str, float, Axis], str]) -> str:
    """A row for each name along a common axis; `draw(name, middle of the row, axis)` gives what stands in it."""
    left = min(170, 24 + 7 * max(len(name) for name in names))
    axis = Axis(*span, left, _BOX_WIDTH - RIGHT)
    height = TOP + _ROW * len(names) + BOTTOM
    bottom = height - BOTTOM

    parts = []
    for value in ticks(*span, 6):
        parts.append(f'<path class="grid" d="M{axis.place(value):.1f} {TOP}V{bottom}"/>')
        parts.append(svg_text(axis.place(value), bottom + 18, value, "middle"))

    for index, name in enumerate(names):
        middle = TOP + _ROW * (index + 0.5)
        parts.append(svg_text(left - 10, middle + 4, name if len(name) < 22 else f"{name[:20]}…", "end"))
        if drawn := draw(name, middle, axis):
            parts.append(f'<g class="s{index % SERIES}">{drawn}</g>')
    parts.append(svg_text((left + _BOX_WIDTH - RIGHT) / 2, height - 4, label, "middle"))
    return svg_frame(parts, _BOX_WIDTH, height, label)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` along pixels from `start` to `stop`; those that are counted have `whole` ticks."""

    low: float
    high: float
    start: float
    stop: float
    whole: bool = False

    def ticks(self, wanted: int) -> list[float]:
        """About so many round numbers, ascending."""
        return ticks(min(self.low, self.high), max(self.low, self.high), wanted, self.whole)

    def place(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def with_margin(low: float, high: float, share: float) -> tuple[float, float]:
    """The range with some room at both ends; one that begins near 0 begins at 0."""
    margin = share * (high - low) or 0.5 * abs(low) or 1.0
    return low - margin if low < 0 or low > margin else 0.0, high + margin


def _finite(x: Sequence[float], y: Sequence[float]) -> list[np.ndarray]:
    """Stretches (n, 2) of points between values that are not finite, thinned out."""
    points = np.array([x, y], dtype=float).T.reshape(-1, 2)
    good = np.isfinite(points).all(axis=1)
    cuts = np.flatnonzero(np.diff(good.astype(int))) + 1
    pieces = [piece for piece in np.split(points, cuts) if piece.size and np.isfinite(piece).all()]
    return [_thin(piece) for piece in pieces]


def _thin(piece: np.ndarray) -> np.ndarray:
    if len(piece) <= _POINTS:
        return piece
    return np.array([part.mean(axis=0) for part in np.array_split(piece, _POINTS)])


def _five(values: list[float]) -> list[float]:
    """Lower whisker, first quartile, median, third quartile, upper whisker."""
    first, median, third = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (third - first)
    inside = [value for value in values if first - reach <= value <= third + reach]
    return [min(inside), float(first), float(median), float(third), max(inside)]


def _box(values: list[float], middle: float, axis: Axis) -> str:
    low, first, median, third, high = map(axis.place, _five(values))
    return (
        f'<path class="whisker" d="M{low:.1f} {middle}H{first:.1f}M{third:.1f} {middle}H{high:.1f}"/>'
        f'<rect class="box" x="{first:.1f}" y="{middle - 11}" width="{max(third - first, 1):.1f}" height="22" rx="3"/>'
        f'<path class="median" d="M{median:.1f} {middle - 11}v22"/>'
    )


def _dots(cases: Mapping[str, float], middle: float, axis: Axis) -> str:
    dots = []
    for index, (case, value) in enumerate(cases.items()):
        offset = ((index * 0.6180339887) % 1.0 - 0.5) * 24  # golden ratio: spread evenly, the same every time
        title = escape(f"{case}: {value:.4g}")
        x = axis.place(value)
        dots.append(f'<circle cx="{x:.1f}" cy="{middle + offset:.1f}" r="2.6"><title>{title}</title></circle>')
    return "".join(dots)


def _line(piece: np.ndarray, x_axis: Axis, y_axis: Axis, css: str, name: str) -> str:
    points = [(x_axis.place(x), y_axis.place(y)) for x, y in piece]
    return _polyline(points, css, f"{name}: last {piece[-1, 1]:.5g}")


def _polyline(points: Sequence[tuple[float, float]], css: str, title: str) -> str:
    if len(points) == 1:
        (x, y) = points[0]
        return f'<circle class="{css} dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(title)}</title></circle>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{css}" points="{path}"><title>{escape(title)}</title></polyline>'


def svg_text(x: float, y: float, content: float | str, anchor: str) -> str:
    """A text or a number at a place; the anchor is `start`, `middle` or `end`."""
    text = content if isinstance(content, str) else f"{content:.6g}"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def svg_frame(parts: Sequence[str], width: float, height: float, label: str) -> str:
    """The chart around its parts."""
    name = escape(label, quote=True)
    return f'<svg role="img" aria-label="{name}" viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>'


def legend(names: Sequence[str]) -> str:
    """The names in their colours; empty text for one alone."""
    if len(names) < 2:
        return ""
    items = "".join(f'<span class="s{i % SERIES}"><i></i>{escape(name)}</span>' for i, name in enumerate(names))
    return f'<div class="legend">{items}</div>'
