"""Charts: round ticks, points where they belong, and nothing drawn from numbers that are none."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vol3d.report.svg import box_plot, interval_chart, line_chart, ticks

finite = st.floats(-1e6, 1e6)


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_are_few_inside_and_evenly_spaced(low: float, span: float):
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 12
    slack = 1e-6 * span + 4 * math.ulp(abs(low) + span)
    assert all(low - slack <= value <= low + span + slack for value in found)


def test_ticks_are_round():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.82, 0.93, 5) == [0.825, 0.85, 0.875, 0.9, 0.925]
    assert ticks(3, 3) == [3]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40))
def test_any_numbers_give_valid_svg(values: list[float]):
    capped = [v if not math.isfinite(v) or abs(v) < 1e9 else 1e9 for v in values]
    for chart in (
        line_chart({"a": (range(len(capped)), capped), "b": ([], [])}, "x", "y"),
        box_plot({"<b>": {f"c{i}": v for i, v in enumerate(capped)}, "none": {}}, "Dice"),
    ):
        assert bool(chart) == any(map(math.isfinite, capped))
        if chart:
            root = ElementTree.fromstring(f"<div>{chart}</div>")
            assert "nan" not in chart.lower()
            assert root.find("svg") is not None


def test_a_line_breaks_at_what_is_not_finite():
    chart = line_chart({"loss": (range(7), [3, 2, math.nan, 1, 1, math.inf, 0.5])}, "step", "loss")
    assert chart.count("<polyline") == 2
    assert chart.count("<circle") == 1


def test_long_series_are_thinned_and_keep_their_mean():
    chart = line_chart({"loss": (range(10_000), [1.0] * 10_000)}, "step", "loss")
    points = re.search(r'points="([^"]*)"', chart).group(1).split()
    assert len(points) == 240
    assert len({point.split(",")[1] for point in points}) == 1


def test_box_plot_marks_quartiles_and_names_cases():
    chart = box_plot({"organ": {f"case_{i}": float(i) for i in range(1, 10)}}, "Dice")
    centres = sorted(float(x) for x in re.findall(r'cx="([\d.]+)"', chart))
    box = re.search(r'class="box" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)
    assert float(box.group(1)) == pytest.approx(centres[2], abs=0.2)
    assert float(box.group(1)) + float(box.group(2)) == pytest.approx(centres[6], abs=0.2)
    assert "<title>case_9: 9</title>" in chart


def test_intervals_stand_on_one_axis_with_zero():
    chart = interval_chart({"a": (0.1, 0.2, 0.3), "b": (-0.5, -0.4, -0.3), "gone": (float("nan"), 0, 1)}, "Dice")
    centres = [float(found) for found in re.findall(r'<circle cx="([\d.]+)"', chart)]
    zeros = {float(found) for found in re.findall(r'd="M([\d.]+) [\d.]+v46"', chart)}
    assert len(centres) == 2 and len(zeros) == 1 and centres[1] < zeros.pop() < centres[0]
    assert "gone" not in chart and interval_chart({}, "Dice") == ""


@given(st.floats(0, 1e4), st.floats(1, 1e4), st.integers(2, 8))
def test_what_is_counted_has_whole_ticks(low: float, span: float, wanted: int):
    found = ticks(low, low + span, wanted, whole=True)
    assert found and all(value.is_integer() for value in found) and len(found) <= 2 * wanted + 2
    assert low - 1e-6 <= found[0] and found[-1] <= low + span + 1e-6
