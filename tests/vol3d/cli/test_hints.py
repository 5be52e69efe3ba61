"""The words of other programs are answered with ours, and settings are words for every verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from tests.vol3d.cli.toy import toy  # noqa: F401 (a fixture)
from vol3d.cli import hints
from vol3d.cli.main import app, main


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["val", "runs/a"], "vol3d evaluate"),
        (["infer", "a"], "vol3d predict"),
        (["convert", "a"], "'vol3d data convert'"),
        (["prepare", "a"], "'vol3d data prepare'"),
        (["predict", "a", "-i", "b", "-o", "c"], "vol3d predict MODEL SCAN"),
        (["predict", "--model", "a", "--source", "b"], "The model comes first"),
        (["predict", "a", "--source", "b"], "Scans stand without an option"),
        (["evaluate", "--weights", "a"], "vol3d evaluate MODEL data=PATH"),
        (["train", "a", "--epochs", "3"], "epochs=VALUE"),
        (["train", "a", "--learning-rate", "3"], "lr=VALUE"),
        (["train", "--config", "a"], "The recipe comes first"),
        (["predict", "a", "b", "--output", "c"], "-o OUT"),
        (["evaluate", "run"], "Give data=ROOT once"),
        (["evaluate", "run", "data=a", "--data", "b"], "Give data=ROOT once"),
        (["predict", "run", "model.x=1", "-o", "c"], "no scan among the arguments"),
    ],
)
def test_the_way_out_is_named(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert wanted in said.err and said.err.count("\n") == 1 and said.out == ""


def test_hints_lead_to_verbs_that_exist() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for verb in hints.VERBS.values():
        first, _, second = verb.partition(" ")
        assert first in verbs and (not second or second in verbs[first].commands), verb
    assert not set(hints.VERBS) & set(verbs), "a hint never hides a verb"


def test_settings_are_words_for_predict_and_evaluate(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    (toy / "a.txt").write_text("one two")
    (toy / "b=c.txt").write_text("a name with a sign of equality")
    words = ["optim.lr=0.5", "a.txt", "b=c.txt", "-o", "out", "--json", "--device", "cpu"]
    assert main(["predict", "run", *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == 2 and [row["status"] for row in said["results"]] == ["written", "written"]
    (toy / "data").mkdir()
    for data in (["data=data"], ["--data", "data"]):
        assert main(["evaluate", "run", *data, "--json", "--device", "cpu"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["format"] == 2 and said["mean_dice"] == 0.7  # all cases
    assert main(["evaluate", "run", "data=data", "optim.lrr=1", "--device", "cpu"]) == 2
    assert "optim.lrr" in capsys.readouterr().err
