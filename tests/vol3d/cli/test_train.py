"""Training by command: a run, the same command again, seeds, folds, a dry run."""

from __future__ import annotations

import re
from pathlib import Path

from tests.vol3d.cli.toy import toy  # noqa: F401 (a fixture)
from vol3d.cli.main import main

WORDS = ["toy.yaml", "train.epochs=1", "--device", "cpu"]


def test_a_run_and_the_same_command_again(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS]) == 0
    assert "report: runs/toy/report.html" in capsys.readouterr().err
    assert "mean Dice" in Path("runs/toy/report.html").read_text()
    assert main(["train", *WORDS]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS, "--dry-run", "-o", "dry"]) == 0
    assert not Path("dry").exists()
    said = capsys.readouterr().out
    assert "parameters" in said and re.search(r"loss: \w+ +\d", said), "each term of the loss has a line"


def test_overfit(toy: Path):  # noqa: F811
    assert main(["train", *WORDS, "--overfit", "4", "-o", "few"]) == 0
    assert Path("few/report.html").is_file()


def test_seeds_and_folds(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS, "--seeds", "2", "-o", "s"]) == 0
    assert Path("s/seed1/best.safetensors").is_file()
    assert "2 runs" in capsys.readouterr().out
    assert main(["train", *WORDS, "--folds", "-o", "cv"]) == 0
    assert Path("cv/fold2/best.safetensors").is_file()
    assert "3 runs" in capsys.readouterr().out


def test_a_wrong_setting_names_its_line(toy: Path, capsys):  # noqa: F811
    Path("wrong.yaml").write_text("model: {name: toy}\ndata: {root: x}\noptim:\n  lrr: 1\n")
    assert main(["train", "wrong.yaml"]) == 2
    assert capsys.readouterr().err == "error: wrong.yaml:4: unknown setting 'optim.lrr'; did you mean 'lr'?\n"
    assert main(["train", *WORDS, "optim.lr"]) == 2
    assert "key.path=value" in capsys.readouterr().err
