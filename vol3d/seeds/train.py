"""Several seeds of one recipe, since one seed's score is not a result: trained, counted and reported.

Each seed has its own folder and goes on by itself where it stopped, so the whole does too, and more seeds can be added
later: those that have ended are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from vol3d import files
from vol3d.config import load_task
from vol3d.dataset_tools.processes import cores
from vol3d.engine.distributed import processes
from vol3d.engine.results import CASES, rows_of_runs, table
from vol3d.errors import UsageError, Vol3dError
from vol3d.seeds.report import write_study_report
from vol3d.seeds.side_by_side import Outcome, side_by_side
from vol3d.seeds.study import SeedStudy, read_study, summary_path
from vol3d.seeds.work import Load, SeedTrainer, SeedWork
from vol3d.terminal import say


def train_seeds(
    path: str | Path,
    overrides: Sequence[str],
    out: str | Path,
    n: int,
    device: str | torch.device | None = None,
    load: Load = load_task,
    jobs: int = 1,
) -> SeedStudy:
    """Trains `n` seeds from the configured one on, in `out/seed0`, `out/seed1` ..., and writes what they found.

    A seed that fails is counted with its reason, and the others are trained; the same call tries it again. Seeds that
    are in the folder already belong to the study. Written are `seeds.json`, `cases.csv` and `report.html`.

    Args:
        jobs: how many are trained side by side, in processes that share the threads of this one; each of them opens
            the training data once. The last digits of a score may depend on the number of threads.

    Raises:
        UsageError: wrong settings or numbers; seeds in the folder that are of another recipe.
        Stopped: the study was asked to stop; what is under way has saved.
        Vol3dError: every seed failed: the reason of the first.
    """
    if n < 1:
        raise UsageError("too few seeds", where="--seeds", got=n, wanted=">= 1")
    work = SeedWork(path, tuple(overrides), Path(out), device, load)
    first = load(path, overrides).settings.train.seed
    seeds = range(first, first + n)
    for seed in seeds:  # the last one must not be refused after days
        work.task(seed)

    with processes(device) as group:
        if jobs != 1:
            _check_jobs(jobs, group.count)
            failed = side_by_side(work, seeds, jobs, _Told(work, n))
        else:
            failed = SeedTrainer(work).attempt_all(seeds, together=group.count > 1, show=group.is_main)
        reasons = {work.name(seed): error for seed, error in failed.items()}
        if len(failed) == n:
            raise Vol3dError(f"all {n} seeds failed, the first one: {failed[first]}", where=out)
        study: SeedStudy = group.share(read_study(work.out, reasons) if group.is_main else None)
        if group.is_main:
            write_study(study)
        return study


def write_study(study: SeedStudy) -> None:
    """Writes the facts, the rows of all cases and the report into the folder of the study."""
    files.write_text(study.folder / CASES, table(rows_of_runs(study.evaluations)))
    files.write_json(summary_path(study.folder), files.plain(study.to_dict()))
    write_study_report(study)


def _check_jobs(jobs: int, processes_of_run: int) -> None:
    if processes_of_run > 1:
        do = "Leave --jobs out, or start one process."
        raise UsageError("seeds side by side are not for torchrun or srun", where="--jobs", got=jobs, do=do)
    if not 1 <= jobs <= cores():
        raise UsageError("not a number of jobs", where="--jobs", got=jobs, wanted=f"1 to {cores()}, the cores")


class _Told:
    """Prints how each seed ended."""

    def __init__(self, work: SeedWork, count: int) -> None:
        self.work, self.count, self.done = work, count, 0

    def __call__(self, seed: int, outcome: Outcome) -> None:
        self.done += 1
        name = self.work.name(seed)
        end = f": {outcome.error}" if outcome.error else ""
        say(f"{name} {outcome.kind}{end} ({self.done} of {self.count})")
