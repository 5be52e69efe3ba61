"""`vol3d data` on small data sets, clean and faulty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.medical.synthetic import write_msd
from vol3d.cli.data import flatten
from vol3d.cli.main import main


@pytest.fixture
def msd(tmp_path: Path) -> Path:
    return write_msd(tmp_path)


def test_check(msd: Path, capsys):
    assert main(["data", "check", "msd", str(msd), "--workers", "0"]) == 0
    capsys.readouterr()
    next((msd / "labelsTr").glob("*.nii.gz")).unlink()
    assert main(["data", "check", "msd", str(msd), "--workers", "0", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] >= 1
    assert {"severity", "case", "what", "do"} == set(said["faults"][0])
    assert main(["data", "check", "msd", str(msd), "--workers", "0"]) == 1
    assert "does not exist" in capsys.readouterr().out


def test_stats(msd: Path, capsys):
    assert main(["data", "stats", "msd", str(msd), "--workers", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cases"]) >= 1
    assert main(["data", "stats", "msd", str(msd), "--workers", "0"]) == 0
    assert "spacing_mm" in capsys.readouterr().out


def test_prepare(msd: Path, tmp_path: Path, capsys):
    words = ["data", "prepare", "msd", str(msd), "--recipe", "unetr_hippocampus_small", "--workers", "0"]
    assert main([*words, "-o", str(tmp_path / "ready")]) == 0
    assert (tmp_path / "ready" / "prepared.json").is_file()
    assert "is ready in" in capsys.readouterr().err


def test_faults(tmp_path: Path, capsys):
    assert main(["data", "check", "msd", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["data", "stats", "msd", str(tmp_path)]) == 1
    assert "dataset.json" in capsys.readouterr().err


def test_flatten():
    assert flatten({"a": {"b": [1.23456789, 2]}, "c": "d"}) == [["a / b", "1.2346, 2"], ["c", "d"]]
