"""What the report shows of detectors: AP beside AP, one chart of precision and recall per class, damaged or not."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vol3d.report.test_write import EVIL, Tree
from vol3d.report import write_report
from vol3d.report.svg import unit_chart

METRICS = [
    {"key": "ap25", "title": "AP25", "interval": "ap25_interval", "headline": True},
    {"key": "ap50", "title": "AP50", "interval": "ap50_interval", "headline": True},
    {"key": "ar25", "title": "AR25"},
    {"key": "recall25", "title": "recall at IoU 0.25"},
]
RECALL = [0.0, 0.5, 1.0]


def summary() -> dict[str, Any]:
    row = {"ap25": 0.7512, "ap50": 0.25, "recall25": 0.875, "ground_truths": 8, "detections": 40}
    curves = {"chair": [1.0, 0.75, None], EVIL: [0.5, None, None], "sofa": [None, None, None]}
    return {
        "ap25": 0.61234,
        "ap25_interval": [0.5511, 0.6622],
        "ap50": 0.41234,
        "ap50_interval": [0.3511, 0.4622],
        "ar25": 0.9,
        "scenes": 12,
        "classes": {"chair": row, EVIL: row, "sofa": {**row, "ap25": None}},
        "precision_recall": {"recall": RECALL, "ap25": curves, "ap50": {**curves, "chair": [1.0, None, None]}},
    }


def report(folder: Path, content: dict[str, Any]) -> str:
    scored = {"score_name": "ap25", "score": content.get("ap25"), "metrics": METRICS}
    whole = {**scored, "step": 0, "summary": content, "rows": []}
    (folder / "evaluation.json").write_text(json.dumps(whole))
    return write_report(folder).read_text("utf-8")


def test_both_scores_lead_each_with_its_interval(tmp_path: Path):
    page = report(tmp_path, summary())
    assert re.findall(r'class="score"><b>([\d.]+)</b><span> (\w+)', page) == [("0.612", "AP25"), ("0.412", "AP50")]
    assert Tree(page).has("0.551 to 0.662", "0.351 to 0.462", "AR25", "scenes", "recall at IoU 0.25", "ground truths")


def test_a_class_that_is_annotated_nowhere_has_no_score(tmp_path: Path):
    content = summary()
    content["classes"] = {"lamp": {"ap25": 0.0, "ap50": 0.0, "recall25": 0.0, "ground_truths": 0, "detections": 7}}
    page = report(tmp_path, content)
    assert re.findall(r"<td[^>]*>([^<]*)</td>", page) == ["lamp", "–", "–", "–", "0", "7"]


def test_one_chart_per_class_that_was_found(tmp_path: Path):
    page = report(tmp_path, summary())
    tree = Tree(page)
    assert tree.has("Precision and recall", "chair", "AP25 0.751 · AP50 0.250")
    assert tree.count("svg") == 2, "nothing can be drawn of the sofa"
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    "curves",
    [
        None,
        [],
        "text",
        {},
        {"recall": RECALL},
        {"recall": "x", "ap25": {"chair": RECALL}},
        {"recall": RECALL, "ap25": {"chair": [1.0]}},
        {"recall": RECALL, "ap25": {"chair": "text"}, "ap50": 3},
        {"recall": [None] * 3, "ap25": {"chair": [None, "a", {}]}},
    ],
)
def test_curves_that_are_none_are_left_out(tmp_path: Path, curves: Any):
    page = report(tmp_path, {**summary(), "precision_recall": curves})
    assert "<svg" not in page and Tree(page).has("AP25")


def test_classes_of_another_table_do_not_matter(tmp_path: Path):
    assert Tree(report(tmp_path, {**summary(), "classes": {"table": {}}})).count("svg") == 2


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=20))
def test_any_numbers_give_valid_svg(points: list[tuple[float, float]]):
    chart = unit_chart({"<a>": ([x for x, _ in points], [y for _, y in points]), "b": ([], [])}, "recall", "precision")
    assert bool(chart) == any(math.isfinite(x) and math.isfinite(y) for x, y in points)
    if chart:
        ElementTree.fromstring(chart)
        assert "nan" not in chart.lower() and "inf" not in chart.lower()


def test_points_lie_where_they_belong():
    chart = unit_chart({"a": ([0, 1], [1, 0])}, "recall", "precision")
    (x0, y0), (x1, y1) = (
        map(float, point.split(",")) for point in re.search(r'points="([^"]*)"', chart).group(1).split()
    )
    assert x1 - x0 == y1 - y0 == 150


def test_an_evaluation_of_an_earlier_release_goes_by_its_keys(tmp_path: Path):
    content = {"score_name": "ap25", "score": 0.6, "step": 0, "summary": summary(), "rows": []}
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    tree = Tree(write_report(tmp_path).read_text("utf-8"))
    assert tree.has("0.612", "ap25", "recall25", "ground truths", "Precision and recall") and tree.count("svg") == 2
    assert not tree.has("could be read")


@pytest.mark.parametrize(
    "metrics", [None, 3, {}, [3], [{"key": "ap25"}], [{"key": "ap25", "title": "A", "interval": {}}]]
)
def test_damaged_metrics_are_noted_and_the_rest_is_shown(tmp_path: Path, metrics: Any):
    content = {"score_name": "ap25", "score": 0.6, "step": 0, "summary": summary(), "rows": [], "metrics": metrics}
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    tree = Tree(write_report(tmp_path).read_text("utf-8"))
    assert tree.has("0.612", "Precision and recall", "metrics of evaluation.json could not be read")


def helpers() -> dict[str, Any]:
    best = {"chair": {"from_score": 0.4, "precision": 0.9, "recall": 0.5, "f1": 0.64, "ground_truths": 8}}
    best |= {EVIL: {"from_score": None, "precision": None, "recall": None, "f1": None, "ground_truths": 0}}
    values = {"chair": [0.5, 0.9, None], EVIL: [None] * 3}
    counts = {
        "chair": {"chair": 6, EVIL: 1, "sofa": 0, "missed": 1},
        EVIL: {"chair": 0, EVIL: 0, "sofa": 0, "missed": 0},
        "sofa": dict.fromkeys(("chair", EVIL, "sofa", "missed"), 0),
        "of nothing": {"chair": 2, EVIL: 0, "sofa": 0, "missed": 0},
    }
    by_score = {"scores": [0.0, 0.5, 1.0], "precision": values, "recall": values, "f1": values}
    chosen = {"best_f1": 0.64, "best_f1_from_score": 0.4}
    return {**summary(), **chosen, "score_thresholds": best, "by_score": by_score, "confusion": counts}


def test_which_score_to_choose(tmp_path: Path):
    page = report(tmp_path, helpers())
    tree = Tree(page)
    assert tree.has("Score threshold", "0.640", "--score 0.400", "score of the best F1", "best from 0.400")
    assert tree.count("svg") == 3, "two classes have curves by recall, one by score"
    assert "<script>alert" not in page


def test_no_score_is_advised_where_nothing_is_hit(tmp_path: Path):
    page = report(tmp_path, {**helpers(), "best_f1": 0.0})
    assert "no threshold to advise" in page and "--score" not in page


def test_confusion_is_shaded_and_leaves_out_what_is_nowhere(tmp_path: Path):
    page = report(tmp_path, helpers())
    matrix = page.split('<table class="confusion">')[1].split("</table>")[0]
    assert '<td class="n" style="--share: 0.750">6</td>' in matrix and matrix.count("<tr>") == 4
    assert "sofa" not in matrix and Tree(page).has("Confusion matrix", "missed", "of nothing", "0.400 on")


@pytest.mark.parametrize("broken", [None, [], "text", {}, {"chair": 3}, {"chair": {"chair": "x"}}])
def test_damaged_helpers_are_left_out(tmp_path: Path, broken: Any):
    page = report(tmp_path, {**helpers(), "score_thresholds": broken, "by_score": broken, "confusion": broken})
    assert "Confusion matrix</h2>" not in page and Tree(page).has("AP25")
