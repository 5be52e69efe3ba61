"""Bands and histograms: places of what is drawn, one value alone, equal values, and nothing."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from vol3d.report.spread import Band, band_chart, histogram
from vol3d.report.svg import BOTTOM, CURVE_HEIGHT, TOP

GROUP = {f"seed{n}": 0.8 + 0.01 * n for n in range(12)}


def svg(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart.split("</svg>")[0] + "</svg>")


def points(chart: str, css: str) -> np.ndarray:
    (found,) = re.findall(rf'class="{css}" points="([^"]*)"', chart)
    return np.array([[float(v) for v in word.split(",")] for word in found.split()])


def test_a_band_holds_its_mean() -> None:
    bands = [Band(e, 0.5 + 0.1 * e, 0.02, 0.45 + 0.1 * e, 0.56 + 0.1 * e) for e in (1, 2, 3)]
    chart = band_chart({"a": bands}, "epoch", "score")
    mean, reach, inner = (points(chart, css) for css in ("line", "reach", "band"))
    assert mean.shape == (3, 2) and reach.shape == inner.shape == (6, 2)
    assert (np.diff(mean[:, 0]) > 0).all() and (np.diff(mean[:, 1]) < 0).all(), "later is right, better is up"
    for outer, within in ((reach, inner), (inner, mean)):
        assert outer[:, 1].max() > within[:, 1].max() and outer[:, 1].min() < within[:, 1].min()
    assert reach[:, 1].min() > TOP and reach[:, 1].max() < CURVE_HEIGHT - BOTTOM
    scale = (mean[0, 1] - mean[1, 1]) / 0.1
    assert inner[0, 1] - mean[0, 1] == pytest.approx(0.02 * scale, abs=0.11), "one deviation"


def test_one_epoch_and_one_seed_are_still_seen() -> None:
    chart = band_chart({"a": [Band(5, 0.5, math.nan, 0.4, 0.6)]}, "epoch", "score")
    reach, inner = points(chart, "reach"), points(chart, "band")
    assert np.ptp(reach[:, 0]) == 16 and np.ptp(reach[:, 1]) > 50
    assert np.ptp(inner[:, 1]) == 0, "no deviation"
    assert band_chart({"a": []}, "epoch", "score") == ""


def test_a_histogram_counts_every_run() -> None:
    chart = histogram({"one": GROUP, "two": {name: value + 0.3 for name, value in GROUP.items()}}, "score")
    tree = svg(chart)
    titles = [node.text or "" for node in tree.iter() if node.tag == "title"]
    assert sum(int(title.split(" in ")[0]) for title in titles if " in " in title) == 24
    assert len(re.findall('class="mark"', chart)) == 24 and len(re.findall('class="line"', chart)) == 2
    assert "seed3: 0.83" in titles and chart.count("<i></i>") == 2


def test_the_density_has_the_area_of_the_bars() -> None:
    chart = histogram({"one": GROUP}, "score")
    line = points(chart, "line")
    bars = re.findall(r'class="bar" x="\S+" y="\S+" width="(\S+)" height="(\S+)"', chart)
    area = sum(float(width) * float(height) for width, height in bars)
    below = (CURVE_HEIGHT - BOTTOM - line[:, 1]).clip(0)
    mean_heights = (below[1:] + below[:-1]) / 2
    assert (mean_heights * np.diff(line[:, 0])).sum() == pytest.approx(area, rel=0.1)


@pytest.mark.parametrize("values", [{"a": 0.5}, {"a": 0.5, "b": 0.5, "c": 0.5}, {"a": 0.0}, {"a": 0.1, "b": 0.7}])
def test_few_or_equal_values_have_bars_and_no_density(values: dict[str, float]) -> None:
    chart = histogram({"one": values}, "score")
    svg(chart)
    assert 'class="line"' not in chart and chart.count('class="mark"') == len(values)
    assert "nan" not in chart


def test_nothing() -> None:
    assert histogram({}, "score") == histogram({"one": {}}, "score") == ""


def numbers(chart: str) -> list[str]:
    return [node.text or "" for node in svg(chart).iter() if node.tag == "text"]


@pytest.mark.parametrize("epochs", [(1, 2), (1, 3), (5,), (10, 20, 30)])
def test_epochs_and_seeds_are_whole_numbers(epochs: tuple[int, ...]) -> None:
    across = [text for text in numbers(band_chart({"a": [Band(e, 0.5, 0.1, 0.4, 0.6) for e in epochs]}, "epoch", "ap"))]
    labels = across[: across.index("epoch")]
    below = [text for text in labels if not text.startswith("0.")]
    assert below and all(text.lstrip("-").isdecimal() for text in below)
    for runs in (2, 3, 12):
        up = numbers(histogram({"one": dict(list(GROUP.items())[:runs])}, "score"))
        counts = up[: next(i for i, text in enumerate(up) if i and float(text) < float(up[i - 1]))]
        assert len(counts) > 1 and all(text.isdecimal() for text in counts)
