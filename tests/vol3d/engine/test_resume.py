"""A run stopped anywhere and resumed ends bit-equal to one never stopped, with and without worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.vol3d.engine.toy import toy
from vol3d.checkpoint import read_checkpoint
from vol3d.engine import resume
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.results import EVALUATION
from vol3d.engine.stop import Stopped
from vol3d.errors import CheckpointError, UsageError

SAVE_ALWAYS = "train.save_every_s=1e-6"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    train(toy(folder), folder / "run", device="cpu")
    return folder / "run"


def assert_equal(run: Path, whole: Path) -> None:
    """Weights, optimiser, averages and the table of metrics are the same to the bit."""
    assert_same(*(read_checkpoint(folder / "best.safetensors")[0] for folder in (run, whole)))
    for name in ("metrics.csv", EVALUATION, "cases.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = resume.read(run), resume.read(whole)
    assert one and other and (one.step, one.best, one.best_step) == (other.step, other.best, other.best_step)
    assert_same(one.state, other.state)


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor) and torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict) and one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert isinstance(other, (list, tuple)) and len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], None]) -> None:
    """Does `action` in the middle of step `step` (0-based)."""
    apply = Learner.apply

    def patched(self: Learner, now: int) -> None:
        if now == step:
            action()
        apply(self, now)

    monkeypatch.setattr(Learner, "apply", patched)


def killed(work: Callable[[], object]) -> None:
    """Runs `work` in a child, which must end by SIGKILL."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def test_the_same_run_twice_is_bit_equal(tmp_path: Path, whole: Path) -> None:
    train(toy(tmp_path), tmp_path / "again", device="cpu")
    assert_equal(tmp_path / "again", whole)


def test_workers_change_nothing(tmp_path: Path, whole: Path) -> None:
    train(toy(tmp_path, "train.workers=2"), tmp_path / "run", device="cpu")
    one, other = resume.read(tmp_path / "run"), resume.read(whole)
    assert one and other
    assert_same(one.state, other.state)
    assert (tmp_path / "run" / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


@needs_fork
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [0, 1, 4, 7, 10, 19])
def test_killed_and_started_again(
    tmp_path: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: int,
    workers: int,
) -> None:
    # Step 0 dies before the first save, 4 is the last of an epoch, 10 the first after an evaluation, 19 the very last.
    task = toy(tmp_path, SAVE_ALWAYS, f"train.workers={workers}")
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: train(task, run, device="cpu"))
    stopped = resume.read(run)
    assert (stopped.step if stopped else 0) == step
    train(toy(tmp_path), run, device="cpu")
    assert (f"resumed after step {step} of 20" in capsys.readouterr().err) == (step > 0)
    assert_equal(run, whole)


@needs_fork
def test_killed_between_best_weights_and_the_resume_point(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, run = toy(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(resume, "save", lambda folder, point: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: train(task, run, device="cpu"))
    assert (run / "best.safetensors").is_file() and not (run / resume.LAST).exists()
    train(task, run, device="cpu")
    assert_equal(run, whole)


@needs_fork
def test_killed_while_the_results_are_written(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.engine import results

    task, run = toy(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_pictures", lambda *given: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: train(task, run, device="cpu"))
    assert not (run / EVALUATION).exists()
    assert train(task, run, device="cpu").pictures
    assert_equal(run, whole)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_signal_saves_at_the_end_of_the_step(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    before = signal.getsignal(getattr(signal, number))
    with monkeypatch.context() as patch:
        # After step 7 has agreed to go on, so it is the next one that stops.
        at_step(patch, 6, lambda: os.kill(os.getpid(), getattr(signal, number)))
        with pytest.raises(Stopped, match="saved at step 8 of 20") as caught:
            train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert caught.value.exit_code == (130 if number == "SIGINT" else 0)
    assert signal.getsignal(getattr(signal, number)) is before
    train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert_equal(tmp_path / "run", whole)


def test_a_signal_during_an_evaluation_leaves_it(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.vol3d.engine.toy import ToyTask

    task = toy(tmp_path)
    with monkeypatch.context() as patch:
        evaluate = ToyTask.evaluate

        def patched(self, model, device, progress, pictures=False):  # type: ignore[no-untyped-def]
            os.kill(os.getpid(), signal.SIGTERM)
            return evaluate(self, model, device, progress, pictures)

        patch.setattr(ToyTask, "evaluate", patched)
        with pytest.raises(Stopped, match="saved at step 10 of 20"):
            train(task, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "best.safetensors").exists()
    train(task, tmp_path / "run", device="cpu")
    assert_equal(tmp_path / "run", whole)


def test_a_second_ctrl_c_quits_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.engine import stop

    monkeypatch.setattr(stop, "echo_s", lambda: -1.0)

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(monkeypatch, 6, twice)
    with pytest.raises(KeyboardInterrupt):
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / resume.LAST).exists()


def test_a_finished_run_says_so(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    evaluation = train(toy(tmp_path), whole, device="cpu")
    assert "this run has ended, mean_margin" in capsys.readouterr().err
    assert evaluation.score == resume.read(whole).best  # type: ignore[union-attr]
    assert len(evaluation.rows) == 20
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=1", "optim.lr: 0.01 -> 1.0"),
        ("train.epochs=5", "train.epochs: 4 -> 5"),
        ("model.width=4", "model.width: 8 -> 4"),
        ("data.samples=13", "data.samples: 14 -> 13"),
        ("data.classes=[a, b]", r"class_names: \['in', 'out'\] -> \['a', 'b'\]"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, whole: Path, word: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        train(toy(tmp_path, word), whole, device="cpu")


def test_another_data_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.vol3d.engine.toy import ToySamples

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_step(patch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    monkeypatch.setattr(ToySamples, "__len__", lambda self: 13)
    with pytest.raises(UsageError, match="got 13 training samples, wanted 14"):
        train(toy(tmp_path), tmp_path / "run", device="cpu")


def test_harmless_settings_may_change(tmp_path: Path, whole: Path) -> None:
    words = ["train.workers=1", "train.save_every_s=5", "train.evaluate_every=3", "data.root=elsewhere"]
    assert train(toy(tmp_path, *words), whole, device="cpu").score_name == "mean_margin"


def test_overfit_is_another_run(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match="overfit: None -> 4"):
        train(toy(tmp_path), whole, device="cpu", overfit=4)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle", "future"])
def test_a_damaged_resume_point_is_refused(tmp_path: Path, damage: str) -> None:
    resume.save(tmp_path, resume.ResumePoint(step=3, state={"model": {"w": torch.arange(1000.0)}}))
    path = tmp_path / resume.LAST
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"cut": content[:-1], "flip": flipped, "empty": b""}.get(damage, content))
    if damage == "pickle":
        import pickle

        path.write_bytes(pickle.dumps(print))
    if damage == "future":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resume, "FORMAT", 99)
            resume.save(tmp_path, resume.ResumePoint())
    with pytest.raises(CheckpointError, match=r"last\.pt: (damaged|saved by another release).*Move it away"):
        resume.read(tmp_path)


def test_a_resume_point_cut_anywhere_is_refused(tmp_path: Path) -> None:
    resume.save(tmp_path, resume.ResumePoint(state={"model": {"w": torch.rand(10_000)}}))
    content = (tmp_path / resume.LAST).read_bytes()
    for length in range(0, len(content), 4096):
        (tmp_path / resume.LAST).write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            resume.read(tmp_path)


@needs_fork
def test_killed_again_and_again_while_saving(tmp_path: Path) -> None:
    import time

    state = {"model": {"w": torch.rand(20_000)}}
    resume.save(tmp_path, resume.ResumePoint(step=0, state=state))
    for kill in range(50):
        pid = os.fork()
        if pid == 0:
            step = 0
            while True:
                step += 1
                resume.save(tmp_path, resume.ResumePoint(step=step, state=state))
        time.sleep(0.002 + 0.0004 * kill)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        point = resume.read(tmp_path)
        assert point is not None and torch.equal(point.state["model"]["w"], state["model"]["w"])


def test_settings_of_predictions_are_no_other_run(tmp_path: Path) -> None:
    now = {"train": {"seed": 0}, "predict": {"smooth": 0, "amp": "auto"}}
    resume.check_same_run({"train": {"seed": 0}}, now, tmp_path)
    with pytest.raises(UsageError, match="seed"):
        resume.check_same_run({"train": {"seed": 0}}, {"train": {"seed": 1}}, tmp_path)
