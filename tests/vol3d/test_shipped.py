"""What shipped models say about themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import vol3d
from vol3d import catalog
from vol3d.cli.main import main
from vol3d.shipped import ShippedModel, about, licence_name


def test_a_model_tells_score_licence_and_training(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"class_names": ["background", "a"], "score": 0.88, "score_name": "dice"}')
    (tmp_path / "seen.json").write_text('{"data": "KITTI", "synthetic": false, "ranges": {}}')
    (tmp_path / "LICENSE.md").write_text("# Weights\nhttps://creativecommons.org/licenses/by-nc-sa/3.0/\n")
    told = about(tmp_path)
    wanted = ShippedModel(tmp_path.name, ("background", "a"), 0.88, "dice", "KITTI, real scans", "CC-BY-NC-SA 3.0")
    assert told == replace(wanted, attribution="https://creativecommons.org/licenses/by-nc-sa/3.0/")
    assert [note.code for note in told.notes] == ["non-commercial"]


def test_what_the_files_do_not_say_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[")
    assert about(tmp_path) == ShippedModel(tmp_path.name, (), None, None, None, None)
    assert not about(tmp_path).notes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Apache License\n  Version 2.0, January 2004\n", "Apache-2.0"),
        ("see https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA 4.0"),
        ("\nMy own terms\n", "My own terms"),
        ("", ""),
    ],
)
def test_licence_names(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "LICENSE"
    path.write_text(text)
    assert licence_name(path) == name


@pytest.mark.parametrize("name", list(catalog.shipped()))
def test_predict_prints_licence_and_training(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = about(catalog.shipped()[name])
    assert said.licence and said.trained_on
    main(["predict", name, "nowhere", "-o", "out"])
    printed = " ".join(capsys.readouterr().err.split())
    assert f"licence {said.licence}, trained on {said.trained_on}" in printed
    assert all(str(note) in printed for note in said.notes)
    assert set(said.notes) <= set(vol3d.load(name, "cpu").notes)
