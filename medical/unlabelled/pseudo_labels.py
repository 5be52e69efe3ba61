"""Pseudo labels: what a trained run finds in scans without labels, where it is sure and two views agree (Lee, 2013)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from medical.datasets.cases import IGNORED
from medical.distortions import GAMMA, NOISE, with_gamma
from medical.segment import average, inference, label_of, probabilities_of, require_finite
from medical.training_set import PreparedCase
from medical.unlabelled.modules import confidence
from medical.unlabelled.settings import UnlabelledSettings
from medical.window import stream
from vol3d import checkpoint
from vol3d.checkpoint import Loaded
from vol3d.errors import CheckpointError
from vol3d.terminal import Progress, say

if TYPE_CHECKING:
    from medical.task import SegmentationTask


def fingerprint(where: str) -> str:
    """The SHA-256 of a teacher's weights; of an ensemble's one after the other."""
    return "+".join(checkpoint.read_info(path)["sha256"] for path in checkpoint.resolve(where))


def teacher_of(task: SegmentationTask, where: str, sha256: str | None, device: torch.device) -> Loaded:
    """The run, or the ensemble, that labels scans for the training `task`, on the device of the training.

    Raises:
        CheckpointError: it is for another task, other classes or channels, or other preprocessing, or has not the
            fingerprint `sha256`.
    """
    if sha256 not in {None, found := fingerprint(where)}:
        do = "Put the old weights back, or leave unlabelled.sha256 out to label with these."
        what = "not the weights that unlabelled.sha256 names"
        raise CheckpointError(what, where=where, got=found, wanted=sha256, do=do)
    loaded = checkpoint.load(where, device)
    other, name = loaded.task, "unlabelled.teacher"
    if other.name != task.name:
        raise CheckpointError("a model of another task", where=name, got=other.name, wanted=task.name)
    other = cast("SegmentationTask", other)
    classes = task.classes if other.classes.is_alike(task.classes, name) else other.classes
    pairs = {
        "classes": (classes, task.classes),
        "channels": (other.channel_names, task.channel_names),
        "preprocessing": (other.settings.preprocess, task.settings.preprocess),
    }
    for what, (got, wanted) in pairs.items():
        if got != wanted:
            raise CheckpointError(f"the teacher has other {what}", where=f"{name}={where}", got=got, wanted=wanted)
    return loaded


def pseudo_labelled(
    cases: Iterable[PreparedCase],
    count: int,
    teacher: Loaded,
    settings: UnlabelledSettings,
    device: torch.device,
    progress: Progress | None = None,
) -> Iterator[PreparedCase]:
    """Each case with the teacher's labels; voxels that it is unsure of are `IGNORED`. Their share is printed.

    Args:
        cases: prepared as the teacher's scans were.
        count: how many there are.
        device: where the teacher works.
    """
    ignored = voxels = 0
    for done, case in enumerate(cases):
        if progress is not None:
            progress(done, count, case.name)
        label = _labels(torch.from_numpy(case.image), teacher, settings, device)
        if settings.agreement:
            again = _labels(_second_view(torch.from_numpy(case.image), done), teacher, settings, device)
            label[again != label] = IGNORED
        ignored, voxels = ignored + int((label == IGNORED).sum()), voxels + label.size
        yield replace(case, label=label[None])
    say(f"note: {count} scans labelled by {settings.teacher}; {ignored / max(voxels, 1):.1%} of their voxels left out")


def _second_view(image: Tensor, number: int) -> Tensor:
    """(c, i, j, k) with the strongest gamma and noise of training: the anatomy, its sides too, stays as it is."""
    drawn = np.random.default_rng([number, image.numel()]).standard_normal(tuple(image.shape), dtype=np.float32)
    return with_gamma(image, GAMMA[1]) + torch.from_numpy(drawn) * (NOISE * image.std())


def _labels(image: Tensor, teacher: Loaded, settings: UnlabelledSettings, device: torch.device) -> np.ndarray:
    """(c, i, j, k) -> uint8 labels (i, j, k) on the same grid."""
    task = cast("SegmentationTask", teacher.task)
    classes, window = task.classes, task.settings.window
    labels = np.zeros(tuple(image.shape[1:]), dtype=np.uint8)
    with inference(teacher.models, device), torch.inference_mode():
        for slab in stream(average(teacher.models, window, classes.outputs), image, window, device):
            for index in range(slab.start, slab.stop):
                logits = slab.scores.select(slab.axis + 1, index - slab.start) / settings.temperature
                require_finite([torch.isfinite(logits).all()])
                found = probabilities_of(logits, classes)  # (a, b, outputs)
                plane = label_of(found, classes)
                plane[confidence(found, -1, classes.regions is not None) < settings.threshold] = IGNORED
                labels[tuple(index if a == slab.axis else slice(None) for a in range(3))] = plane.cpu().numpy()
    return labels
