"""Which cases are shown: no case twice, and only what has a score."""

from __future__ import annotations

import math

import pytest

from vol3d.report.examples import choose_examples


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ({}, {}),
        ({"a": math.nan}, {}),
        ({"a": 0.5, "b": math.nan}, {"best": "a"}),
        ({"a": 0.5, "b": 0.2}, {"best": "a", "worst": "b"}),
        ({"a": 0.5, "b": 0.2, "c": 0.3}, {"best": "a", "median": "c", "worst": "b"}),
        ({"c": 0.5, "b": 0.5, "a": 0.5, "d": 0.5}, {"best": "d", "median": "c", "worst": "a"}),
    ],
)
def test_best_median_and_worst(scores: dict[str, float], chosen: dict[str, str]) -> None:
    assert list(choose_examples(scores).items()) == list(chosen.items())
