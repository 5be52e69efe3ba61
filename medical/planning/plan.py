"""A data set's fingerprint -> a recipe with a comment on each line: which number it came from.

The rules are nnU-Net's (Isensee et al., Nature Methods 2021; the residual encoder: MICCAI 2024): spacing, window,
batch, halvings and scale of intensities follow from the scans, the rest is fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medical.classes import Classes
from medical.datasets.cases import DataSplit
from medical.datasets.folds import DatasetSettings
from medical.datasets.regions import tumour_regions
from medical.datasets.stats import stats
from medical.inference import low_precision
from medical.planning.lines import data_lines, network_lines, scan_lines, training_lines
from medical.planning.network import Budget, Name, Network, Scans, plan_network
from vol3d.config.commented import Line
from vol3d.dataset_tools.draft import Recipe
from vol3d.errors import DataError, UsageError
from vol3d.memory import free_memory
from vol3d.terminal import Progress

NETWORKS: tuple[Name, ...] = ("residual_unet", "unetr")
_OF_DEVICE = 0.9  # of a GPU's free memory: the rest is its allocator's


@dataclass(frozen=True)
class Facts:
    """The data set as the plan sees it.

    Args:
        data: its settings, with the fold that validates.
        split: its cases.
        fingerprint: of `stats`.
        classes: what the network's outputs stand for.
        scans: spacing and sizes.
        published: whether the data set itself says which cases validate.
    """

    data: DatasetSettings
    split: DataSplit
    fingerprint: dict[str, Any]
    classes: Classes
    scans: Scans
    published: bool


def plan(
    data: DatasetSettings,
    name: str,
    memory: int | None,
    hours: float,
    device: torch.device,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Recipe:
    """The recipe for a data set.

    Args:
        name: of the network, one of `NETWORKS`.
        memory: bytes of a training step; None measures what is free.
        hours: that the training of one fold may take; its steps are timed on this machine.

    Raises:
        UsageError: no such network, too little memory, or fewer than two labelled cases.
        DataError: the data set has errors that listing it shows, or no case can be read.
    """
    known = next((one for one in NETWORKS if one == name), None)
    if known is None:
        raise UsageError(
            "no network that is planned", where="--model", got=name, wanted=f"one of {', '.join(NETWORKS)}"
        )
    facts = _facts(data, workers, progress)
    # In low precision only where the device has it; a GPU before that has fp16.
    amp = "bf16" if low_precision("auto", device) else "fp16" if device.type == "cuda" else "off"
    budget = Budget(memory or _free(device), hours, device, amp)
    network = plan_network(known, facts.scans, budget)
    lines = [
        *network_lines(network, budget),
        *data_lines(facts.data, facts.split, facts.published, facts.classes, facts.fingerprint),
        *scan_lines(facts.fingerprint, network, facts.scans, budget, memory is None),
        *training_lines(network, facts.scans, facts.classes, budget),
    ]
    return Recipe(lines, _header(facts), _summary(facts, network, lines))


def _facts(data: DatasetSettings, workers: int | None, progress: Progress | None) -> Facts:
    split = data.split().require()
    labelled = len(split.labelled)
    if labelled < 2:
        do = "Label another case, or train a shipped recipe with data.fold=all, which validates nothing."
        raise UsageError("one case cannot both train and validate", where=data.root, got=labelled, wanted=2, do=do)
    data, split, published = _folded(data, split, labelled)
    fingerprint = stats(split, workers, progress)
    if not fingerprint["summary"]["volumes"]:
        raise DataError("no labelled case can be read", where=data.root, do="`vol3d data check` lists every fault.")
    spacing = fingerprint["suggestion"]["preprocess"]["spacing_mm"]
    lengths = [np.multiply(case["shape"], case["spacing_mm"]) / spacing for case in fingerprint["cases"]]
    classes = Classes(split.class_names, split.regions) if split.regions else _tumour(split.class_names)
    shape = tuple(float(edge) for edge in np.median(lengths, axis=0))
    scans = Scans(tuple(spacing), shape, len(split.train), len(split.channel_names), classes.outputs)
    return Facts(data, split, fingerprint, classes, scans, published)


def _folded(data: DatasetSettings, split: DataSplit, labelled: int) -> tuple[DatasetSettings, DataSplit, bool]:
    """The data set with a fold, where it publishes none (the last value: whether); what a person chose stays."""
    if data.fold is not None:
        return data, split, False
    folds = min(data.folds, labelled) if isinstance(data.folds, int) else data.folds
    first = data.model_copy(update={"fold": 0, "folds": folds})
    of_first = first.split()
    other = {case.name for case in of_first.validation} != {case.name for case in split.validation}
    return (data, split, True) if other and split.train and split.validation else (first, of_first.require(), False)


def _tumour(names: tuple[str, ...]) -> Classes:
    """With the regions of brain tumours where the classes are theirs, each region with one class more than the next."""
    try:
        return Classes(names, tumour_regions(names))
    except UsageError:
        return Classes(names)


def _free(device: torch.device) -> int:
    """Bytes for a training step: of a GPU nearly all, of main memory half, since the scans take the other half."""
    if device.type == "cuda":
        return int(_OF_DEVICE * torch.cuda.mem_get_info(device)[0])
    return free_memory() // 2


def _header(facts: Facts) -> str:
    summary = facts.fingerprint["summary"]
    shape = " x ".join(f"{edge:.0f}" for edge in summary["shape"]["median"])
    spacing = " x ".join(f"{step:.3g}" for step in summary["spacing_mm"]["median"])
    rows = [
        f"{facts.split.name}: planned by `vol3d plan` from {summary['cases']} scans, {summary['labelled']} labelled.",
        "",
        f"Fingerprint: median {shape} voxels of {spacing} mm (right, front, head); channels "
        f"{', '.join(facts.split.channel_names)}.",
    ]
    if unreadable := facts.fingerprint["unreadable"]:
        rows.append(f"Left out of it, since they cannot be read: {', '.join(one['name'] for one in unreadable)}.")
    voxels = math.prod(facts.scans.shape) * (4 * facts.scans.channels + 1)
    need, half = facts.scans.cases * voxels, free_memory() // 2
    if need > half:
        rows += [
            f"In memory the prepared scans take {need / 1e9:.1f} GB; half of what is free is {half / 1e9:.1f} GB:",
            "prepare them once, `vol3d data prepare ... --recipe THIS -o READY`, and add `prepared: READY`.",
        ]
    rows.append("Command: vol3d train THIS; every fold: vol3d train THIS --folds; a first look: --dry-run.")
    return "\n".join(rows)


def _summary(facts: Facts, network: Network, lines: list[Line]) -> list[str]:
    epochs = next(line.value for line in lines if line.key == "train.epochs")
    steps = epochs * math.ceil(facts.scans.cases / network.batch)
    hours = steps * network.seconds / 3600
    window = " x ".join(map(str, network.window))
    return [
        f"{network.model.name}, {network.memory.parameters / 1e6:.1f} M parameters, windows of {window} voxels, "
        f"limited by the {network.limit}",
        f"batch {network.batch}, {network.memory.of(network.batch) / 1e9:.2g} GB a step in float32",
        f"{steps} steps of {network.seconds:.2g} s as measured here: about {hours:.2g} h a fold without evaluations",
    ]
