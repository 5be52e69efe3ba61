"""Loggers get what `metrics.csv` gets, a resumed run goes on in the same place, and none of them stops a training."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vol3d.engine.test_resume import at_step
from tests.vol3d.engine.toy import toy
from vol3d.engine import resume
from vol3d.engine.loggers import guarded, opened, weights_and_biases
from vol3d.engine.loggers.guarded import Guarded
from vol3d.engine.loggers.logger import LoggedRun, State, final_numbers
from vol3d.engine.loop import train
from vol3d.engine.stop import Stopped
from vol3d.engine.task import Evaluation
from vol3d.errors import UsageError

needs_wandb = pytest.mark.skipif(find_spec("wandb") is None, reason="needs vol3d[loggers]: no wandb")
needs_mlflow = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("mlflow", "sqlalchemy")), reason="needs vol3d[loggers]: no mlflow"
)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@dataclass
class Kept:
    """A logger that fails as long as `faults` says so."""

    faults: int = 0
    calls: list[Any] = field(default_factory=list)

    def opened(self) -> Kept:
        self._fail()
        return self

    def _fail(self) -> None:
        if self.faults:
            self.faults -= 1
            raise ConnectionError("no route to host\nand more")

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self._fail()
        self.calls.append((step, epoch, dict(values)))

    def ended(self, step: int, evaluation: Evaluation) -> None:
        self._fail()
        self.calls.append((step, evaluation.score))

    def close(self, state: State) -> None:
        self._fail()
        self.calls.append(state)


@pytest.mark.parametrize("faults", [0, 1, 2])
def test_what_a_logger_could_not_take_is_sent_later_in_its_order(faults: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "FIRST_PAUSE_S", 0.0)
    kept, said = Kept(faults), list[str]()
    logger = Guarded("far", kept.opened, said.append)
    for step in (1, 2):
        logger.scalars(step, 1, {"loss": 0.5})
    logger.ended(2, Evaluation(0.25, "dice", {}))
    logger.close("finished")
    assert kept.calls == [(1, 1, {"loss": 0.5}), (2, 1, {"loss": 0.5}), (2, 0.25), "finished"]
    assert [line for line in said if "ConnectionError: no route to host)" in line] == said and len(said) == bool(faults)


def test_it_is_not_tried_at_every_step_and_what_is_lost_is_counted() -> None:
    kept, said = Kept(faults=99), list[str]()
    logger = Guarded("far", kept.opened, said.append)
    for step in range(50):
        logger.scalars(step, 1, {})
    logger.close("failed")
    assert kept.faults == 97 and not kept.calls
    assert len(said) == 2 and "lacks the last 50 entries" in said[1]


def test_a_logger_that_fails_changes_nothing_but_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opened, "_opener", lambda name, run: Kept(faults=99).opened)
    failing = train(toy(tmp_path), tmp_path / "failing", device="cpu")
    without = train(toy(tmp_path, "train.loggers=[]"), tmp_path / "without", device="cpu")
    assert failing == without
    assert (tmp_path / "failing/metrics.csv").read_text() == (tmp_path / "without/metrics.csv").read_text()
    assert "".join(capfd.readouterr()).count("the logger tensorboard failed (ConnectionError") == 1


def test_a_logger_gets_what_the_table_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, runs = Kept(), list[LoggedRun]()
    monkeypatch.setattr(opened, "_opener", lambda name, run: runs.append(run) or kept.opened)
    evaluation = train(toy(tmp_path), tmp_path / "a" / "run", device="cpu")
    *rows, final, state = kept.calls
    table = [row for row in csv.DictReader((tmp_path / "a" / "run" / "metrics.csv").open())]
    assert [(str(step), str(epoch)) for step, epoch, _ in rows] == [(row["step"], row["epoch"]) for row in table]
    assert [f"{values['loss']:.7g}" for *_, values in rows if "loss" in values] == [
        r["loss"] for r in table if r["loss"]
    ]
    assert final == (20, evaluation.score) and state == "finished"
    assert runs[0].name == "a/run" and runs[0].settings["model"]["width"] == 8


def test_stopping_and_failing_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    monkeypatch.setattr(opened, "_opener", lambda name, run: kept.opened)
    stop_at(monkeypatch, 3)
    with pytest.raises(Stopped):
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert kept.calls[-1] == "stopped"
    at_step(monkeypatch, 5, lambda: 1 / 0)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert kept.calls[-1] == "failed"


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A SIGTERM in the middle of a step."""
    import signal

    at_step(monkeypatch, step, lambda: os.kill(os.getpid(), signal.SIGTERM))


def test_a_missing_package_is_one_error_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"the logger wandb needs .*vol3d\[loggers\]"):
        train(toy(tmp_path, "train.loggers=wandb"), tmp_path / "run", device="cpu")
    with pytest.raises(UsageError, match="no mlflow and no sqlalchemy and no alembic"):
        train(toy(tmp_path, "train.loggers=mlflow"), tmp_path / "run", device="cpu", dry_run=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    with pytest.raises(UsageError, match=r"got no mlflow\."):
        opened.require_loggers(["mlflow"])
    assert not (tmp_path / "run").exists()


def test_a_folder_of_that_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder_of_runs").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_spec("folder_of_runs") is not None and not opened._is_installed("folder_of_runs")


def test_the_setting(tmp_path: Path) -> None:
    def loggers(value: str) -> tuple[str, ...]:
        return toy(tmp_path, f"train.loggers={value}").settings.train.loggers

    assert loggers("wandb, mlflow") == loggers("[wandb, mlflow]") == ("wandb", "mlflow") and loggers("[]") == ()
    assert toy(tmp_path).settings.train.loggers == ("tensorboard",)
    with pytest.raises(UsageError, match="comet"):
        loggers("comet")
    now, earlier = ({"train": {"loggers": list(names)}} for names in (["mlflow"], ["tensorboard"]))
    assert not resume.differing(earlier, now) and not resume.differing({}, now)


def test_final_numbers_are_the_finite_ones() -> None:
    summary = {"n": 3, "ok": True, "classes": {"a b": {"ap": 0.5, "x": float("nan"), "names": ["p"]}}}
    numbers = final_numbers(Evaluation(float("nan"), "map", summary))
    assert numbers == {"final/n": 3.0, "final/classes/a b/ap": 0.5}
    assert final_numbers(Evaluation(1.0, "map", {})) == {"final/map": 1.0}


@needs_mlflow
def test_mlflow_keeps_a_run_in_its_folder_and_goes_on_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    task, folder = toy(tmp_path, "train.loggers=mlflow"), tmp_path / "one run"
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(Stopped):
            train(task, folder, device="cpu")
    client = MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "KILLED" and run.data.params["model.width"] == "8"

    evaluation = train(toy(tmp_path, "train.loggers=mlflow", "train.workers=1"), folder, device="cpu")
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FINISHED" and run.data.metrics["final/mean_margin"] == evaluation.score
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == list(range(1, 21))
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"config.yaml", "evaluation.json", "cases.csv", "report.html"}


@needs_mlflow
def test_mlflow_without_its_server_does_not_stop_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert train(toy(tmp_path, "train.loggers=mlflow", "train.epochs=1"), tmp_path / "run", device="cpu").score > 0
    said = "".join(capfd.readouterr())
    assert said.count("the logger mlflow failed") == 1 and said.count("lacks the last 7 entries") == 1
    assert not (tmp_path / "run" / "mlflow").exists()


def written() -> None:
    """Ends W&B's process, which writes on when a run has ended, and forgets the environment that it began with."""
    import wandb

    wandb.teardown()


@needs_wandb
def test_wandb_offline_writes_into_the_runs_folder_and_keeps_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    written()
    task, folder = toy(tmp_path, "train.loggers=wandb"), tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(Stopped):
            train(task, folder, device="cpu")
    (first,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    train(task, folder, device="cpu")
    written()
    (second,) = {*(folder / "wandb").glob("offline-run-*/*.wandb")} - {first}
    assert first.name == second.name == f"run-{LoggedRun(folder, 0, {}, print).known_id('wandb')}.wandb"
    assert b"mean_margin" in second.read_bytes() and b"final/mean_margin" in second.read_bytes()
    kept = {path.name for path in (second.parent / "files").iterdir()}
    assert {"config.yaml", "evaluation.json", "cases.csv", "report.html"} <= kept
    assert "wandb:" not in "".join(capfd.readouterr())


@needs_wandb
def test_wandb_without_a_login_or_a_server_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written()
    monkeypatch.setenv("NETRC", str(tmp_path / "no.netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setattr(weights_and_biases, "TIMEOUT_S", 2.0)
    task = toy(tmp_path, "train.loggers=wandb", "train.epochs=1")
    train(task, tmp_path / "no login", device="cpu")
    said = "".join(capfd.readouterr())
    assert said.count("not logged in to W&B") == 1 and list((tmp_path / "no login" / "wandb").glob("offline-run-*"))


def test_a_damaged_file_of_ids_files_the_run_anew(tmp_path: Path) -> None:
    run = LoggedRun(tmp_path, 0, {}, print)
    assert run.known_id("wandb") is None
    (tmp_path / "loggers.json").write_text("{")
    assert run.known_id("wandb") is None
    run.keep_id("wandb", "a")
    run.keep_id("mlflow", "b")
    assert (run.known_id("wandb"), run.known_id("mlflow")) == ("a", "b")
