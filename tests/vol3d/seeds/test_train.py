"""Several seeds: shared data, failures that are counted, more seeds later, side by side, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from tests.vol3d.engine.toy import ToyModel, ToyTask, toy
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine import resume
from vol3d.engine.stop import Stopped  # noqa: F401 (the study that is stopped)
from vol3d.engine.task import TrainingTask
from vol3d.errors import UsageError, Vol3dError
from vol3d.seeds.study import SeedStudy, read_study
from vol3d.seeds.train import train_seeds
from vol3d.seeds.work import Load

SHORT = ["train.epochs=1", "train.seed=5"]


def load(path: str | Path, overrides: Sequence[str]) -> TrainingTask:
    """The toy, in a process that starts afresh too."""
    from tests.vol3d.engine.toy import register

    register()
    return load_task(path, overrides)


def load_diverging(path: str | Path, overrides: Sequence[str]) -> TrainingTask:
    """As `load`; the loss of seed 6 is NaN."""
    task = load(path, overrides)
    if task.settings.train.seed == 6:
        task.model = lambda: Diverging(task.settings.model, 2)  # type: ignore[method-assign]
    return task


class Diverging(ToyModel):
    def loss(self, prediction: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"cross_entropy": prediction.sum() * math.nan}


def load_killing(path: str | Path, overrides: Sequence[str]) -> TrainingTask:
    """As `load`; seed 6 kills the process that builds its model."""
    task = load(path, overrides)
    if task.settings.train.seed == 6:
        task.model = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    return task


def seeds(folder: Path, n: int, *overrides: str, jobs: int = 1, out: str = "out", load: Load = load) -> SeedStudy:
    toy(folder)
    return train_seeds(folder / "toy.yaml", [*SHORT, *overrides], folder / out, n, "cpu", load, jobs)


def test_seeds_report_their_spread(tmp_path: Path) -> None:
    study = seeds(tmp_path, 3)
    assert list(study.scores) == ["seed5", "seed6", "seed7"] and len(set(study.scores.values())) == 3
    assert study.values.min() <= study.mean <= study.values.max() and study.deviation
    stored = json.loads((tmp_path / "out/seeds.json").read_text())
    assert stored["mean"] == study.mean and stored["scores"] == study.scores
    assert [band["epoch"] for band in stored["epochs"]] == [1] and stored["epochs"][0]["seeds"] == 3
    assert stored["epochs"][0]["mean"] == pytest.approx(study.mean, rel=1e-6)
    rows = list(csv.DictReader((tmp_path / "out/cases.csv").open()))
    assert {row["run"] for row in rows} == {*study.scores} and len(rows) == 60
    assert seeds(tmp_path, 3) == study
    with pytest.raises(UsageError, match="too few seeds"):
        seeds(tmp_path, 0)


def test_more_seeds_later_train_only_the_new_ones(tmp_path: Path) -> None:
    seeds(tmp_path, 2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("seed*/last.pt")}
    study = seeds(tmp_path, 4)
    assert list(study.scores) == ["seed5", "seed6", "seed7", "seed8"]
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in before.items())
    assert list(seeds(tmp_path, 1).scores) == [*study.scores], "seeds that are there already are not left out"


def test_the_training_data_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    samples = ToyTask.samples
    monkeypatch.setattr(ToyTask, "samples", lambda self, *how: opened.append(1) or samples(self, *how))
    together = seeds(tmp_path, 3).scores
    assert opened == [1]
    alone = seeds(tmp_path, 1, "train.seed=7", out="alone").scores
    assert alone["seed7"] == together["seed7"], "to the bit"


def test_a_failed_seed_is_counted_and_tried_again(tmp_path: Path) -> None:
    study = seeds(tmp_path, 3, load=load_diverging)
    assert list(study.scores) == ["seed5", "seed7"] and "the loss is not finite" in study.failed["seed6"]
    assert "2 runs" in str(study) and "1 without a score: seed6" in str(study)
    assert "seed6</b>: step 0" in (tmp_path / "out/report.html").read_text()
    assert read_study(tmp_path / "out").failed == study.failed, "seeds.json keeps the reason"
    assert list(seeds(tmp_path, 1).failed) == ["seed6"], "it is not forgotten where fewer are asked for"
    assert not seeds(tmp_path, 3).failed and len(read_study(tmp_path / "out").scores) == 3


def test_every_seed_fails(tmp_path: Path) -> None:
    with pytest.raises(Vol3dError, match=r"all 2 seeds failed, the first one: .*Copy it again"):
        seeds(tmp_path, 2, "data.fault=data_error")
    assert not (tmp_path / "out/seeds.json").exists()


def test_seeds_of_another_recipe_are_refused(tmp_path: Path) -> None:
    seeds(tmp_path, 1)
    with pytest.raises(UsageError, match=r"differ in more than their numbers; got optim\.lr: 0\.01 -> 0.02"):
        seeds(tmp_path, 1, "train.seed=8", "optim.lr=2e-2")


def test_side_by_side_is_as_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.seeds.train.cores", lambda: 4)
    one = seeds(tmp_path, 3)
    two = seeds(tmp_path, 3, jobs=2, out="two", load=load_killing)
    assert two.scores == {name: score for name, score in one.scores.items() if name != "seed6"}
    assert two.curves["seed7"] == one.curves["seed7"]
    assert "its process was ended by signal 9" in two.failed["seed6"]


@pytest.mark.parametrize("jobs", [0, 99999])
def test_jobs_beyond_the_cores(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(UsageError, match="not a number of jobs"):
        seeds(tmp_path, 2, jobs=jobs)


def test_what_is_of_the_user_ends_side_by_side_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.seeds.train.cores", lambda: 4)
    seeds(tmp_path, 2)
    with pytest.raises(UsageError, match="other settings"):
        seeds(tmp_path, 2, "optim.lr=2e-2", jobs=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_that_is_stopped_goes_on(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    toy(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "study.py", str(jobs)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        begun = [tmp_path / f"out/seed{seed}/metrics.csv" for seed in range(jobs)]
        until = time.monotonic() + 100
        while not all(map(_has_a_step, begun)) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 7 and "saved" in said and not (tmp_path / "out/seeds.json").exists()
    points = [resume.read(one.parent) for one in begun]
    assert all(point is not None and 0 < point.step < 3000 for point in points), "each process has saved"


def _has_a_step(metrics: Path) -> bool:
    return metrics.exists() and len(metrics.read_text().splitlines()) > 1


STUDY = """
import sys
import tests.vol3d.seeds.test_train as t
import vol3d.seeds.train as s
if __name__ == "__main__":
    s.cores = lambda: 4
    words = ["train.epochs=600", "data.seconds=0.01", "train.evaluate_every=600"]
    try:
        s.train_seeds("toy.yaml", words, "out", 2, "cpu", t.load, int(sys.argv[1]))
    except t.Stopped as stopped:
        print(stopped)
        sys.exit(7)
"""


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no seed has ended with a score; got no folder of a seed"):
        read_study(tmp_path)
    assert main(["train", "x.yaml", "--jobs", "2"]) == 2
