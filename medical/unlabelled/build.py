"""A training with unlabelled scans: its samples, and the module that is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from medical.datasets.cases import UNUSED
from medical.segmenter import Segmenter
from medical.training_set import PreparedCase, WindowSamples, held_in_memory
from medical.unlabelled.modules import MeanTeacher, PseudoLabelled
from medical.unlabelled.pseudo_labels import pseudo_labelled, teacher_of
from medical.unlabelled.samples import MixedSamples
from medical.unlabelled.scans import prepared_scans, unlabelled_scans
from medical.unlabelled.settings import UnlabelledSettings
from vol3d.errors import DataError
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from medical.task import SegmentationTask


def with_unlabelled(
    task: SegmentationTask,
    labelled: WindowSamples,
    settings: UnlabelledSettings,
    progress: Progress | None,
    device: torch.device,
) -> MixedSamples:
    """The labelled samples of a training with unlabelled ones beside them, prepared in memory.

    Args:
        device: where a teacher labels scans.

    Raises:
        DataError: labels without a class, no unlabelled scan, or one that does not fit the labelled ones.
        CheckpointError: a teacher that does not fit.
    """
    require_classes((labelled.read(name) for name in labelled.names), task.class_names, len(labelled.names))
    sources = unlabelled_scans(task, settings.root)
    cases = prepared_scans(sources, task.channel_names, task.settings.preprocess, task.seen())
    if settings.teacher is not None:
        teacher = teacher_of(task, settings.teacher, settings.sha256, device)
        cases = pseudo_labelled(cases, len(sources), teacher, settings, device, progress)
    read = held_in_memory(cases, len(sources))
    return MixedSamples(labelled, [*map(str, sources)], read, settings.windows, pseudo=settings.teacher is not None)


def require_classes(cases: Iterable[PreparedCase], class_names: Sequence[str], count: int) -> None:
    """Refuses labels that lack a class: few of them would teach the unlabelled scans that it does not exist.

    Raises:
        DataError: names the classes that none of the cases has.
    """
    present = set[int]()
    for case in cases:
        present.update(np.unique(case.label).tolist())
    absent = [name for n, name in enumerate(class_names) if n and n not in present and not name.startswith(UNUSED)]
    if absent:
        what = f"none of the {count} labelled training cases has a voxel of {', '.join(absent)}"
        raise DataError(what, where="data", wanted="each class in at least one", do="Choose other cases in data.folds.")


def module_with_unlabelled(
    trained: nn.Module, segmenter: Segmenter, settings: UnlabelledSettings
) -> PseudoLabelled | MeanTeacher:
    """What is trained: `trained`, which holds the segmenter, and the term of the unlabelled windows."""
    if settings.method == "pseudo_labels":
        return PseudoLabelled(trained, settings)
    return MeanTeacher(trained, segmenter.network, settings, segmenter.regions)
