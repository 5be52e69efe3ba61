"""Slow twins of Pillar-OD: point by point and pillar by pillar."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def statistics(points: Tensor, cell_of: list[int], centres: dict[int, Tensor]) -> Tensor:
    """What `ViewPoints.statistics` gives for points (N, 3) in cells with these centres; -1: outside."""
    rows = []
    for point, cell in zip(points, cell_of, strict=True):
        own = points[[n for n, other in enumerate(cell_of) if other == cell and cell >= 0]]
        if cell < 0:
            rows.append(torch.cat([point, point, torch.zeros(1), point, torch.zeros(9), torch.zeros(3)]))
            continue
        mean = own.sum(dim=0) / len(own)
        spread = sum(torch.outer(p - mean, p - mean) for p in own) / len(own)
        parts = [point, point - centres[cell], torch.tensor([float(len(own))]), point - mean, spread.flatten(), mean]
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def interpolate(view: Tensor, x: float, y: float) -> Tensor:
    """A map (C, Y, X) between its cells, whole numbers at their values; beyond them the border's."""
    ny, nx = view.shape[1:]
    x, y = min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0)
    i, j = min(int(x), nx - 2), min(int(y), ny - 2)
    u, v = x - i, y - j
    above = (1 - u) * view[:, j, i] + u * view[:, j, i + 1]
    below = (1 - u) * view[:, j + 1, i] + u * view[:, j + 1, i + 1]
    return (1 - v) * above + v * below


def holds(box: Tensor, x: float, y: float) -> bool:
    """Whether the box holds the place, seen from above."""
    dx, dy, yaw = x - float(box[0]), y - float(box[1]), float(box[6])
    along, across = dx * math.cos(yaw) + dy * math.sin(yaw), dy * math.cos(yaw) - dx * math.sin(yaw)
    return abs(along) <= float(box[3]) / 2 and abs(across) <= float(box[4]) / 2


def losses(
    logits: Tensor, codes: Tensor, boxes: list[Tensor], pillars: list[tuple[float, float]], priors: list[list[float]]
) -> tuple[Tensor, Tensor, int]:
    """Focal loss, smooth L1 of boxes whose yaw is of half a turn, positives, of one sample.

    Args:
        logits: (classes, pillars).
        codes: (classes, 7, pillars).
        boxes: of each class, none of which is too small to hold a pillar.
        pillars: x y of their centres.
        priors: l w h z of each class.
    """
    focal, box_term, positives = torch.zeros(()), torch.zeros(()), 0
    for c, (length, width, height, z) in enumerate(priors):
        for n, (x, y) in enumerate(pillars):
            owner = next((box for box in boxes[c] if holds(box, x, y)), None)
            p = logits[c, n].sigmoid()
            if owner is None:
                focal = focal - 0.75 * p**2 * (1 - p).log()
                continue
            positives += 1
            focal = focal - 0.25 * (1 - p) ** 2 * p.log()
            size = torch.tensor([length, width, height])
            place = (owner[:3] - torch.tensor([x, y, z])) / size
            away = codes[c, :, n] - torch.cat([place, (owner[3:6] / size).log(), owner[6:7]])
            away = torch.cat([away[:6], away[6:].sin()])
            box_term = box_term + F.smooth_l1_loss(away, torch.zeros(7), beta=1 / 9, reduction="sum")
    return focal, box_term, positives
