"""Boxes on the device that found them, handed over to a person."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vol3d.host import fetch
from vol3d.scans.results.detections import Detections


def to_detections(
    boxes: Tensor, scores: Tensor, labels: Tensor, class_names: tuple[str, ...], frame: str = "lidar"
) -> Detections:
    """Tensors as what a user gets; one transfer for all."""
    table, values, classes = (part.numpy() for part in fetch(boxes, scores, labels))
    return Detections(table, values, classes, class_names, frame)


def chosen_detections(
    boxes: Tensor, scores: Tensor, labels: Tensor, chosen: Tensor, class_names: tuple[str, ...]
) -> list[Detections]:
    """For each sample the boxes (B, N, 7 or 9) that are `chosen` (B, N), in their order; one transfer for all."""
    columns = [boxes, *(column.to(boxes.dtype)[..., None] for column in (scores, labels, chosen))]
    tables = fetch(torch.cat(columns, dim=2))[0].numpy()
    found = []
    for table in tables:
        rows = table[table[:, -1] > 0]
        kept, values, classes = np.ascontiguousarray(rows[:, :-3]), rows[:, -3].copy(), rows[:, -2].astype(np.int64)
        found.append(Detections(kept, values, classes, class_names, "lidar"))
    return found
