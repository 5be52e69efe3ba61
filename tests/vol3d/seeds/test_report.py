"""The report of a study: what its page and its numbers say, and of two studies side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import vol3d
from tests.vol3d.comparison.test_compare import rows, write
from tests.vol3d.report.test_write import Tree
from vol3d import files
from vol3d.cli.main import main
from vol3d.engine.metrics import Metrics
from vol3d.errors import UsageError
from vol3d.seeds.extremes import F1, Extremes, Gap, extremes
from vol3d.seeds.report import class_gaps
from vol3d.seeds.study import read_study
from vol3d.seeds.train import write_study

SCORES = (0.80, 0.81, 0.805, 0.808, 0.60)


def study(folder: Path, scores: tuple[float, ...] = SCORES, **settings: object) -> Path:
    """Seeds with these scores, and two evaluations on the way."""
    for seed, score in enumerate(scores):
        run = write(folder / f"seed{seed}", rows(0 if math.isnan(score) else score - 0.8), score)
        recipe = {"model": {"name": "toy"}, "train": {"seed": seed}, **settings}
        files.write_json(run / "config.yaml", recipe)  # JSON is YAML, too
        metrics = Metrics(run / "metrics.csv", 0)
        for epoch in (2, 4):
            metrics.append(10 * epoch, epoch, {"mean_dice": score - 0.1 * (4 - epoch)})
    return folder


def test_the_facts(tmp_path: Path) -> None:
    found = read_study(study(tmp_path / "a"))
    assert (found.most_fortunate, found.least_fortunate, found.outliers) == ("seed1", "seed4", ["seed4"])
    assert [(band.epoch, band.seeds) for band in found.bands] == [(2, 5), (4, 5)]
    assert found.bands[0].mean == pytest.approx(found.mean - 0.2) and found.bands[1].minimum == 0.6
    facts = files.plain(found.to_dict())
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    low, high = facts["mean_interval"]
    assert low < np.mean(SCORES) < high and facts["outlier_test"][0]["seed"] == "seed4"


def test_the_page(tmp_path: Path) -> None:
    folder = study(tmp_path / "my <study>")
    (folder / "seed7").mkdir()
    write_study(read_study(folder, {"seed9": "the loss is not <finite>"}))
    page = (folder / "report.html").read_text("utf-8")
    tree = Tree(page)
    assert tree.has(f"{np.mean(SCORES):.4f} ± {np.std(SCORES, ddof=1):.4f}", "mean Dice", "random weights")
    assert tree.has("2 seeds have no score", "it has not ended", "the loss is not <finite>"), "named, not dropped"
    assert tree.has("seed4: more than chance", "Generalised ESD test") and tree.count("svg") == 2
    assert tree.has("least: seed4", "most: seed1", "seed1 is better in 12 of 12 cases")
    assert "<finite>" not in page and "https:" not in page
    stored = json.loads((folder / "seeds.json").read_text())
    assert stored["failed"] == {"seed7": "it has not ended", "seed9": "the loss is not <finite>"}


def test_one_seed(tmp_path: Path) -> None:
    one = read_study(study(tmp_path / "a", (0.8,)))
    assert one.deviation is None and extremes(one) is None and one.outliers == []
    write_study(one)
    assert Tree((tmp_path / "a/report.html").read_text()).has("0.8000", "nothing to test")


def test_a_score_that_is_none_is_a_seed_without_a_score(tmp_path: Path) -> None:
    found = read_study(study(tmp_path / "a", (0.8, math.nan, 0.7)))
    assert list(found.scores) == ["seed0", "seed2"] and found.failed == {"seed1": "nothing is annotated, no score"}


def test_other_cases_are_refused(tmp_path: Path) -> None:
    folder = study(tmp_path / "a", (0.8, 0.81))
    write(folder / "seed1", rows(cases=11), 0.81)
    with pytest.raises(UsageError, match="other cases"):
        read_study(folder)


def test_the_gaps_of_cases_and_classes(tmp_path: Path) -> None:
    folder = study(tmp_path / "a", (0.8, 0.85))
    worse = rows(0.05)
    worse[0]["dice"] -= 0.5  # liver of c0
    write(folder / "seed1", worse, 0.85)
    pair = extremes(read_study(folder))
    assert pair is not None and (pair.least, pair.most, pair.better_in, pair.worse_in) == ("seed0", "seed1", 11, 1)
    assert pair.cases[0].name == "c0" and pair.cases[0].difference == pytest.approx(-0.2, abs=0.01)
    assert len(pair.cases) == 12 and pair.cases[0].title == "Dice"
    assert {gap.name for gap in pair.classes} == {"all classes", "liver", "tumour"}
    assert pair.classes[0] == Gap("all classes", "mean Dice", 0.8, 0.85)
    json.dumps(pair.to_dict(), allow_nan=False)


def test_of_each_class_one_number_is_shown_and_the_others_unfold(tmp_path: Path) -> None:
    gaps = [Gap(name, title, 0.1, 0.2) for name in ("all classes", "car", "bus") for title in ("AP", "ATE (m)")]
    page = class_gaps(Extremes("seed0", "seed1", tuple(gaps)), ["least", "most", "difference"])
    shown, folded = page.split("<details>")
    assert shown.count("<tr>") == 1 + 4 and "2 more numbers by class" in folded and folded.count("<tr>") == 1 + 2
    assert "<details>" not in class_gaps(Extremes("seed0", "seed1", tuple(gaps[:3])), ["least", "most", "difference"])


def test_scenes_are_compared_by_f1(tmp_path: Path) -> None:
    folder = study(tmp_path / "a", (0.5, 0.6))
    counts = {"seed0": (1, 1, 1), "seed1": (2, 0, 0)}
    for name, (hits, alarms, missed) in counts.items():
        row = {"ground_truths": 2, "hits": hits, "false_alarms": alarms, "missed": missed}
        listed = [{"scene": "s", "class": "chair", **row}, {"scene": "t", "class": "chair", **row, "hits": 1}]
        evaluation = json.loads((folder / name / "evaluation.json").read_text()) | {"rows": listed}
        files.write_json(folder / name / "evaluation.json", evaluation)
    pair = extremes(read_study(folder))
    assert pair is not None and pair.cases[0] == Gap("s", F1, 0.5, 1.0)


def test_two_studies_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = study(tmp_path / "scratch", (0.60, 0.70, 0.65, 0.80))
    b = study(tmp_path / "tuned", (0.81, 0.82, 0.81, 0.82), start_from={"checkpoint": "unetr-hippocampus"})
    (b / "seed4").mkdir()
    assert main(["compare", str(a), str(b), "-o", str(tmp_path / "out.html")]) == 0
    assert "report written to " in capsys.readouterr().err
    tree = Tree((tmp_path / "out.html").read_text("utf-8"))
    assert tree.has("unetr-hippocampus", "random weights", "the spreads", "Brown and Forsythe", "1 seed has no score")
    assert tree.has("A: scratch", "B: tuned", "seeds needed") and tree.count("svg") >= 4
    found = vol3d.compare(a, b)
    assert found.pairs == 4 and found.spread is not None and found.spread.seeds == (4, 4)
    assert found.spread.a > 10 * found.spread.b and 0 < found.spread.p < 0.1
    json.dumps(files.plain(found.to_dict()), allow_nan=False)
