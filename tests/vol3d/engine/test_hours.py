"""Training by the clock: how many steps `train.hours` leaves time for, counted once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.vol3d.engine.toy import toy
from vol3d import checkpoint
from vol3d.engine import dry_run, resume
from vol3d.engine.dry_run import Pace, _steps_within
from vol3d.engine.learner import StepResult
from vol3d.engine.loop import train
from vol3d.engine.order import Plan
from vol3d.engine.settings import TrainSettings


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def pace(step_s: float, case_s: float, data_s: float = 0.0) -> Pace:
    """Of 40 samples in batches of 4, with 10 evaluated cases."""
    return Pace(Plan(40, 4, 1, 1, 0), StepResult({}, 0.0, 0.0, ()), data_s, step_s, case_s, 10, 0.0, 0.0)


@pytest.mark.parametrize(
    ("hours", "step_s", "case_s", "steps"),
    [
        (0.1, 1.0, 0.0, 360),
        (0.1, 1.0, 1.0, 175),  # (360 - 10) / (1 + 10 / 10): an evaluation after each epoch of 10 steps
        (0.001, 1.0, 100.0, 1),
    ],
)
def test_evaluations_are_counted(hours: float, step_s: float, case_s: float, steps: int) -> None:
    settings = TrainSettings(hours=hours, evaluate_every=1)
    assert _steps_within(settings, pace(step_s, case_s)) == steps


def test_reading_counts_unless_workers_do_it_meanwhile() -> None:
    one = pace(1.0, 0.0, data_s=3.0)
    assert [one.seconds_of_step(workers) for workers in (0, 2, 4)] == [4.0, 1.5, 1.0]


def test_a_run_ends_within_an_epoch_and_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "_steps_within", lambda settings, pace: 7)
    evaluation = train(toy(tmp_path, "train.hours=0.5"), tmp_path / "run", device="cpu")
    point = resume.read(tmp_path / "run")
    assert point and point.step == 7 and point.about["steps"] == 7

    monkeypatch.setattr(dry_run, "_steps_within", lambda settings, pace: 1 / 0)
    again = train(toy(tmp_path, "train.hours=0.5"), tmp_path / "run", device="cpu")
    assert again.score == evaluation.score


def test_measuring_changes_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train(toy(tmp_path), tmp_path / "plain", device="cpu")  # 4 epochs of 5 steps
    monkeypatch.setattr(dry_run, "_steps_within", lambda settings, pace: 20)
    timed = train(toy(tmp_path, "train.hours=1"), tmp_path / "timed", device="cpu")
    assert timed.score == plain.score
    weights = [checkpoint.read_checkpoint(tmp_path / name / checkpoint.WEIGHTS)[0] for name in ("plain", "timed")]
    assert weights[0] and all(torch.equal(weights[1][key], value) for key, value in weights[0].items())
