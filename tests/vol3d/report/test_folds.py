"""The page of a cross-validation: means over the folds, worst cases, and what is not there."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from tests.vol3d.report.test_write import EVIL, Tree
from vol3d.engine.task import Evaluation, Metric
from vol3d.report.folds import CASES_SHOWN, write_folds_report

METRICS = (
    Metric("mean_dice", "mean Dice", better="higher"),
    Metric("mean_hd95_mm", "mean HD95", "mm", "lower", headline=True),
    Metric("dice", "Dice", better="higher", by_case=True),
    Metric("hd95_mm", "HD95", "mm", "lower", by_case=True),
)


def fold(number: int, cases: int = 9) -> Evaluation:
    dice = 0.8 + number / 100
    classes = {"liver": {"dice": dice, "hd95_mm": 2.0}, EVIL: {"dice": math.nan, "hd95_mm": math.nan}}
    rows = [
        {"case": f"c{number}_{case}", "class": "liver", "dice": dice - case / 100, "hd95_mm": 2.0}
        for case in range(cases)
    ]
    return Evaluation(dice, "mean_dice", {"mean_hd95_mm": 3.0, "classes": classes}, rows, metrics=METRICS)


def test_folds_side_by_side(tmp_path: Path):
    folds = {f"fold{number}": fold(number) for number in range(3)}
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "report.html").write_text("")
    page = write_folds_report(tmp_path, folds).read_text("utf-8")
    tree = Tree(page)
    deviation = statistics.stdev([0.8, 0.81, 0.82])
    assert tree.has(f"0.810 ± {deviation:.3f}", "mean Dice", "27", "Folds", "mean HD95 (mm)", "Dice by class")
    assert 'href="fold1/report.html"' in page and 'href="fold0/report.html"' not in page
    assert page.index("c0_8") < page.index("c1_8"), "the worst case first"
    assert page.split("Worst cases</h2>")[1].count("<tr>") == CASES_SHOWN + 1
    assert tree.count("svg") == 2 and "<script>alert" not in page and "nan" not in page.lower().split("<script>")[0]


@pytest.mark.parametrize("cases", [0, 1])
def test_one_fold_and_no_case(tmp_path: Path, cases: int):
    page = write_folds_report(tmp_path, {"fold0": fold(0, cases)}).read_text("utf-8")
    assert Tree(page).has("0.800", "fold0", "–") and "±" not in page.split("</section>")[0]


def test_scores_that_are_none(tmp_path: Path):
    nothing = Evaluation(math.nan, "ap25", {"classes": {}}, [])
    assert Tree(write_folds_report(tmp_path, {"fold0": nothing}).read_text("utf-8")).has("–", "ap25")
