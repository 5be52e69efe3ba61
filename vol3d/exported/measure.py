"""How far an exported network is from the original: in numbers of the network, in results, in scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vol3d.engine.inputs import find_source
from vol3d.engine.score import score
from vol3d.exported.part import Exporter, Part, Run
from vol3d.exported.trace import as_tuple
from vol3d.geometry import iou_3d
from vol3d.model import Model
from vol3d.prediction import BoxPrediction, MaskPrediction, Prediction
from vol3d.scans.results.detections import Detections

RANDOM = "random input"
SAME_BOX_IOU = 0.5


class Compared:
    """Runs both, keeps the largest difference, and gives what the exported one says.

    Args:
        original: the part of the model.
        run: what it became.
    """

    def __init__(self, original: nn.Module, run: Run) -> None:
        self.original, self.run = original, run
        self.largest = self.scale = 0.0

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.run(*inputs)
        with torch.no_grad():
            wanted = as_tuple(self.original(*inputs))
        for one, other in zip(found, wanted, strict=True):
            if one.shape != other.shape:
                raise ValueError(f"the exported network gives {tuple(one.shape)} for {tuple(other.shape)}")
            self.largest = max(self.largest, float((one - other).abs().nan_to_num(torch.inf).max()))
            self.scale = max(self.scale, float(other.abs().max()))
        return found

    def row(self, on: str) -> dict[str, Any]:
        """The largest difference of any output, beside the largest output of the original."""
        return {"on": on, "largest": self.largest, "largest_output": self.scale}


def on_random(part: Part, run: Run) -> dict[str, Any]:
    """The difference on the example of the part: random numbers or points, of a fixed seed."""
    both = Compared(part.module, run)
    both(*part.example)
    return both.row(RANDOM)


def on_scan(exporter: Exporter, task: Any, model: nn.Module, part: Part, run: Run, scan: str | Path) -> dict[str, Any]:
    """The differences on a person's scan: of all that the network sees of it, and of the result.

    Raises:
        UsageError: there is no such scan.
        DataError: it cannot be read.
    """
    source, device = find_source(task, scan, None), torch.device("cpu")
    read = task.read(source)
    both = Compared(part.module, run)
    exported = task.predict([exporter.holding(task, both, part.kept).eval()], read, device)
    return both.row(source.path.name) | _between(task.predict([model], read, device), exported)


def on_data(original: Model, exported: Model, root: Path) -> dict[str, Any]:
    """The scores of both on a data set, as `vol3d evaluate` finds them."""
    scores = []
    for model in (original, exported):
        evaluation = score(model, root, None, None, None, None, None, lambda done, total, name: None)
        scores.append((evaluation.score_name, evaluation.score))
    (name, before), (_, after) = scores
    return {"score": name, "original": before, "exported": after, "change": after - before, "data": root.name}


def _between(original: Prediction, exported: Prediction) -> dict[str, Any]:
    if isinstance(original, MaskPrediction) and isinstance(exported, MaskPrediction):
        return masks_between(original.mask, exported.mask, original.class_names)
    assert isinstance(original, BoxPrediction) and isinstance(exported, BoxPrediction)
    return boxes_between(original.detections, exported.detections)


def masks_between(one: np.ndarray, other: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Voxels (i, j, k) whose label differs, and the Dice of each class in either mask, background left out."""
    dice = {}
    for label, name in enumerate(class_names[1:], start=1):
        a, b = one == label, other == label
        if total := int(a.sum()) + int(b.sum()):
            dice[name] = 2 * int((a & b).sum()) / total
    return {"voxels": int(one.size), "voxels_changed": int((one != other).sum()), "dice": dice}


def boxes_between(one: Detections, other: Detections) -> dict[str, Any]:
    """How many boxes there are, and how many of the first the second has.

    A box is there where one of its class overlaps it by an IoU of 0.5; of those, the largest change of a score.
    """
    row: dict[str, Any] = {"boxes": len(one), "boxes_exported": len(other), "boxes_found_again": 0}
    if not len(one) or not len(other):
        return row
    overlap = iou_3d(*(torch.from_numpy(found.boxes[:, :7]).float() for found in (one, other))).numpy()
    overlap[one.labels[:, None] != other.labels[None]] = 0
    index = overlap.argmax(axis=1)
    there = overlap.max(axis=1) >= SAME_BOX_IOU
    row["boxes_found_again"] = int(there.sum())
    if there.any():
        row["largest_score_change"] = float(np.abs(one.scores - other.scores[index])[there].max())
    return row
