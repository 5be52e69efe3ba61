"""What a model folder of nnU-Net holds, for a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medical.nnunet.folder import PLANS, ModelFolder, open_folder
from medical.nnunet.plans import read_plans


def card(folder: Path) -> dict[str, Any]:
    """The model in a folder, see `vol3d.foreign.Card`. Lengths are in the network's order of the axes.

    Raises:
        UsageError: several models in the folder.
        CheckpointError: no plans, or plans that are not known.
    """
    opened = open_folder(folder)
    opened.weights(None)  # raises where there are none
    plans = read_plans(opened.plans, opened.path / PLANS, _configuration(opened), len(opened.channels))
    labels, unfinished = opened.labels, opened.without_weights()
    about: dict[str, Any] = {
        "dataset": plans.dataset,
        "configuration": plans.configuration,
        "network": {"plain": "plain U-Net", "residual": "residual-encoder U-Net"}[plans.architecture.kind],
        "channels": list(opened.channels),
        "classes": list(labels.names),
        "regions": None if labels.regions is None else list(labels.regions),
        "folds": [fold for fold in opened.folds if fold not in unfinished],
        "patch": list(plans.patch),
        "spacing_mm": list(plans.spacing_mm),
        "transpose": list(plans.transpose),
        "normalisation": list(plans.schemes),
        "previous_stage": plans.previous,
        "orientation": plans.orientation or "as stored in the file",
    }
    return {key: value for key, value in about.items() if value is not None}


def _configuration(folder: ModelFolder) -> str:
    """By the folder's name or the plan's only one, else what the first file of weights says."""
    known = folder.plans.get("configurations")
    named = folder.path.absolute().name.rpartition("__")[2]
    if isinstance(known, dict) and (named in known or len(known) == 1):
        return named if named in known else next(iter(known))
    from medical.nnunet.weights import read_checkpoint

    return read_checkpoint(folder.weights(None)[0]).configuration
