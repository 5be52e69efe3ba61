"""The folds of a cross-validation.

Each run has its own folder and goes on by itself where it stopped, so the whole does too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vol3d import files
from vol3d.config import load_task
from vol3d.engine.distributed import processes
from vol3d.engine.loop import train
from vol3d.engine.results import CASES, rows_of_runs, table
from vol3d.engine.task import Evaluation
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


def train_folds(
    path: str | Path, overrides: Sequence[str], out: str | Path, device: str | torch.device | None = None
) -> Spread:
    """Trains each fold of a cross-validation in `out/fold0`, `out/fold1` ...; writes `folds.json`, `cases.csv`.

    The folder `out` then is an ensemble for `vol3d predict`.
    """
    count = load_task(path, overrides).folds()
    if not count:
        raise UsageError("the data set of this configuration has no folds", where="data", do="Leave --folds out.")
    # All are made before the first run starts: the last one must not fail after days.
    tasks = {f"fold{fold}": load_task(path, [*overrides, f"data.fold={fold}"]) for fold in range(count)}
    folder = Path(out)
    with processes(device) as group:
        evaluations = {name: train(task, folder / name, device=device) for name, task in tasks.items()}
        spread = _spread(evaluations)
        if group.is_main:
            files.write_text(folder / CASES, table(rows_of_runs(evaluations)))
            files.write_json(folder / "folds.json", files.plain(asdict(spread)))
        return spread


def _spread(evaluations: dict[str, Evaluation]) -> Spread:
    scores = {name: evaluation.score for name, evaluation in evaluations.items()}
    values = [*scores.values()]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    name = next(iter(evaluations.values())).score_name
    return Spread(name, scores, statistics.fmean(values), deviation, min(values), max(values))
