"""Several runs of one configuration: seeds, since one seed's score is not a result, and folds of a cross-validation.

Each run has its own folder and goes on by itself where it stopped, so the whole does too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vol3d import files
from vol3d.config import load_task
from vol3d.engine.distributed import processes
from vol3d.engine.loop import train
from vol3d.engine.results import CASES, table
from vol3d.engine.task import Evaluation, TrainingTask
from vol3d.errors import UsageError


@dataclass(frozen=True)
class Spread:
    """Scores of several runs.

    Args:
        score_name: what was measured.
        scores: folder of the run -> score.
        mean, minimum, maximum: over the runs.
        deviation: standard deviation of the sample (n - 1), None for a single run.
    """

    score_name: str
    scores: dict[str, float]
    mean: float
    deviation: float | None
    minimum: float
    maximum: float

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        reach = f"({self.minimum:.4f} to {self.maximum:.4f}, {len(self.scores)} runs)"
        return f"{self.score_name} {self.mean:.4f}{deviation} {reach}"


Load = Callable[[str | Path, Sequence[str]], TrainingTask]


def train_seeds(
    path: str | Path,
    overrides: Sequence[str],
    out: str | Path,
    n: int,
    device: str | torch.device | None = None,
    load: Load = load_task,
) -> Spread:
    """Trains with `n` seeds from the configured one on, in `out/seed0`, `out/seed1` ...; writes `seeds.json`."""
    if n < 1:
        raise UsageError("too few seeds", where="--seeds", got=n, wanted=">= 1")
    first = load(path, overrides).settings.train.seed
    tasks = {f"seed{seed}": load(path, [*overrides, f"train.seed={seed}"]) for seed in range(first, first + n)}
    return _train_all(tasks, Path(out), "seeds.json", device)


def train_folds(
    path: str | Path, overrides: Sequence[str], out: str | Path, device: str | torch.device | None = None
) -> Spread:
    """Trains each fold of a cross-validation in `out/fold0`, `out/fold1` ...; writes `folds.json`, `cases.csv`.

    The folder `out` then is an ensemble for `vol3d predict`.
    """
    count = load_task(path, overrides).folds()
    if not count:
        raise UsageError("the data set of this configuration has no folds", where="data", do="Leave --folds out.")
    tasks = {f"fold{fold}": load_task(path, [*overrides, f"data.fold={fold}"]) for fold in range(count)}
    return _train_all(tasks, Path(out), "folds.json", device)


def _train_all(tasks: dict[str, TrainingTask], out: Path, summary: str, device: str | torch.device | None) -> Spread:
    """Trains tasks that were all made before the first run starts: the last one must not fail after days."""
    with processes(device) as group:
        evaluations = {name: train(task, out / name, device=device) for name, task in tasks.items()}
        spread = _spread(evaluations)
        if group.is_main:
            files.write_text(out / CASES, table(_rows(evaluations)))
            files.write_json(out / summary, files.plain(asdict(spread)))
        return spread


def _rows(evaluations: dict[str, Evaluation]) -> list[dict[str, Any]]:
    """The rows of all runs, each with the run's name."""
    return [{"run": name, **row} for name, evaluation in evaluations.items() for row in files.plain(evaluation.rows)]


def _spread(evaluations: dict[str, Evaluation]) -> Spread:
    scores = {name: evaluation.score for name, evaluation in evaluations.items()}
    values = [*scores.values()]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    name = next(iter(evaluations.values())).score_name
    return Spread(name, scores, statistics.fmean(values), deviation, min(values), max(values))
