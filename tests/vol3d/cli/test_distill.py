"""`vol3d distill` takes what `vol3d train` takes; what it trains is tested with the detectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vol3d.cli.toy import toy  # noqa: F401 (a fixture)
from vol3d import catalog
from vol3d.cli.main import main

WORDS = ["toy.yaml", "train.epochs=1", "--device", "cpu"]


@pytest.fixture
def taught(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """The toy, as a task that can be distilled."""
    monkeypatch.setitem(catalog.DISTILLED, "words", "tests.vol3d.cli.toy:WordTask")
    return toy


def test_a_run_seeds_few_cases_and_a_dry_run(taught: Path, capsys):
    assert main(["distill", *WORDS]) == 0
    assert "report: runs/toy/report.html" in capsys.readouterr().err
    assert main(["distill", *WORDS, "--seeds", "2", "-o", "s"]) == 0
    assert "2 runs" in capsys.readouterr().out and Path("s/seed1/best.safetensors").is_file()
    assert main(["distill", *WORDS, "--dry-run", "-o", "dry"]) == 0
    assert "parameters" in capsys.readouterr().out and not Path("dry").exists()
    assert main(["distill", *WORDS, "--overfit", "4", "-o", "few", "--background", "light"]) == 0
    assert Path("few/report.html").is_file() and "background: light" in Path("few/config.yaml").read_text()
    assert main(["distill", *WORDS, "-o", "none", "--background", "grey"]) == 2


def test_only_one_kind_of_run(taught: Path, capsys):
    assert main(["distill", *WORDS, "--dry-run", "--seeds", "2"]) == 2
    assert "choose one of --seeds, --dry-run and --overfit" in capsys.readouterr().err


def test_models_that_cannot_be_distilled_are_told_with_their_line(toy: Path, capsys):  # noqa: F811
    assert main(["distill", *WORDS]) == 2
    error = "error: toy.yaml:2: no models of words here; got toy, wanted one of detection, lidar\n"
    assert capsys.readouterr().err == error
