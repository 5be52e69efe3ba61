"""A model folder of nnU-Net v2, opened: plans, networks of all folds, and the previous stage of a cascade."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from medical.nnunet.folder import DATASET, PLANS, ModelFolder, open_folder
from medical.nnunet.plans import Plans, read_plans
from medical.nnunet.predict import Stage
from medical.nnunet.task import AS_STORED, Cascade, NnunetSettings, NnunetTask
from medical.nnunet.weights import Checkpoint, network, read_checkpoint
from vol3d.config import changed
from vol3d.errors import CheckpointError
from vol3d.files import sha256
from vol3d.model import Model
from vol3d.notes import Note

# Trainers of nnU-Net itself, whose network is that of the plan: a variant changes training, or its tensors tell it.
_TRAINER = re.compile(
    r"nnUNetTrainer(_?(BN|NoDeepSupervision|NoMirroring|onlyMirror01|NoDA|DA5\w*|DA(Seg)?Ord0|\d+epochs?|Adam\w*|Adan\w*"
    r"|Vanilla\w*|CE\w*|Dice\w*|Topk\w*|CosAnneal|warmup\w*|noDummy2DDA|probabilisticOversampling\w*|Benchmark\w*))*"
)
_TURNS = "totalsegmentator"
"""TotalSegmentator turns every scan to RAS before its models of nnU-Net see it."""
RAS = "RAS"


def load(folder: Path, device: torch.device, changes: Sequence[str]) -> Model:
    """The model in a folder, see `vol3d.foreign.Load`.

    Raises:
        UsageError: a setting or a fold that does not exist; several models in the folder.
        CheckpointError: no plans, plans that are not known, weights that are damaged or do not fit.
    """
    standard = NnunetSettings()
    settings = changed(standard, changes, str(folder)) if changes else standard
    opened = open_folder(folder)
    stage, notes, info = _stage(opened, settings, device)
    stages: tuple[Stage, ...] = (stage,)
    if stage.plans.previous is not None:
        first = _previous(opened, stage.plans.previous, settings, device)
        stages, notes, info = (first[0], stage), (*first[1], *notes), [*first[2], *info]
        _check_cascade(stages, opened.path)

    turn, about = _turn(settings, stage.plans)
    task = NnunetTask(settings, Cascade(stages, opened.channels, (*notes, *about), turn))
    if settings.mirror is not None:
        task = task.mirrored(settings.mirror)
    known = standard.model_dump(mode="json")
    described = tuple({**one, "settings": known} for one in info)
    return Model(str(folder), task, tuple(stage.networks), device, described)


def _stage(
    folder: ModelFolder, settings: NnunetSettings, device: torch.device
) -> tuple[Stage, tuple[Note, ...], list[dict[str, Any]]]:
    files = folder.weights(settings.folds, settings.checkpoint)
    checkpoints = [read_checkpoint(file) for file in files]
    first = checkpoints[0]
    for other in checkpoints[1:]:
        if other.configuration != first.configuration:
            got, wanted = other.configuration, first.configuration
            raise CheckpointError("folds of other configurations", where=other.path, got=got, wanted=wanted)
    plans = read_plans(folder.plans, folder.path / PLANS, first.configuration, len(folder.channels))
    channels = len(folder.channels) + len(folder.labels.foreground) * (plans.previous is not None)
    networks = [network(plans.architecture, one, channels, folder.labels.outputs).to(device) for one in checkpoints]
    mirror = first.mirror
    if any(axis >= plans.architecture.dimension for axis in mirror):
        raise CheckpointError("mirrored axes that the network does not have", where=first.path, got=mirror)
    stage = Stage(plans, folder.labels, networks, mirror, mirror, settings.step, settings.gaussian)
    read = [*files, folder.path / PLANS, folder.path / DATASET]
    notes = (*_trainer_note(first), *_folds_note(folder, settings))
    return stage, notes, [{"file": str(file), "sha256": sha256(file)} for file in read]


def _previous(
    folder: ModelFolder, name: str, settings: NnunetSettings, device: torch.device
) -> tuple[Stage, tuple[Note, ...], list[dict[str, Any]]]:
    """The first stage of a cascade, from the folder that is named so beside this one.

    Raises:
        CheckpointError: it is not there, or is a cascade itself.
    """
    beside = folder.path.absolute().with_name(f"{folder.path.absolute().name.rpartition('__')[0]}__{name}")
    path = settings.previous or beside
    if not path.is_dir():
        do = f"Put the folder of {name} there, or name it with previous=FOLDER."
        raise CheckpointError("the previous stage of the cascade is not there", where=folder.path, wanted=path, do=do)
    opened = open_folder(path)
    if opened.channels != folder.channels:
        got, wanted = ", ".join(opened.channels), ", ".join(folder.channels)
        raise CheckpointError("the previous stage has other channels", where=path, got=got, wanted=wanted)
    found = _stage(opened, settings.model_copy(update={"folds": None}), device)
    if found[0].plans.previous is not None:
        raise CheckpointError("a cascade of more than two stages", where=path, got=found[0].plans.configuration)
    return found


def _check_cascade(stages: tuple[Stage, ...], path: Path) -> None:
    first, last = stages
    if first.plans.configuration != last.plans.previous or first.labels.values != last.labels.values:
        got = f"{first.plans.configuration}, labels {first.labels.values}"
        wanted = f"{last.plans.previous}, labels {last.labels.values}"
        raise CheckpointError("not the previous stage of the cascade", where=path, got=got, wanted=wanted)


def _turn(settings: NnunetSettings, plans: Plans) -> tuple[str | None, tuple[Note, ...]]:
    """Where the axes of scans are turned to, and whose idea that is."""
    if settings.orientation is not None:
        return (None if settings.orientation == AS_STORED else settings.orientation), ()
    if plans.orientation is None and _TURNS in plans.dataset.casefold():
        text = "scans are turned to {value}, as TotalSegmentator does before nnU-Net; override with orientation"
        return RAS, (Note("orientation-of-totalsegmentator", text, "orientation", RAS, assumed=True),)
    return plans.orientation, ()


def _trainer_note(checkpoint: Checkpoint) -> tuple[Note, ...]:
    if _TRAINER.fullmatch(checkpoint.trainer):
        return ()
    text = "the trainer {value} is none of nnU-Net's own; its network is taken to be that of the plan"
    return (Note("trainer-unknown", text, value=checkpoint.trainer, assumed=True),)


def _folds_note(folder: ModelFolder, settings: NnunetSettings) -> tuple[Note, ...]:
    """Folds that nobody chose and whose training has not ended."""
    absent = folder.without_weights(settings.checkpoint) if settings.folds is None else ()
    if not absent:
        return ()
    names = ", ".join(f"fold_{fold}" for fold in absent)
    text = "left out, without such weights: {value}"
    return (Note("folds-without-weights", text, "folds", names, assumed=True),)
