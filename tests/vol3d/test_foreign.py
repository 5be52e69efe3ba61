"""Model folders of other toolboxes: which kind a folder is, and what opens it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import vol3d
from vol3d import catalog, checkpoint, foreign
from vol3d.catalog import ForeignKind
from vol3d.cli.main import main
from vol3d.errors import UsageError

KIND = ForeignKind("model folder of a test", ("plan.txt", "fold_*/w.pth"), "none:load", "none:card", files=("*.test",))


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "FOREIGN", {"test": KIND})
    monkeypatch.setattr(catalog, "load", {"none:load": lambda *given: given, "none:card": card_of}.__getitem__)


def card_of(folder: Path) -> dict[str, object]:
    return {"labels": ["a", "b"], "files": {"plan": (folder / "plan.txt").read_text("utf-8")}}


def written(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("two", "utf-8")
    return path


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("mark", ["plan.txt", "fold_3/w.pth"])
def test_one_file_tells_the_kind(tmp_path: Path, mark: str) -> None:
    assert foreign.kind_of(tmp_path) is None
    written(tmp_path / mark)
    assert foreign.kind_of(tmp_path) is KIND
    assert foreign.kind_of(str(tmp_path)) is KIND


@pytest.mark.usefixtures("kinds")
def test_the_name_of_a_file_tells_the_kind(tmp_path: Path) -> None:
    assert foreign.kind_of(written(tmp_path / "model.test")) is KIND
    assert foreign.kind_of(tmp_path / "missing.test") is None
    assert foreign.kind_of(written(tmp_path / "model.txt")) is None


@pytest.mark.usefixtures("kinds")
def test_what_is_ours_is_no_foreign_folder(tmp_path: Path) -> None:
    file = written(tmp_path / "plan.txt")
    assert foreign.kind_of(file) is None
    written(tmp_path / "fold0" / "best.safetensors")
    assert foreign.kind_of(tmp_path) is None
    assert foreign.kind_of(tmp_path / "nothing") is None


@pytest.mark.usefixtures("kinds")
def test_load_opens_it_with_device_and_changes(tmp_path: Path) -> None:
    written(tmp_path / "plan.txt")
    opened = vol3d.load(tmp_path, "cpu", {"folds": [0, 1]})
    assert opened == (tmp_path, torch.device("cpu"), ["folds=[0, 1]"])


@pytest.mark.usefixtures("kinds")
def test_it_is_no_start_of_a_training(tmp_path: Path) -> None:
    written(tmp_path / "plan.txt")
    with pytest.raises(UsageError, match="a model folder of a test, which predicts only"):
        checkpoint.resolve(tmp_path)


@pytest.mark.usefixtures("kinds")
def test_models_prints_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "plan.txt")
    assert main(["models", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("format") == 2
    assert said == {"models": [{"kind": "model folder of a test", "labels": ["a", "b"], "files": {"plan": "two"}}]}
    assert main(["models", str(tmp_path)]) == 0
    assert "plan: two" in capsys.readouterr().out
