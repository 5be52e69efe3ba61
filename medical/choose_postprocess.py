"""Which classes keep only their largest piece, decided on the validation cases of a cross-validation.

nnU-Net's rule (Isensee et al., Nature Methods 2021): where it raises the mean Dice of a class, and lowers that of none.
Every fold's model segments the cases that it was not trained on, so no case is judged by a model that knows it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from medical.classes import Classes
from medical.datasets.cases import IGNORED
from medical.datasets.pairs import read_pair
from medical.postprocess import PostprocessSettings, postprocess
from medical.task import SegmentationTask
from vol3d import checkpoint
from vol3d.errors import UsageError
from vol3d.scans.volumes.volume import Segmentation
from vol3d.terminal import Progress


@dataclass(frozen=True)
class Counts:
    """Voxels of one case, for each scored class or region; what removing smaller pieces of a class takes from them.

    Args:
        predicted, true, both: (scored,).
        less_predicted, less_both: (classes, scored); the classes' pieces share no voxel, so removals add up.
    """

    predicted: np.ndarray
    true: np.ndarray
    both: np.ndarray
    less_predicted: np.ndarray
    less_both: np.ndarray

    def dice(self, chosen: Sequence[int]) -> np.ndarray:
        """(scored,) after the smaller pieces of the chosen classes are gone; NaN where a class is nowhere."""
        rows = list(chosen)
        both = self.both - self.less_both[rows].sum(axis=0)
        total = self.predicted - self.less_predicted[rows].sum(axis=0) + self.true
        return np.divide(2.0 * both, total, out=np.full(len(both), np.nan), where=total > 0)


@dataclass(frozen=True)
class Choice:
    """What was decided.

    Args:
        classes: that keep only their largest piece from now on.
        scored: names of the classes or regions that Dice was measured of.
        before, after: their mean Dice over the cases, NaN where a class is in no case.
        alone: class -> the mean Dice if only its smaller pieces go.
        cases, folds: how many decided.
    """

    classes: tuple[str, ...]
    scored: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    alone: dict[str, tuple[float, ...]]
    cases: int
    folds: int


def choose_postprocess(
    runs: Path, root: Path | None, device: torch.device, progress: Progress, write: bool = True
) -> Choice:
    """Decides for the run or the folder of folds `runs`, and writes it into its checkpoints once all is decided.

    Where one of these cannot be written, the folds differ, and are no ensemble until this is done again.

    Args:
        root: where the data set lies now; None is where it was trained.
        write: False only decides.

    Raises:
        UsageError: no folder, no model of volumes, or a fold that validates no case.
        DataError: a case cannot be read.
    """
    if not runs.is_dir():  # a shipped model has a name, and stays as it is
        raise UsageError("no such run", where=runs, do="Give the folder of `vol3d train --folds`, or of a run.")
    paths = checkpoint.resolve(runs)
    changes = [] if root is None else [f"data.root={json.dumps(str(root))}"]
    counts: list[Counts] = []
    classes: Classes | None = None
    for path in paths:
        loaded = checkpoint.load(path, device, changes)
        if not isinstance(loaded.task, SegmentationTask):
            raise UsageError("only masks of volumes have pieces", where=path, got=loaded.task.name)
        task = _raw(loaded.task)
        classes = classes or task.classes
        if task.classes != classes:
            raise UsageError("the folds have other classes", where=path, got=task.classes.names, wanted=classes.names)
        counts += _counts_of(task, loaded.models, device, progress, path)
    assert classes is not None  # `resolve` found a file
    choice = decide(counts, classes, len(paths))
    if write:
        for path in paths:
            _write(path, choice.classes)
    return choice


def _raw(task: SegmentationTask) -> SegmentationTask:
    """The task without post-processing."""
    return SegmentationTask(task.settings.model_copy(update={"postprocess": PostprocessSettings()}))


def _counts_of(
    task: SegmentationTask, models: Sequence[nn.Module], device: torch.device, progress: Progress, path: Path
) -> list[Counts]:
    cases = task.split.require().validation
    if not cases:
        do = "Train with folds: `vol3d train RECIPE --folds`."
        raise UsageError("no case validated this model", where=path, got=f"data.fold={task.data.fold}", do=do)
    found = []
    for done, case in enumerate(cases):
        progress(done, len(cases), case.name)
        image, truth = read_pair(case, task.class_names, task.channel_names)
        found.append(count(task.segment(models, image, device), truth.array[0], task.classes))
    return found


def count(found: Segmentation, truth: np.ndarray, classes: Classes) -> Counts:
    """The numbers of one case, from its mask and the truth (i, j, k) on the same grid."""
    known = truth != IGNORED
    scored = [np.isin(np.arange(len(classes.names)), labels) for labels in classes.scored.values()]  # label -> belongs

    def per_scored(where: np.ndarray, of: np.ndarray) -> np.ndarray:
        numbers = np.bincount(of[where], minlength=len(classes.names))
        return np.array([numbers[belongs].sum() for belongs in scored])

    def agreeing(where: np.ndarray) -> np.ndarray:
        labels, real = found.labels[where], truth[where]
        return np.array([np.count_nonzero(belongs[labels] & belongs[real]) for belongs in scored])

    removed = []
    for name in classes.foreground:
        largest = postprocess(found, PostprocessSettings(largest_component=(name,)))
        removed.append(known & (largest.labels != found.labels))
    less = [(per_scored(where, found.labels), agreeing(where)) for where in removed]
    predicted, both = (np.stack(rows) for rows in zip(*less, strict=True))
    return Counts(per_scored(known, found.labels), per_scored(known, truth), agreeing(known), predicted, both)


def decide(counts: Sequence[Counts], classes: Classes, folds: int) -> Choice:
    """Class by class, that of the largest gain first, while some mean rises and none falls."""

    def mean(chosen: Sequence[int]) -> np.ndarray:
        values = np.stack([one.dice(chosen) for one in counts])
        known = np.isfinite(values)
        sums, numbers = np.where(known, values, 0).sum(axis=0), known.sum(axis=0)
        return np.divide(sums, numbers, out=np.full(len(sums), np.nan), where=numbers > 0)

    chosen: list[int] = []
    before = now = mean(chosen)
    while True:
        rises = {}
        for number in set(range(len(classes.foreground))) - set(chosen):
            change = np.nan_to_num(mean([*chosen, number]) - now)
            if change.min() >= 0 and change.max() > 0:
                rises[number] = float(change.sum())
        if not rises:
            break
        chosen.append(max(rises, key=lambda number: rises[number]))
        now = mean(chosen)
    alone = {name: tuple(map(float, mean([n]))) for n, name in enumerate(classes.foreground)}
    names = tuple(name for n, name in enumerate(classes.foreground) if n in chosen)
    scored = tuple(classes.scored)
    return Choice(names, scored, tuple(map(float, before)), tuple(map(float, now)), alone, len(counts), folds)


def _write(path: Path, classes: tuple[str, ...]) -> None:
    """The checkpoint with this post-processing: another model, with another SHA-256."""
    tensors, info = checkpoint.read_checkpoint(path)
    known: dict[str, Any] = {key: value for key, value in info.items() if key != "sha256"}
    settings = known["settings"] | {"postprocess": {"largest_component": list(classes)}}
    checkpoint.write_checkpoint(path, tensors, known | {"settings": settings})
