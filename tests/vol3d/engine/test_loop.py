"""What a run does and leaves, and how it ends on bad numbers and bad folders."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import pytest
import torch

from tests.vol3d.engine.toy import ToyModel, toy
from vol3d import checkpoint, files
from vol3d.cli.verdict import rows, verdict
from vol3d.engine import resume
from vol3d.engine.device import suited_precision
from vol3d.engine.dry_run import _FirstCase
from vol3d.engine.folds import train_folds
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.task import Evaluation
from vol3d.errors import UsageError, Vol3dError
from vol3d.lock import lock
from vol3d.terminal import speaking


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_a_finished_run_has_its_files(tmp_path: Path) -> None:
    run = tmp_path / "a" / "run"
    evaluation = train(toy(tmp_path), run, device="cpu")
    names = {path.name for path in run.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("config.yaml", "metrics.csv", "events", "last.pt", "best.safetensors", "config.json"),
        *("evaluation.json", "cases.csv", "pictures", "report.html"),
    }
    assert json.loads((run / "evaluation.json").read_text())["score"] == evaluation.score
    assert len((run / "cases.csv").read_text().splitlines()) == 21
    assert (run / "pictures" / "worst_case_100.png").read_bytes() == evaluation.pictures["Worst case_100"]
    assert list((run / "events").iterdir())
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["step"] for row in rows if row["loss"]] == [str(step) for step in range(1, 21)]
    assert [row["step"] for row in rows if row["mean_margin"]] == ["10", "20"]
    loaded = checkpoint.load(run)
    assert loaded.info[0]["score"] == evaluation.score
    assert loaded.task.evaluate(loaded.models[0], torch.device("cpu"), lambda *given: None).score == evaluation.score


def test_without_a_score_the_last_weights_are_kept_and_none_is_called_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    task = toy(tmp_path)
    monkeypatch.setattr(type(task), "evaluate", lambda *given, **more: Evaluation(math.nan, "mean_margin", {}))
    assert math.isnan(train(task, tmp_path / "run", device="cpu").score)
    info = checkpoint.load(tmp_path / "run").info[0]
    assert (info["step"], info["score"]) == (20, None)
    said = "".join(capfd.readouterr())
    assert said.count("nothing annotated, no score; the last weights are kept") == 2 and "best so far" not in said


def test_of_equal_scores_the_longest_trained_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = toy(tmp_path)
    monkeypatch.setattr(type(task), "evaluate", lambda *given, **more: Evaluation(1.0, "mean_margin", {}))
    train(task, tmp_path / "run", device="cpu")
    assert checkpoint.load(tmp_path / "run").info[0]["step"] == 20


def test_a_long_run_has_about_a_thousand_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vol3d.engine import loop

    train(toy(tmp_path), tmp_path / "all", device="cpu")
    monkeypatch.setattr(loop, "ROWS", 5)
    train(toy(tmp_path), tmp_path / "few", device="cpu")
    every = [float(r["loss"]) for r in csv.DictReader((tmp_path / "all" / "metrics.csv").open()) if r["loss"]]
    means = [float(r["loss"]) for r in csv.DictReader((tmp_path / "few" / "metrics.csv").open()) if r["loss"]]
    assert means == pytest.approx([sum(every[i : i + 4]) / 4 for i in range(0, 20, 4)], rel=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ["train.amp=bf16", "train.channels_last=true"],
        ["train.amp=fp16"],
        ["train.accumulate=2", "train.ema=null"],
        ["optim.name=sgd", "optim.schedule=poly", "optim.clip=null"],
        ["train.shard=true"],
    ],
)
@pytest.mark.usefixtures("half_on_a_cpu")
def test_settings_train_and_resume_bit_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    from tests.vol3d.engine.test_resume import assert_equal, at_step

    train(toy(tmp_path, *words), tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        at_step(patch, 5, lambda: 1 // 0)  # type: ignore[arg-type, return-value]
        train(toy(tmp_path, *words, "train.save_every_s=1e-6"), tmp_path / "run", device="cpu")
    train(toy(tmp_path, *words), tmp_path / "run", device="cpu")
    assert_equal(tmp_path / "run", tmp_path / "whole")


def test_a_run_states_the_precision_that_its_device_decided_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for has, amp in ((True, "bf16"), (False, "off")):
        monkeypatch.setattr("vol3d.engine.device.has_bfloat16", lambda device, has=has: has)
        for _ in range(2):  # the second time it has ended
            train(toy(tmp_path, "train.amp=auto"), tmp_path / amp, device="cpu")
        assert checkpoint.load(tmp_path / amp).task.settings.train.amp == amp  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"the run in it has other settings .train.amp: bf16 -> off"):
        train(toy(tmp_path, "train.amp=auto"), tmp_path / "bf16", device="cpu")


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, p, training: x)
    # The size of the logits counts each sample alike, as does the mean of the cross entropy.
    train(toy(tmp_path, "train.batch=6"), tmp_path / "large", device="cpu")
    train(toy(tmp_path, "train.batch=2", "train.accumulate=3"), tmp_path / "small", device="cpu")
    one, other = resume.read(tmp_path / "large"), resume.read(tmp_path / "small")
    assert one and other and one.step == other.step
    for name, value in one.state["model"].items():
        torch.testing.assert_close(value, other.state["model"][name], atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_not_finite_names_step_and_cases(tmp_path: Path) -> None:
    task = toy(tmp_path, "data.fault=nan", "train.save_every_s=1e-6")
    with pytest.raises(Vol3dError, match=r"^step \d, cases .*case_05.*: the loss is not finite; got .*cross_entropy"):
        train(task, tmp_path / "run", device="cpu")
    point = resume.read(tmp_path / "run")  # saved before the bad step, and still sound
    assert point is None or all(torch.isfinite(value).all() for value in point.state["model"].values())


@pytest.fixture
def half_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp16 stays fp16, so that what a GPU does is tested here."""
    monkeypatch.setattr("vol3d.engine.task.suited_precision", lambda amp, device: amp)


def test_a_cpu_takes_what_it_does_well_in_place_of_half_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for has, amp in ((True, "bf16"), (False, "off")):
        monkeypatch.setattr("vol3d.engine.device.has_bfloat16", lambda device, has=has: has)
        with speaking():
            train(toy(tmp_path, "train.amp=fp16"), tmp_path / amp, device="cpu", dry_run=True)
            train(toy(tmp_path, "train.amp=fp16", "train.epochs=1"), tmp_path / amp, device="cpu")
        said = capsys.readouterr().err
        assert said.count(f"is used (train.amp={amp})") == 2 and "trying a step of " in said
        assert checkpoint.load(tmp_path / amp).task.settings.train.amp == amp  # type: ignore[union-attr]
    assert [suited_precision(*one) for one in (("fp16", torch.device("cuda")), ("bf16", torch.device("cpu")))] == [
        *("fp16", "bf16")
    ]


def test_a_slow_step_is_tried_with_one_of_its_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(toy(tmp_path, "train.batch=6"), tmp_path / "run", device="cpu", dry_run=True).summary
    assert whole["cases_tried"] == whole["cases_per_step"] == 6
    monkeypatch.setattr("vol3d.engine.dry_run._SLOW_S", 1e-9)
    words = ("train.batch=3", "train.accumulate=2")
    summary = train(toy(tmp_path, *words), tmp_path / "run", device="cpu", dry_run=True).summary
    assert (summary["cases_tried"], summary["cases_per_step"]) == (1, 6)
    assert summary["seconds_per_step"] > 0 and "in proportion to 1 of its 6 cases" in str(rows(summary))
    assert "with 1 of its 6 cases: a whole step takes more" in " ".join(verdict(summary, tmp_path))

    step = Learner.step

    def no_single_one(self, batches, number, total):  # type: ignore[no-untyped-def]
        batches = list(batches)
        if len(batches[0][0].ids) == 1:
            raise ValueError("Expected more than 1 value per channel when training")
        return step(self, batches, number, total)

    monkeypatch.setattr(Learner, "step", no_single_one)
    summary = train(toy(tmp_path, "train.batch=6"), tmp_path / "run", device="cpu", dry_run=True).summary
    assert summary["cases_tried"] == 6


@pytest.mark.usefixtures("half_on_a_cpu")
def test_an_overflow_of_half_precision_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    loss = ToyModel.loss

    def overflows_twice(self, prediction, targets):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) <= 2:
            prediction = prediction + (prediction - prediction.detach()) * 1e37
        return loss(self, prediction, targets)

    monkeypatch.setattr(ToyModel, "loss", overflows_twice)
    train(toy(tmp_path, "train.amp=fp16"), tmp_path / "run", device="cpu")
    point = resume.read(tmp_path / "run")
    assert point and point.step == 20 and point.state["scaler"]["scale"] < 65536
    assert all(torch.isfinite(value).all() for value in point.state["model"].values())


def test_a_gradient_that_is_not_finite_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # sqrt(0): finite, with an infinite slope
    monkeypatch.setattr(ToyModel, "loss", lambda self, p, t: {"root": (p - p.detach()).abs().sum().sqrt()})
    with pytest.raises(Vol3dError, match=r"step 0, cases .*: the gradient is not finite"):
        train(toy(tmp_path), tmp_path / "run", device="cpu")


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with lock(tmp_path / "run"), pytest.raises(Vol3dError, match="another run is working in this folder"):
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    train(toy(tmp_path), tmp_path / "run", device="cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(Vol3dError, match="/proc/run"):
        train(toy(tmp_path), "/proc/run", device="cpu")
    (tmp_path / "file").touch()
    with pytest.raises(Vol3dError, match="file"):
        train(toy(tmp_path), tmp_path / "file", device="cpu")


def test_an_unknown_device(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such device"):
        train(toy(tmp_path), tmp_path / "run", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            train(toy(tmp_path), tmp_path / "run", device="cuda")


def test_leftovers_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f"{files.TEMPORARY}123-ab.pt").touch()
    train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert not list((tmp_path / "run").glob(f"{files.TEMPORARY}*"))


def test_dry_run_touches_nothing_and_tells_the_size(tmp_path: Path) -> None:
    evaluation = train(toy(tmp_path), tmp_path / "run", device="cpu", dry_run=True)
    assert not (tmp_path / "run").exists()
    summary = evaluation.summary
    assert (summary["training_samples"], summary["steps"], summary["evaluated_cases"]) == (14, 20, 20)
    assert summary["parameters"] == sum(p.numel() for p in toy(tmp_path).model().parameters())
    assert summary["seconds_per_step"] > 0 and summary["mb_peak"] > 0
    json.dumps(summary, allow_nan=False)
    with pytest.raises(Vol3dError, match="not finite"):
        train(toy(tmp_path, "data.fault=nan", "data.samples=6", "train.batch=6"), tmp_path / "x", dry_run=True)


def test_overfit_trains_on_a_few(tmp_path: Path) -> None:
    train(toy(tmp_path), tmp_path / "run", device="cpu", overfit=4)
    point = resume.read(tmp_path / "run")
    assert point and (point.about["samples"], point.about["run"]["overfit"]) == (4, 4)


def test_folds_make_an_ensemble(tmp_path: Path) -> None:
    toy(tmp_path)
    spread = train_folds(tmp_path / "toy.yaml", ["train.epochs=1"], tmp_path / "out", device="cpu")
    assert "3 runs" in str(spread)
    assert len(checkpoint.load(tmp_path / "out").models) == 3
    rows = list(csv.DictReader((tmp_path / "out" / "cases.csv").open()))
    assert len({row["case"] for row in rows}) == 60
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert f"{spread.mean:.3f} ± {spread.deviation:.3f}" in page and 'href="fold2/report.html"' in page


def test_a_dry_run_times_a_slow_case_by_its_first_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.engine.dry_run._SLOW_S", -1.0)
    first = _FirstCase()
    first(0, 3, "a")
    first.windows(0, 4)
    with pytest.raises(Exception, match=r"^$"):
        first.windows(1, 4)
    first.stop()
    assert (first.cases, first.share) == (3, 0.25) and first.seconds > 0
