"""The worst cases come first, whichever way is worse."""

from __future__ import annotations

import pytest

from vol3d.engine.evaluation import Metric
from vol3d.report.worst import worst_first

ROWS = [
    {"case": "a", "v": 0.5},
    {"case": "b"},
    {"case": "c", "v": "0.1"},
    {"case": "d", "v": 0.9},
    {"case": "e", "v": 0.5},
]


@pytest.mark.parametrize(("better", "order"), [("higher", "caed"), ("lower", "daec")])
def test_by_the_metric_of_the_cases(better: str, order: str) -> None:
    metrics = [Metric("other", "Other", better="higher", by_case=True), Metric("v", "V", better=better, by_case=True)]  # type: ignore[arg-type]
    scored, rest = worst_first(ROWS, metrics)
    assert "".join(row["case"] for row in scored) in {order, order.replace("ae", "ea")} and [
        row["case"] for row in rest
    ] == ["b"]
    assert [row["case"] for row in scored if row["v"] == 0.5] == ["a", "e"], "equal ones stay in their order"


def test_without_such_a_metric_they_stay_as_they_are() -> None:
    assert worst_first(ROWS, [Metric("v", "V", by_case=True)]) == ([], ROWS)
    assert worst_first([], [Metric("v", "V", better="higher", by_case=True)]) == ([], [])
