"""Slow twin of anchor matching: anchor by anchor, object by object."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def footprint(box: Tensor) -> tuple[float, float, float, float]:
    """Lowest and highest x and y of a box turned to the nearest axis."""
    x, y, l, w, yaw = (float(box[i]) for i in (0, 1, 3, 4, 6))  # noqa: E741
    if abs((yaw + math.pi / 2) % math.pi - math.pi / 2) > math.pi / 4:
        l, w = w, l  # noqa: E741
    return x - l / 2, x + l / 2, y - w / 2, y + w / 2


def overlap(first: Tensor, second: Tensor) -> float:
    """IoU of two footprints."""
    a, b = footprint(first), footprint(second)
    dx, dy = min(a[1], b[1]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[2], b[2])
    common = max(dx, 0) * max(dy, 0)
    areas = [(f[1] - f[0]) * (f[3] - f[2]) for f in (a, b)]
    return common / (sum(areas) - common)


def matches(anchors: Tensor, boxes: Tensor, positive: float, negative: float) -> list[int | None]:
    """Object of each anchor, -1 for background, None where it is ignored."""
    table = torch.tensor([[overlap(anchor, box) for box in boxes] for anchor in anchors], dtype=torch.float64)
    found: list[int | None] = []
    for row in table:
        chosen = any(row[k] > 0 and row[k] >= table[:, k].max() - 1e-9 for k in range(len(boxes)))
        best = float(row.max())
        found.append(int(row.argmax()) if chosen or best >= positive else -1 if best < negative else None)
    return found
