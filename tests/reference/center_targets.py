"""Slow twin of CenterPoint's targets and losses: object by object, cell by cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def radius(length: float, width: float, overlap: float) -> float:
    """CornerNet's radius as code has it."""
    b, area = length + width, length * width
    roots = [
        (b + math.sqrt(b * b - 4 * area * (1 - overlap) / (1 + overlap))) / 2,
        (2 * b + math.sqrt(4 * b * b - 16 * (1 - overlap) * area)) / 2,
        (-2 * overlap * b + math.sqrt(4 * overlap**2 * b * b - 16 * overlap * (overlap - 1) * area)) / 2,
    ]
    return min(roots)


def draw(plane: Tensor, row: int, column: int, reach: int) -> None:
    """Raises a plane to a Gaussian."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            if max(abs(y - row), abs(x - column)) <= reach:
                squared = (y - row) ** 2 + (x - column) ** 2
                value = math.exp(-squared / (2 * ((2 * reach + 1) / 6) ** 2))
                plane[y, x] = max(float(plane[y, x]), value)


def heatmap_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss over every cell of every class."""
    total, positives = torch.zeros(()), 0
    for logit, true in zip(logits.flatten(), target.flatten().tolist(), strict=True):
        p = logit.sigmoid().clamp(1e-4, 1 - 1e-4)
        positives += true == 1
        total = total - ((1 - p) ** 2 * p.log() if true == 1 else p**2 * (1 - true) ** 4 * (1 - p).log())
    return total / max(positives, 1)
