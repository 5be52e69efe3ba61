"""Evaluating: which cases are scored, what is printed, what is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.vol3d.cli.toy import save_run, toy  # noqa: F401 (a fixture)
from vol3d.cli.evaluate import show
from vol3d.cli.main import main
from vol3d.engine.task import Evaluation
from vol3d.terminal import speaking


def evaluate(*words: str) -> int:
    return main(["evaluate", "run", "--device", "cpu", *words])


@pytest.fixture
def data(toy: Path) -> str:  # noqa: F811
    (toy / "data").mkdir()
    return "data"


def test_json_is_one_object_with_the_promised_keys(data: str, capsys):
    assert evaluate("--data", data, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mean_dice"] == 0.7
    assert said["classes"]["out"] == {"dice": 0.7, "hd95_mm": None, "missed": 1}
    assert said["split"] == "all"


@pytest.mark.parametrize(
    ("words", "split", "dice"),
    [
        (["--fold", "2"], "validation", 0.52),
        (["--split", "train"], "train", 0.6),
        (["--fold", "1", "--split", "all"], "all", 0.71),
    ],
)
def test_the_cases_that_are_scored(data: str, words: list[str], split: str, dice: float, capsys):
    assert evaluate("--data", data, "--json", *words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["split"], said["mean_dice"]) == (split, pytest.approx(dice))


def test_the_training_data_is_scored_on_its_validation_cases(toy: Path, capsys):  # noqa: F811
    Path("nowhere").mkdir()  # the root in the configuration
    assert evaluate("--data", "./nowhere/", "--json") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "validation"


def test_a_table_and_the_files(data: str, capsys):
    assert evaluate("--data", data, "-o", "scores") == 0
    said = capsys.readouterr()
    assert "mean_dice 0.7000" in said.out
    assert "hd95 mm" in said.out
    names = {path.name for path in Path("scores").iterdir()}
    assert {"evaluation.json", "cases.csv", "report.html", "config.yaml"} <= names
    assert "0.700" in Path("scores/report.html").read_text()


@pytest.mark.parametrize(("kinds", "left_out"), [(7, 0), (15, 8)])
def test_a_wide_table_leaves_out_its_last_columns_and_breaks_no_word(kinds: int, left_out: int, capsys):
    row = {f"ap3d_moderate_{i:02d}": 0.5 for i in range(kinds)}
    with speaking():
        show(Evaluation(0.5, "ap", {"classes": {"Pedestrian": row, "Car": row}}), as_json=False)
    said = capsys.readouterr()
    heads = re.split(r"\s{2,}", said.out.strip().splitlines()[0].strip())
    assert heads == ["class", *(key.replace("_", " ") for key in row)][: len(row) + 1 - left_out]
    assert max(map(len, said.out.splitlines())) <= 160
    assert (f"more columns ({left_out})" in said.err) == (left_out > 0)


def test_scores_replace_those_of_before_and_nothing_else(data: str, capsys):
    words = ("--data", data, "-o")
    assert evaluate(*words, "scores") == evaluate(*words, "scores") == 0
    Path("scores/evaluation.json").unlink()  # as after a kill
    assert evaluate(*words, "scores") == 0
    for name in ("report.html", "config.yaml", "cases.csv", "evaluation.json"):
        path = Path(f"mine-{name}") / name
        path.parent.mkdir()
        path.write_text("{}")
        capsys.readouterr()
        assert evaluate(*words, str(path.parent)) == 2 and path.read_text() == "{}"
        assert f"{path}: the scores would replace a file that vol3d did not write" in capsys.readouterr().err
    assert evaluate(*words, "run") == 2
    assert "would stand for those of the run in this folder" in capsys.readouterr().err


def test_an_ensemble(data: str, toy: Path, capsys):  # noqa: F811
    for fold in range(2):
        save_run(toy / "cv" / f"fold{fold}")
    assert main(["evaluate", "cv", "--data", data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ensemble"] == 2


def test_faults(data: str, capsys):
    assert evaluate("--data", "missing") == 1
    assert "missing: no such folder" in capsys.readouterr().err
    assert evaluate("--data", data, "--split", "test") == 2
    assert "wanted validation, train or all" in capsys.readouterr().err
    assert evaluate("--data", data, "--dataset", "btvc") == 2
    assert "Did you mean 'btcv'?" in capsys.readouterr().err
    Path(data, "other_classes").touch()
    assert evaluate("--data", data) == 1
    assert "other classes" in capsys.readouterr().err


def test_a_count_that_all_classes_share_is_no_column(capsys):
    def said(counts: list[int]) -> str:
        classes = {f"class{i}": {"ap": i / 10, "detections": count} for i, count in enumerate(counts)}
        with speaking():
            show(Evaluation(0.5, "map", {"map": 0.5, "classes": classes}), as_json=False)
        captured = capsys.readouterr()
        return captured.out + captured.err

    assert "in each class: detections 143" in said([143, 143, 143])
    assert "in each class" not in said([143, 143, 144]) and "in each class" not in said([143])


def test_each_fold_is_scored_on_its_own_cases(toy: Path, capsys):  # noqa: F811
    (toy / "data").mkdir()
    for fold in range(2):
        save_run(toy / "cv" / f"fold{fold}", fold)
    words = ["evaluate", "cv", "data=data", "--folds", "--device", "cpu"]
    assert main([*words, "-o", "scores", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"] == {"fold0": 0.5, "fold1": 0.51} and said["mean"] == 0.505
    assert all((toy / "scores" / name).is_file() for name in ("report.html", "cases.csv", "fold1/report.html"))
    assert main(words) == 0
    assert "mean_dice 0.5050 ± 0.0071" in capsys.readouterr().out
    assert main([*words, "--fold", "1"]) == 2
    assert "--fold" in capsys.readouterr().err
