"""Terms of models go along: to what starts from them, to what they teach, to results and exports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.vol3d.engine.test_start_from import source  # noqa: F401 (a fixture)
from tests.vol3d.engine.toy import toy
from vol3d import checkpoint
from vol3d.engine.derived import Origin, derived_from, derived_note, origins, passed_on
from vol3d.engine.loop import train
from vol3d.engine.start_from import derives_from
from vol3d.engine.task import TrainingTask
from vol3d.errors import CheckpointError
from vol3d.shipped import about

TERMS = "# Mine\n\nUnder creativecommons.org/licenses/by-nc-sa/3.0/, of **A. Person**.\nPlease cite.\n"
CREDIT = "Under creativecommons.org/licenses/by-nc-sa/3.0/, of **A. Person**. Please cite."
OWN = {"licence": "CC-BY-4.0", "attribution": "A. Person"}


@pytest.fixture
def licensed(source: Path, tmp_path: Path) -> Path:  # noqa: F811
    folder = shutil.copytree(source, tmp_path / "licensed")
    (folder / "LICENSE.md").write_text(TERMS)
    return folder


def test_weights_pass_on_their_terms_as_often_as_they_are_fine_tuned(licensed: Path, tmp_path: Path) -> None:
    train(toy(tmp_path, f"start_from={licensed}"), tmp_path / "second", device="cpu")
    train(toy(tmp_path, f"start_from={tmp_path / 'second'}"), tmp_path / "third", device="cpu")
    wanted = Origin(how="start_from", model="licensed", licence="CC-BY-NC-SA 3.0", attribution=CREDIT)
    for run in ("second", "third"):
        (info,) = checkpoint.said_by(tmp_path / run)
        assert derived_from(info) == [wanted]
        assert (info["licence"], info["attribution"]) == ("CC-BY-NC-SA 3.0", CREDIT)
        assert json.loads((tmp_path / run / "config.json").read_text())["derived_from"] == info["derived_from"]
        assert [note.code for note in about(tmp_path / run).notes] == ["non-commercial", "derived-from"]
    (tmp_path / "third" / "LICENSE.md").write_text("Apache License\nVersion 2.0")
    assert checkpoint.said_by(tmp_path / "third")[0]["licence"] == "Apache-2.0", "a licence of its own comes first"


def test_what_has_no_terms_is_no_origin(source: Path, tmp_path: Path) -> None:  # noqa: F811
    train(toy(tmp_path, f"start_from={source}"), tmp_path / "run", device="cpu")
    (info,) = checkpoint.said_by(tmp_path / "run")
    assert "derived_from" not in info and "licence" not in info
    assert origins("start_from", "a", []) == [] and passed_on({}) == {} and derived_note([]) == ()


def test_a_teacher_is_named_and_its_licence_stays_its_own(
    licensed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingTask, "teachers", lambda task: (str(licensed / "best.safetensors"),))
    (origin,) = derives_from(toy(tmp_path))
    assert (origin["how"], origin["model"], origin["licence"]) == ("teacher", "licensed", "CC-BY-NC-SA 3.0")
    assert passed_on({"derived_from": [origin]}) == {}
    (note,) = derived_note([Origin(**origin)])
    assert str(note) == "the weights derive from licensed (its teacher; CC-BY-NC-SA 3.0)"


def noted(found: list[Origin]) -> list[dict[str, str]]:
    """As in a checkpoint."""
    return [one.to_dict() for one in found]


def test_chains() -> None:
    first = noted(origins("start_from", "a", [OWN]))
    student = {"derived_from": noted(origins("teacher", "b", [{"derived_from": first, **OWN}]))}
    assert [(one.how, one.model) for one in derived_from(student)] == [("teacher", "a")]
    both = origins("start_from", "c", [OWN | student, OWN])
    assert [(one.how, one.model) for one in both] == [("start_from", "c"), ("teacher", "a")], "each once"
    assert passed_on({"derived_from": noted(both)}) == OWN


@pytest.mark.parametrize("record", [[{"how": "theft", "model": "a"}], ["a"], [{"how": "teacher"}], [{"model": 3}]])
def test_a_damaged_record_is_named(licensed: Path, record: list[object]) -> None:
    tensors, info = checkpoint.read_checkpoint(licensed / "best.safetensors")
    checkpoint.write_checkpoint(licensed / "best.safetensors", tensors, info | {"derived_from": record})
    with pytest.raises(CheckpointError, match="training scans or terms cannot be read"):
        checkpoint.said_by(licensed)
