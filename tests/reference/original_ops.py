"""3DETR's operations as a straightforward port to a CPU runs them: right, and the peer in `benchmarks/detection.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vol3d.geometry import footprint_corners
from vol3d.ops.neighbors import Ball

Polygon = list[tuple[float, float]]


def farthest_points(xyz: Tensor, k: int, counts: Sequence[int] | None = None, skip_near_origin: bool = False) -> Tensor:
    """(B, N, 3) -> (B, k): all distances to the last pick anew for each pick, as whole tensors."""
    picks = torch.zeros(len(xyz), k, dtype=torch.int64)
    nearest = torch.full(xyz.shape[:2], 1e10)
    if skip_near_origin:
        nearest[(xyz**2).sum(-1) <= 1e-3] = -1
    for i in range(1, k):
        last = xyz[torch.arange(len(xyz)), picks[:, i - 1]]
        nearest = torch.minimum(nearest, ((xyz - last[:, None]) ** 2).sum(-1))
        picks[:, i] = nearest.argmax(dim=1)
    return picks


def ball(xyz: Tensor, centers: Tensor, radius: float, k: int, counts: object = None, padding: str = "first") -> Ball:
    """(B, M, k) first points within the radius: all pairs, sorted by index; the rest filled with the first hit."""
    squared = ((centers[:, :, None] - xyz[:, None]) ** 2).sum(-1)  # (B, M, N)
    index = torch.arange(xyz.shape[1]).expand_as(squared).clone()
    index[squared >= radius**2] = xyz.shape[1]
    first = index.sort(dim=-1).values[..., :k]
    hits = (squared < radius**2).sum(-1)
    return Ball(torch.where(first == xyz.shape[1], first[..., :1], first), hits)


def clip(subject: Polygon, clipper: Polygon) -> Polygon:
    """Sutherland & Hodgman 1974: the part of a convex polygon inside another, both counter-clockwise."""
    for (ax, ay), (bx, by) in zip(clipper, clipper[1:] + clipper[:1], strict=True):
        kept: Polygon = []
        sides = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for x, y in subject]
        for i, (x, y) in enumerate(subject):
            (px, py), before, here = subject[i - 1], sides[i - 1], sides[i]
            if (before > 0) != (here > 0):
                t = before / (before - here)
                kept.append((px + t * (x - px), py + t * (y - py)))
            if here > 0:
                kept.append((x, y))
        subject = kept
        if not subject:
            return []
    return subject


def area(polygon: Polygon) -> float:
    """Of a polygon, counter-clockwise positive."""
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs) / 2


def overlap_volumes(first: Tensor, second: Tensor) -> np.ndarray:
    """Common volume of every pair, one pair after the other."""
    a, b = ([[tuple(p) for p in one] for one in footprint_corners(x.double()).tolist()] for x in (first, second))
    volumes = np.zeros((len(first), len(second)))
    for i, one in enumerate(first.tolist()):
        for j, other in enumerate(second.tolist()):
            top = min(one[2] + one[5] / 2, other[2] + other[5] / 2)
            height = top - max(one[2] - one[5] / 2, other[2] - other[5] / 2)
            volumes[i, j] = area(clip(a[i], b[j])) * height if height > 0 else 0.0
    return volumes


def match_all(costs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """One problem after the other, layer by layer and scene by scene."""
    return [linear_sum_assignment(cost) for cost in costs]
