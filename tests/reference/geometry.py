"""Slow twins of `vol3d.geometry`: polygons by shapely, loops in Python."""

from __future__ import annotations

import numpy as np
import shapely
import torch
from torch import Tensor

from vol3d.geometry import footprint_corners


def footprints(boxes: Tensor) -> np.ndarray:
    """Shapely polygons of the boxes seen from above."""
    return shapely.polygons(footprint_corners(boxes.double()).numpy())


def overlap_bev(first: Tensor, second: Tensor) -> Tensor:
    """Common area of every pair."""
    a, b = footprints(first), footprints(second)
    return torch.from_numpy(shapely.area(shapely.intersection(a[:, None], b[None])).reshape(len(first), len(second)))


def overlap_3d(first: Tensor, second: Tensor) -> Tensor:
    """Common volume of every pair."""
    first, second = first.double(), second.double()
    top = torch.minimum((first[:, 2] + first[:, 5] / 2)[:, None], second[:, 2] + second[:, 5] / 2)
    bottom = torch.maximum((first[:, 2] - first[:, 5] / 2)[:, None], second[:, 2] - second[:, 5] / 2)
    return overlap_bev(first, second) * (top - bottom).clamp(min=0)


def hull_area(first: Tensor, second: Tensor) -> Tensor:
    """Area of the convex hull of each pair of footprints, first[i] with second[i]."""
    pairs = zip(footprints(first), footprints(second), strict=True)
    return torch.tensor([shapely.MultiPolygon([a, b]).convex_hull.area for a, b in pairs], dtype=torch.float64)


def greedy_nms(iou: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Indices that stay, best first, ties by index."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-float(scores[i]), i)):
        if all(float(iou[j, i]) <= threshold for j in kept):
            kept.append(i)
    return kept


def points_in_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """(m, n) mask, one box at a time."""
    rows = []
    for box in boxes.double():
        away = points[:, :3].double() - box[:3]
        turn = torch.tensor([[box[6].cos(), -box[6].sin()], [box[6].sin(), box[6].cos()]], dtype=torch.float64)
        local = torch.cat((away[:, :2] @ turn, away[:, 2:]), dim=1)
        rows.append((local.abs() <= box[3:6] / 2).all(dim=1))
    return torch.stack(rows) if rows else torch.zeros(0, len(points), dtype=torch.bool)
