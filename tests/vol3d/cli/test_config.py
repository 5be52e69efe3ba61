"""`vol3d config`: a recipe as it is, or every setting with its meaning, which trains the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vol3d import catalog
from vol3d.cli.main import main
from vol3d.config import load_task, recipes
from vol3d.config.explained import task_of
from vol3d.config.header import header_of

NAME = "unetr_hippocampus_small"


def test_a_recipe_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", NAME]) == 0
    assert capsys.readouterr().out == recipes()[NAME].read_text("utf-8")


def test_every_setting_has_its_meaning_and_a_change_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", NAME, "data=mine", "epochs=7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"# {header_of(recipes()[NAME]).splitlines()[0]}"
    assert "# With data=mine epochs=7." in lines
    assert "  root: mine" in "\n".join(lines)
    assert "  epochs: 7  # passes over the training samples; default 100" in lines
    assert "  lr: 0.002  # peak learning rate; default 0.0001" in lines
    assert "  betas: [0.9, 0.98]  # default [0.9, 0.999]" in lines
    assert "  shard: false  # shard weights and optimiser over the processes (fully_shard), not DDP" in lines


@pytest.mark.parametrize("name", [NAME, "3detr_rooms_small", "centerpoint_pillars_drives", "kitti_cars"])
def test_what_is_written_trains_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "mine.yaml"
    assert main(["config", name, "--all", "-o", str(out)]) == 0
    assert load_task(out).settings == load_task(name).settings
    assert main(["config", name, "--all", "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["config", name, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == 2 and said["settings"]["model"]["name"] == load_task(name).settings.model.name


def test_wrong_names_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "unetr_hipocampus_small"]) == 2
    assert "Did you mean 'unetr_hippocampus_small'?" in capsys.readouterr().err
    assert main(["config", NAME, "learning_rate=1"]) == 2
    assert "did you mean 'optim.lr'?" in capsys.readouterr().err


def test_every_recipe_has_a_task() -> None:
    assert recipes() and all(task_of(path) in catalog.TASKS for path in recipes().values())
