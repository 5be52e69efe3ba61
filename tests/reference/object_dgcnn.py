"""Slow twins of Object DGCNN's parts, in loops."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bilinear(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Value (d,) of a map (height, width, d) at a place in [0, 1]; zeros outside."""
    height, width = image.shape[:2]
    column, row = x * width - 0.5, y * height - 0.5
    left, top = math.floor(column.item()), math.floor(row.item())
    total = torch.zeros_like(image[0, 0])
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:
                total = total + image[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


def sample_maps(values: Tensor, sizes: list[tuple[int, int]], places: Tensor, weights: Tensor) -> Tensor:
    """Equation 3 of Deformable DETR for values that are projected already."""
    batch, queries, heads, _, points = weights.shape
    rows = []
    for b in range(batch):
        for q in range(queries):
            for head in range(heads):
                total, first = torch.zeros_like(values[b, 0, head]), 0
                for level, (height, width) in enumerate(sizes):
                    image = values[b, first : first + height * width, head].unflatten(0, (height, width))
                    first += height * width
                    for p in range(points):
                        x, y = places[b, q, head, level, p]
                        total = total + weights[b, q, head, level, p] * bilinear(image, x, y)
                rows.append(total)
    return torch.stack(rows).view(batch, queries, -1)


def edge_convolution(x: Tensor, weight: Tensor, norm: dict[str, Tensor], count: int, farthest: bool) -> Tensor:
    """One sample (N, W): pairs joined as neighbour and query, mapped, normalised with stored statistics, maximum."""
    out = []
    for query in x:
        distance = [(query - other).square().sum().item() for other in x]
        near = sorted(range(len(x)), key=lambda j: distance[j], reverse=farthest)[:count]
        edges = torch.stack([weight @ torch.cat([x[j], query]) for j in near])
        edges = (edges - norm["running_mean"]) / (norm["running_var"] + 1e-5).sqrt() * norm["weight"] + norm["bias"]
        out.append(edges.relu().max(0).values)
    return torch.stack(out)
