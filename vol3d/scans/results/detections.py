"""Objects found in, or annotated for, one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes with a class and a score each.

    Args:
        boxes: (N, 7) or (N, 9) float32 `x y z l w h yaw [vx vy]`: gravity centre and full sizes (l along the heading)
            in metres, yaw in radians counter-clockwise from +x with z up, velocity in metres a second.
        scores: (N,) float32 in [0, 1]; ones for annotations.
        labels: (N,) int64, `class_names[label]`.
        class_names: names of all classes, in the order of the labels.
        frame: what the coordinates refer to: `scan` (the input's own axes turned z up), `lidar`, `aligned` ...

    >>> boxes, scores, labels = np.array([[0, 0, 0, 4, 2, 2, 0.0]]), np.array([0.9]), np.array([1])
    >>> Detections(boxes, scores, labels, ("car", "bus")).names()
    ['bus']
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    frame: str = "scan"

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.ndim != 2 or self.boxes.shape[1] not in (7, 9):
            raise ValueError(f"boxes must be (N, 7) or (N, 9), got {self.boxes.shape}")
        if self.scores.shape != (n,) or self.labels.shape != (n,):
            got = f"{self.scores.shape} scores and {self.labels.shape} labels"
            raise ValueError(f"{n} boxes need ({n},) scores and labels, got {got}")
        if n and (self.labels.min() < 0 or self.labels.max() >= len(self.class_names)):
            raise ValueError(f"labels must be 0 to {len(self.class_names) - 1}, got up to {self.labels.max()}")

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, keep: np.ndarray) -> Detections:
        """Those at the indices, or under the boolean mask, `keep`."""
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep], self.class_names, self.frame)

    def of_classes(self, class_names: Sequence[str]) -> Detections:
        """Those of the named classes, numbered in this order; a name without any is fine.

        >>> boxes, scores = np.zeros((2, 7)), np.ones(2)
        >>> Detections(boxes, scores, np.array([0, 1]), ("car", "bus")).of_classes(["tram", "bus"]).labels.tolist()
        [1]
        """
        names = tuple(class_names)
        if names == tuple(self.class_names):
            return self
        numbers = np.array([names.index(name) if name in names else -1 for name in self.class_names], np.int64)
        labels = numbers[self.labels]
        kept = labels >= 0
        return Detections(self.boxes[kept], self.scores[kept], labels[kept], names, self.frame)

    def names(self) -> list[str]:
        """The class name of each box."""
        return [self.class_names[label] for label in self.labels]
