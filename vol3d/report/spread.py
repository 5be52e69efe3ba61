"""Charts of how runs that should be alike differ: bands over the epochs, histograms with densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vol3d.report.escape import escape
from vol3d.report.svg import (
    CURVE_HEIGHT,
    CURVE_WIDTH,
    SERIES,
    Axis,
    curve_axes,
    grid,
    legend,
    svg_frame,
    with_margin,
)

_CURVE_POINTS = 120
_MOST_BINS = 30


class Band(NamedTuple):
    """Mean, standard deviation, minimum and maximum of some runs at one x; a deviation of NaN is not drawn."""

    x: float
    mean: float
    deviation: float
    minimum: float
    maximum: float


def band_chart(groups: Mapping[str, Sequence[Band]], x_label: str, y_label: str) -> str:
    """Per group a line of means, within a band of mean ± deviation, within a paler band from minimum to maximum.

    Empty text if there is nothing to draw.
    """
    drawn = {name: list(bands) for name, bands in groups.items() if bands}
    every = [band for bands in drawn.values() for band in bands]
    if not every:
        return ""
    xs = [band.x for band in every]
    x_low, x_high = (min(xs), max(xs)) if max(xs) > min(xs) else (min(xs) - 1, max(xs) + 1)
    y_range = with_margin(min(band.minimum for band in every), max(band.maximum for band in every), 0.05)
    x_axis, y_axis = curve_axes((x_low, x_high), y_range, counts="x")
    parts = grid(x_axis, y_axis, x_label)
    for index, (name, bands) in enumerate(drawn.items()):
        parts.append(f'<g class="s{index % SERIES}">{_bands(name, bands, x_axis, y_axis)}</g>')
    return svg_frame(parts, CURVE_WIDTH, CURVE_HEIGHT, y_label) + legend(list(drawn))


def _bands(name: str, bands: Sequence[Band], x_axis: Axis, y_axis: Axis) -> str:
    x = np.array([x_axis.place(band.x) for band in bands])
    mean, minimum, maximum = (
        np.array([y_axis.place(getattr(band, key)) for band in bands]) for key in ("mean", "minimum", "maximum")
    )
    reach = np.nan_to_num([band.deviation for band in bands])
    upper, lower = (
        np.array([y_axis.place(band.mean + sign * r) for band, r in zip(bands, reach, strict=True)]) for sign in (1, -1)
    )
    if len(x) == 1:  # a bar, where there is no stretch
        x = np.array([x[0] - 8, x[0] + 8])
        mean, minimum, maximum, upper, lower = (np.repeat(one, 2) for one in (mean, minimum, maximum, upper, lower))
    last = bands[-1]
    title = f"{name}: last mean {last.mean:.5g}, {last.minimum:.5g} to {last.maximum:.5g}"
    return (
        f'<polygon class="reach" points="{_points(x, minimum)} {_points(x[::-1], maximum[::-1])}"/>'
        f'<polygon class="band" points="{_points(x, lower)} {_points(x[::-1], upper[::-1])}"/>'
        f'<polyline class="line" points="{_points(x, mean)}"><title>{escape(title)}</title></polyline>'
    )


def histogram(groups: Mapping[str, Mapping[str, float]], x_label: str) -> str:
    """Per group the number of runs in each bin, the density of its values on the same scale, and a mark for each run.

    The bins are those of Freedman and Diaconis over all groups, the density is that of a Gaussian kernel with Scott's
    width; a group with fewer than three values, or without any spread, has none. Empty text without a value.

    Args:
        groups: name of a group -> name of a run -> value.
        x_label: the axis, with its unit.
    """
    drawn = {name: runs for name, runs in groups.items() if runs}
    values = np.array([value for runs in drawn.values() for value in runs.values()])
    if not len(values):
        return ""
    edges = _edges(values)
    counts = {name: np.histogram([*runs.values()], edges)[0] for name, runs in drawn.items()}
    xs = np.linspace(edges[0], edges[-1], _CURVE_POINTS)
    densities = {name: _density(np.array([*runs.values()]), xs, edges[1] - edges[0]) for name, runs in drawn.items()}
    highest = max(float(one.max()) for table in (counts, densities) for one in table.values() if len(one))

    x_axis, y_axis = curve_axes((float(edges[0]), float(edges[-1])), (0.0, 1.08 * highest), counts="y")
    parts = grid(x_axis, y_axis, x_label)
    for index, (name, runs) in enumerate(drawn.items()):
        bars, marks = _bars(counts[name], edges, x_axis, y_axis), _marks(runs, x_axis, y_axis)
        parts.append(f'<g class="s{index % SERIES}">{bars}{_curve(xs, densities[name], x_axis, y_axis)}{marks}</g>')
    return svg_frame(parts, CURVE_WIDTH, CURVE_HEIGHT, x_label) + legend(list(drawn))


def _edges(values: np.ndarray) -> np.ndarray:
    """Of bins that hold all values, with one to spare at both ends, so that a density has room."""
    if np.ptp(values) <= 1e-9 * np.abs(values).max():  # equal, but for their last digits
        half = 0.05 * abs(float(values[0])) or 0.5
        return np.linspace(values[0] - 1.5 * half, values[0] + 1.5 * half, 4)
    edges = np.histogram_bin_edges(values, "fd")
    count = min(max(len(edges) - 1, 5), _MOST_BINS)
    edges = np.linspace(values.min(), values.max(), count + 1)
    width = edges[1] - edges[0]
    return np.concatenate([[edges[0] - width], edges, [edges[-1] + width]])


def _density(values: np.ndarray, xs: np.ndarray, width: float) -> np.ndarray:
    """How many values a bin of this width would hold at each x, smoothed; empty where that means nothing."""
    from scipy.stats import gaussian_kde

    if len(values) < 3 or np.ptp(values) <= 1e-9 * np.abs(values).max():
        return np.array([])
    return gaussian_kde(values)(xs) * len(values) * width


def _curve(xs: np.ndarray, density: np.ndarray, x_axis: Axis, y_axis: Axis) -> str:
    if not len(density):
        return ""
    line = _points([x_axis.place(x) for x in xs], [y_axis.place(value) for value in density])
    return f'<polyline class="line" points="{line}"/>'


def _bars(counts: np.ndarray, edges: np.ndarray, x_axis: Axis, y_axis: Axis) -> str:
    bars = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            left, right, top = x_axis.place(low), x_axis.place(high), y_axis.place(count)
            title = escape(f"{count} in {low:.4g} to {high:.4g}")
            size = f'width="{right - left:.1f}" height="{y_axis.stop - top:.1f}"'
            bars.append(f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" {size}><title>{title}</title></rect>')
    return "".join(bars)


def _marks(runs: Mapping[str, float], x_axis: Axis, y_axis: Axis) -> str:
    marks = []
    for name, value in runs.items():
        title = escape(f"{name}: {value:.4g}")
        x = x_axis.place(value)
        marks.append(f'<path class="mark" d="M{x:.1f} {y_axis.stop:g}v-9"><title>{title}</title></path>')
    return "".join(marks)


def _points(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
