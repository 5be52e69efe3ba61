"""Comparing evaluations: what is paired, what is refused, and what the numbers say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vol3d
from vol3d import files
from vol3d.cli.main import main
from vol3d.engine import results
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError, UsageError

METRICS = (
    Metric("mean_dice", "mean Dice", None, "higher"),
    Metric("dice", "Dice", None, "higher"),
    Metric("hd95_mm", "HD95", "mm", "lower"),
)


def row(case: str, name: str, dice: float, hd95: float, truth: float = 10.0) -> dict[str, Any]:
    return {"case": case, "class": name, "dice": dice, "hd95_mm": hd95, "truth_ml": truth, "outcome": "found"}


def rows(shift: float = 0.0, cases: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    noise = np.random.default_rng(seed + 100)
    return [
        row(f"c{n}", name, 0.7 + 0.1 * rng.random() + shift + 0.001 * noise.random(), 3 - 10 * shift)
        for n in range(cases)
        for name in ("liver", "tumour")
    ]


def write(folder: Path, listed: list[dict[str, Any]], score: float | None = None, **summary: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    means = {
        name: {"dice": float(np.nanmean([one["dice"] for one in listed if one["class"] == name]))}
        for name in dict.fromkeys(one["class"] for one in listed)
    }
    mean = float(np.mean([one["dice"] for one in means.values()])) if score is None else score
    summary = {"mean_dice": mean, "classes": means, **summary}
    results.write(folder, Evaluation(mean, "mean_dice", summary, listed, metrics=METRICS), step=1)
    return folder


def test_by_case(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", rows()), write(tmp_path / "b", rows(0.03))
    found = vol3d.compare(a, b)
    assert (found.kind, found.pairs) == ("cases", 12)
    assert {(one.metric, one.name) for one in found.differences} == {
        (metric, name) for metric in ("dice", "hd95_mm") for name in ("liver", "tumour", "all classes")
    }
    dice = next(one for one in found.differences if (one.metric, one.name) == ("dice", "all classes"))
    assert dice.difference == pytest.approx(0.03, abs=0.001) == pytest.approx(dice.b - dice.a)
    assert dice.interval[0] <= dice.difference <= dice.interval[1] and dice.interval[0] > 0.029
    assert dice.p == pytest.approx(2 / 2**12) and dice.winner == "B"
    hd95 = next(one for one in found.differences if one.metric == "hd95_mm")
    assert hd95.title == "HD95 (mm)" and hd95.difference == pytest.approx(-0.3) and hd95.winner == "B"
    again = vol3d.compare(b, a).differences[0]
    assert again.difference == -found.differences[0].difference and again.winner == "A"
    json.dumps(files.plain(found.to_dict()), allow_nan=False)


def test_equal_runs_do_not_differ(tmp_path: Path) -> None:
    a = write(tmp_path / "a", rows())
    for one in vol3d.compare(a, a / "cases.csv").differences:
        assert (one.difference, one.p, one.winner) == (0, 1, None) and one.interval == (0, 0)


def test_every_place_of_scores(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", rows()), write(tmp_path / "b", rows(0.01))
    wanted = vol3d.compare(a, b).differences
    for one, other in ((a / "evaluation.json", b), (a, b / "cases.csv"), (a / "cases.csv", b / "cases.csv")):
        for found, want in zip(vol3d.compare(one, other).differences, wanted, strict=True):
            assert (found.metric, found.difference, found.p) == (want.metric, want.difference, want.p)


def test_folds_are_one_evaluation(tmp_path: Path) -> None:
    every = rows()
    parts = [every[:12], every[12:]]
    for n, part in enumerate(parts):
        write(tmp_path / f"cv/fold{n}", part)
    listed = [{"run": f"fold{n}", **one} for n, part in enumerate(parts) for one in part]
    files.write_text(tmp_path / "cv/cases.csv", results.table(listed))
    found = vol3d.compare(tmp_path / "cv", write(tmp_path / "b", rows(0.01)))
    assert found.pairs == 12 and found.differences[0].title == "Dice"


def test_what_a_score_must_be_read_with_is_noted(tmp_path: Path) -> None:
    note = {"code": "training-cases-scored", "text": "3 of 12 scored cases were trained on by this model"}
    a, b = write(tmp_path / "a", rows()), write(tmp_path / "b", rows(0.03), remarks=[note])
    assert vol3d.compare(a, b).notes[-1] == f"{b / results.EVALUATION}: {note['text']}"
    write(tmp_path / "folds/fold0", rows(0.03), remarks=[note])
    listed = results.rows_of_runs({"fold0": Evaluation(0.8, "mean_dice", {}, rows(0.03))})
    files.write_text(tmp_path / "folds" / results.CASES, results.table(listed))
    assert vol3d.compare(a, tmp_path / "folds").notes[-1].endswith(note["text"])


def test_a_case_counts_where_both_have_a_number(tmp_path: Path) -> None:
    first, second = rows(cases=3), rows(0.1, cases=3)
    first[0]["dice"] = second[2]["dice"] = math.nan
    found = vol3d.compare(write(tmp_path / "a", first), write(tmp_path / "b", second))
    dice = {one.name: one for one in found.differences if one.metric == "dice"}
    assert (dice["liver"].pairs, dice["tumour"].pairs, dice["all classes"].pairs) == (1, 3, 3)
    assert dice["liver"].difference == pytest.approx(second[4]["dice"] - first[4]["dice"])
    assert any("cannot give a p below 0.25" in note for note in found.notes)
    assert any(note.startswith("dice: 1 of A and 1 of B have no partner and do not count") for note in found.notes)
    assert not any("no partner" in note for note in vol3d.compare(tmp_path / "a", tmp_path / "a").notes)


def test_detections_without_a_row_are_none(tmp_path: Path) -> None:
    counts = ("scene", "class", "ground_truths", "hits", "false_alarms", "missed", "mean_iou")
    for name, listed in {
        "a": [("s1", "car", 2, 1, 0, 1, 0.7), ("s2", "car", 0, 0, 3, 0, math.nan)],
        "b": [("s1", "car", 2, 2, 0, 0, 0.6)],
        "c": [("s1", "car", 3, 2, 0, 1, 0.6)],
    }.items():
        table = [dict(zip(counts, values, strict=True)) for values in listed]
        files.write_text(tmp_path / f"{name}.csv", results.table(files.plain(table)))
    found = {one.metric: one for one in vol3d.compare(tmp_path / "a.csv", tmp_path / "b.csv").differences}
    assert (found["false_alarms"].a, found["false_alarms"].b, found["false_alarms"].pairs) == (1.5, 0, 2)
    assert found["mean_iou"].pairs == 1
    with pytest.raises(UsageError, match="another truth; got ground_truths 2 and 3 of car in s1"):
        vol3d.compare(tmp_path / "a.csv", tmp_path / "c.csv")


def test_other_cases_truths_and_rules(tmp_path: Path) -> None:
    a = write(tmp_path / "a", rows())
    with pytest.raises(UsageError, match=r"scored on other cases; got only in .*: c10, c11$|c10, c11. Score"):
        vol3d.compare(a, write(tmp_path / "b", rows(cases=10)))
    moved = [one | {"truth_ml": 11.0} for one in rows()]
    with pytest.raises(UsageError, match="another truth; got truth_ml 10 and 11 of liver in c0, and 23 more"):
        vol3d.compare(a, write(tmp_path / "c", moved))
    renamed = [one | {"class": f"other {one['class']}"} for one in rows()]
    with pytest.raises(UsageError, match="no class in common"):
        vol3d.compare(a, write(tmp_path / "d", renamed))
    near = [[one | {"nsd": 0.5} for one in rows()] for _ in range(2)]
    one, other = (write(tmp_path / f"e{mm}", near[0], nsd_tolerance_mm=mm) for mm in (1.0, 2.0))
    found = vol3d.compare(one, other)
    assert "nsd" not in {row.metric for row in found.differences}
    assert "measured by other rules, and left out: nsd" in found.notes
    less = [row for row in rows() if row["class"] == "liver"]
    assert any("tumour" in note for note in vol3d.compare(a, write(tmp_path / "f", less)).notes)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, "no such file or folder"),
        ("x,y\n1,2\n", "no scores by case"),
        ("", "no scores by case"),
        ("case,class,dice\na,x,0.5\na,x,0.6\n", "is there twice; got a, x"),
        ("case,class,dice\na,x,much\n", "no metric in common"),
    ],
)
def test_bad_files(tmp_path: Path, content: str | None, wanted: str) -> None:
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises((UsageError, DataError), match=wanted):
        vol3d.compare(path, path)


def test_a_folder_without_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "no scores in this folder" in capsys.readouterr().err


def test_more_than_seeds_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"a": [0.80, 0.82, 0.81, 0.83], "b": [0.85, 0.86, 0.86, 0.87], "c": [0.81, 0.81, 0.82, 0.84]}
    for name, values in scores.items():
        for seed, score in enumerate(values):
            write(tmp_path / name / f"seed{seed}", rows(score - 0.8), score)
    found = vol3d.compare(tmp_path / "a", tmp_path / "b")
    assert (found.kind, found.pairs) == ("seeds", 4)
    first = found.differences[0]
    assert (first.metric, first.name, first.pairs) == ("mean_dice", "all classes", 4)
    assert first.difference == pytest.approx(0.045) and first.interval[0] > 0 and first.p < 0.05
    assert "they differ by more than seeds do" in found.notes[-1]
    assert {one.name for one in found.differences} == {"all classes", "liver", "tumour"}

    (tmp_path / "c/seed10").mkdir()
    (tmp_path / "a/seed2/evaluation.json").unlink()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "c")]) == 0
    said = capsys.readouterr().out
    assert "3 seeds were paired: seed0, seed1, seed3" in said
    assert "a without an end, left out: seed2" in said and "c without an end, left out: seed10" in said
    assert "that only " in said and "seeds could tell one of this size" in said


def test_seeds_that_cannot_be_compared(tmp_path: Path) -> None:
    for name, cases in (("a", 12), ("b", 10)):
        for seed in range(2):
            write(tmp_path / name / f"seed{seed}", rows(cases=cases))
    with pytest.raises(UsageError, match="other cases"):
        vol3d.compare(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError, match="one of the two is a training with several seeds"):
        vol3d.compare(tmp_path / "a", tmp_path / "b/seed0")
    (tmp_path / "b/seed1/evaluation.json").unlink()
    with pytest.raises(UsageError, match="fewer than two finished seeds"):
        vol3d.compare(tmp_path / "a", tmp_path / "b")


def test_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", rows()), write(tmp_path / "b", rows(0.03))
    page = tmp_path / "page.html"
    assert main(["compare", str(a), str(b), "-o", str(page), "--json"]) == 0
    text = page.read_text("utf-8")
    found = json.loads(capsys.readouterr().out)
    better = [one["winner"] for one in found["differences"]]
    assert f"B better in {better.count('B')}" in text and text.count("<svg") == 2  # Dice and HD95
    assert (
        text.count("<tr>") == 2 + len(better) + len(found["totals"])
        and "Wilcoxon" in text
        and "http" not in text.split("<main>")[1]
    )


def test_what_no_case_has_by_itself_stands_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """AP is of all scenes together: both values are shown, with their own intervals and without a test."""
    metrics = (Metric("ap25", "AP25", None, "higher", "ap25_interval"), Metric("ar25", "AR25", None, "higher"))
    table = [{"scene": f"s{n}", "class": "chair", "ground_truths": 2, "hits": 1, "mean_iou": 0.5} for n in range(8)]
    for name, ap in (("a", 0.4), ("b", 0.5)):
        classes = {"chair": {"ap25": ap, "ground_truths": 16}, "sofa": {"ap25": 0.0, "ground_truths": 0}}
        (tmp_path / name).mkdir()
        summary = {"ap25": ap, "ap25_interval": [ap - 0.1, ap + 0.1], "ar25": math.nan, "classes": classes}
        results.write(tmp_path / name, Evaluation(ap, "ap25", summary, table, metrics=metrics), step=1)
    found = vol3d.compare(tmp_path / "a", tmp_path / "b")
    assert [(one.metric, one.name) for one in found.totals] == [("ap25", "all classes"), ("ap25", "chair")]
    assert found.totals[0].difference == pytest.approx(0.1) and found.totals[0].b_interval == pytest.approx((0.4, 0.6))
    assert found.totals[1].a_interval is None
    json.dumps(files.plain(found.to_dict()), allow_nan=False)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("AP25") < printed.index("hits") and "0.4000 to 0.6000" in printed
    assert not vol3d.compare(tmp_path / "a/cases.csv", tmp_path / "b").totals


def test_a_class_has_the_numbers_of_the_first_table(tmp_path: Path) -> None:
    """KITTI's evaluation repeats AP at looser overlaps, under the same names."""
    metrics = (Metric("ap3d", "AP 3D", None, "higher"),)
    summary = {"ap3d": 0.3, "classes": {"Car": {"ap3d": 0.3}}, "with_loose_overlaps": {"Car": {"ap3d": 0.9}}}
    table = [{"scene": "s0", "class": "Car", "ground_truths": 2, "hits": 1}]
    (tmp_path / "a").mkdir()
    results.write(tmp_path / "a", Evaluation(0.3, "ap3d", summary, table, metrics=metrics), step=1)
    totals = vol3d.compare(tmp_path / "a", tmp_path / "a").totals
    assert [(one.name, one.a) for one in totals] == [("all classes", 0.3), ("Car", 0.3)]


@pytest.mark.bad_input
def test_a_page_of_another_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", rows()), write(tmp_path / "b", rows(0.03))
    assert main(["compare", str(a), str(b), "-o", str(tmp_path / "page.pdf")]) == 2
    assert "ends in .html" in capsys.readouterr().err and not (tmp_path / "page.pdf").exists()


def test_class_names_match_whatever_their_case_and_separators(tmp_path: Path) -> None:
    def named(shift: float, **names: str) -> list[dict[str, Any]]:
        return [{**one, "class": names[one["class"]]} for one in rows(shift)]

    a = write(tmp_path / "a", named(0, liver="left_liver", tumour="Tumour"))
    b = write(tmp_path / "b", named(0.03, liver="Left liver", tumour="tumour"), nsd=0.5)
    for other in (b, b / "cases.csv"):
        found = vol3d.compare(a, other)
        assert {one.name for one in found.differences} == {"left_liver", "Tumour", "all classes"}
        assert "Left liver of B is left_liver of A" in found.notes and "tumour of B is Tumour of A" in found.notes
    ambiguous = write(tmp_path / "c", named(0, liver="TUMOUR", tumour="tumour"))
    with pytest.raises(UsageError, match="names of classes that differ in their spelling only"):
        vol3d.compare(a, ambiguous)


def test_a_mean_over_other_classes_is_left_out(tmp_path: Path) -> None:
    both, liver = rows(), [one for one in rows(0.03) if one["class"] == "liver"]
    strangers = [{**one, "class": "spleen"} for one in liver]
    a = write(tmp_path / "a", both)
    for listed in (liver, liver + strangers):
        found = vol3d.compare(a, write(tmp_path / "b", listed))
        assert not [one for one in found.totals if one.name == "all classes"]
        assert [note for note in found.notes if "numbers over all classes" in note]
        assert {one.name for one in found.differences} == {"liver"}
    assert [one.metric for one in vol3d.compare(a, a).totals] == ["mean_dice"]


def test_seeds_match_class_names_and_say_where_classes_differ(tmp_path: Path) -> None:
    for name, liver in (("a", "Liver"), ("b", "liver"), ("c", "spleen")):
        for seed in range(3):
            listed = [one | {"class": liver if one["class"] == "liver" else "tumour"} for one in rows(0.01 * seed)]
            write(tmp_path / name / f"seed{seed}", listed)
    found = vol3d.compare(tmp_path / "a", tmp_path / "b")
    assert {one.name for one in found.differences} == {"all classes", "Liver", "tumour"}
    assert "liver of B is Liver of A" in found.notes
    notes = vol3d.compare(tmp_path / "a", tmp_path / "c").notes
    assert "A has the classes Liver, tumour, B spleen, tumour: a mean over all is over other ones" in notes
