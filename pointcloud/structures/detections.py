"""Boxes on the device that found them, handed over to a person."""

from __future__ import annotations

from torch import Tensor

from vol3d.scans.results.detections import Detections


def to_detections(boxes: Tensor, scores: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> Detections:
    """Tensors as what a user gets."""
    table, values, classes = (t.detach().cpu().numpy() for t in (boxes, scores, labels))
    return Detections(table, values, classes, class_names, "lidar")
