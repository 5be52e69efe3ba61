"""The folds of a cross-validation.

Each run has its own folder and goes on by itself where it stopped, so the whole does too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vol3d import files
from vol3d.checkpoint import resolve
from vol3d.config import load_task
from vol3d.engine.distributed import processes
from vol3d.engine.loop import train
from vol3d.engine.results import CASES, rows_of_runs, table
from vol3d.engine.task import Evaluation, ScoringTask
from vol3d.engine.trained_on import remarks
from vol3d.errors import UsageError
from vol3d.terminal import Progress, say

if TYPE_CHECKING:
    from vol3d.model import Model
    from vol3d.view.theme import Background


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
    """Trains each fold of a cross-validation in `out/fold0`, `out/fold1` ...; then `write_folds`.

    The folder `out` then is an ensemble for `vol3d predict`.
    """
    count = load_task(path, overrides).folds()
    if not count:
        raise UsageError("the data set of this configuration has no folds", where="data", do="Leave --folds out.")
    # All are made before the first run starts: the last one must not fail after days.
    tasks = {f"fold{fold}": load_task(path, [*overrides, f"data.fold={fold}"]) for fold in range(count)}
    folder = Path(out)
    with processes(device) as group:
        evaluations: dict[str, Evaluation] = {}
        for name, task in tasks.items():
            if group.is_main:
                say(f"{folder / name}: {len(evaluations) + 1} of {count} folds")
            evaluations[name] = train(task, folder / name, device=device)
        if group.is_main:
            write_folds(folder, evaluations)
        return _spread(evaluations)


def evaluate_folds(
    where: str | Path,
    root: Path,
    dataset: str | None,
    out: Path | None,
    load: Callable[[str], Model],
    progress: Progress,
    background: Background = "dark",
) -> Spread:
    """Scores the model of each fold on the cases that it was not trained on; writes each, and all, into `out`.

    Args:
        where: a folder of folds, `runs/cv` with `fold0`, `fold1` ...
        root: the data set's folder.
        dataset: its layout; None is as the data that the models were trained on.
        load: makes a model of a run's folder.
        background: of the pictures.

    Raises:
        UsageError: `where` holds no folds, or a model that was not trained on one.
    """
    from vol3d.engine.score import score

    evaluations = {}
    for path in resolve(where):
        name = path.parent.name
        model = load(str(path.parent))
        fold = getattr(model.task.data, "fold", None) if isinstance(model.task, ScoringTask) else None
        if not isinstance(fold, int):
            do = "Leave --folds out, or give the folder that `vol3d train --folds` wrote."
            raise UsageError("this model was not trained on a fold", where=path.parent, do=do)
        place = None if out is None else out / name
        evaluations[name] = score(
            model, root, dataset, fold, "validation", place, None, progress, background=background
        )
        for text in remarks(evaluations[name].summary):
            say(f"note: {name}: {text}")
    if out is not None:
        write_folds(out, evaluations)
    return _spread(evaluations)


def write_folds(folder: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Writes `folds.json`, `cases.csv` and the report of all folds."""
    from vol3d.report.folds import write_folds_report  # the report reads this package's files, so not at the top

    files.write_text(folder / CASES, table(rows_of_runs(evaluations)))
    files.write_json(folder / "folds.json", files.plain(asdict(_spread(evaluations))))
    write_folds_report(folder, evaluations)


def _spread(evaluations: Mapping[str, Evaluation]) -> Spread:
    scores = {name: evaluation.score for name, evaluation in evaluations.items()}
    values = [*scores.values()]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    name = next(iter(evaluations.values())).score_name
    return Spread(name, scores, statistics.fmean(values), deviation, min(values), max(values))
