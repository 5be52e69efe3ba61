"""How sure a model was of each voxel, as files beside the mask: probabilities, and their entropy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vol3d.errors import UsageError
from vol3d.notes import Note
from vol3d.prediction import MaskPrediction
from vol3d.scans.results.own import MAP_MARK
from vol3d.scans.volumes.probabilities import Probabilities, predictive_entropy
from vol3d.scans.volumes.volume import Volume
from vol3d.scans.write import write_nifti


def write_probabilities(prediction: MaskPrediction, path: Path) -> tuple[Note, ...]:
    """(outputs, i, j, k) float32; in NIfTI the outputs are the fourth axis."""
    found = _required(prediction)
    _write(prediction, path, found.array, "probabilities")
    kind = "classes, which add to 1" if found.exclusive else "regions, which may overlap"
    text = f"probabilities of {{outputs}} {kind}: {{value}}"
    return (Note("probabilities", text, value=", ".join(found.names), numbers={"outputs": len(found.names)}),)


def write_entropy(prediction: MaskPrediction, path: Path) -> tuple[Note, ...]:
    """Predictive entropy, see `predictive_entropy`; its largest value is noted."""
    found = _required(prediction)
    entropy = predictive_entropy(found)
    _write(prediction, path, entropy, "predictive entropy, nats")
    bound = np.log(len(found.names)) if found.exclusive else np.log(2)
    text = "predictive entropy in nats: at most {largest:.3g} of {bound:.3g}"
    numbers = {"largest": float(entropy.max(initial=0)), "bound": float(bound)}
    return (Note("predictive-entropy", text, numbers=numbers),)


MAPS = {"probabilities": write_probabilities, "entropy": write_entropy}
"""Formats that need the probabilities of a prediction, and what writes them."""


def _required(prediction: MaskPrediction) -> Probabilities:
    if prediction.probabilities is None:
        raise UsageError("this model gives no probabilities", where="--probabilities, --entropy")
    return prediction.probabilities


def _write(prediction: MaskPrediction, path: Path, array: np.ndarray, what: str) -> None:
    write_nifti(path, Volume(array, prediction.volume.grid, prediction.volume.source), f"{MAP_MARK}: {what}")
