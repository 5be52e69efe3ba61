"""What a detector's loss compares its predictions with, and which annotated boxes it can learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry import check_boxes
from vol3d.geometry.boxes import SIZE, YAW
from vol3d.scans.results.detections import Detections


@dataclass(frozen=True, eq=False)
class BoxTargets:
    """What a detector's loss compares one sample with.

    Args:
        boxes: (K, 7) or (K, 9) float32, the package's convention, in the frame of the sample's points.
        labels: (K,) int64.
        host: the same boxes in the memory of the host, where they came from there.
    """

    boxes: Tensor
    labels: Tensor
    host: BoxTargets | None = None

    def to(self, device: torch.device) -> BoxTargets:
        """The same boxes on `device`; those of the host stay at hand, so that nobody waits to look at them."""
        boxes, labels = (part.to(device, non_blocking=True) for part in (self.boxes, self.labels))
        return BoxTargets(boxes, labels, self.on_host)

    def pin_memory(self) -> BoxTargets:
        """The same boxes in memory from which a GPU takes them without the host: what torch's loader asks for."""
        return BoxTargets(self.boxes.pin_memory(), self.labels.pin_memory())

    @property
    def on_host(self) -> BoxTargets:
        """The same boxes on the CPU."""
        if self.boxes.device.type == "cpu":
            return self
        return BoxTargets(self.boxes.cpu(), self.labels.cpu()) if self.host is None else self.host


def to_targets(truth: Detections) -> BoxTargets:
    """Annotations as tensors."""
    boxes = torch.from_numpy(np.ascontiguousarray(truth.boxes, dtype=np.float32))
    return BoxTargets(boxes, torch.from_numpy(truth.labels.astype(np.int64)))


def check_targets(targets: Sequence[BoxTargets], samples: int, classes: int, turning: bool = True) -> None:
    """Refuses targets that do not belong to a batch of so many samples and so many classes, or cannot be learned.

    They are looked at on the host, so a GPU is not waited for.

    Args:
        turning: whether the model's boxes turn.

    Raises:
        DataError: another number of samples, a class that the model does not have, a box that is not finite (its
            velocity may be) or has no size, or one that turns though the model's do not.
    """
    if len(targets) != samples:
        raise DataError("targets of another batch", where="targets", got=len(targets), wanted=f"{samples} samples")
    for number, target in enumerate(targets):
        try:
            _check(target.on_host, f"targets[{number}]", classes, turning)
        except DataError as error:
            error.index = number
            raise


def _check(target: BoxTargets, where: str, classes: int, turning: bool) -> None:
    labels = target.labels
    _check_sizes(target.boxes, f"{where}.boxes")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        got = f"{int(labels.min())} to {int(labels.max())}"
        raise DataError("a class that the model does not have", where=where, got=got, wanted=f"0 to {classes - 1}")
    if not turning and bool((target.boxes[:, YAW] != 0).any()):
        do = "Set the model's angle_bins to 12, or make the boxes axis-aligned."
        raise DataError("boxes turn, those of the model do not", where=where, got="a yaw other than 0", do=do)


def _check_sizes(boxes: Tensor, where: str) -> None:
    check_boxes(boxes, where)
    empty = (boxes[:, SIZE] <= 0).any(dim=1)
    if bool(empty.any()):
        row = boxes[empty][0, : YAW + 1].tolist()
        raise DataError("a box has no size", where=where, got=row, do="Run vol3d data check.")
