"""Slow twins of the point operations: loops over NumPy arrays, as the papers say it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def squared(a: NDArray, b: NDArray) -> NDArray:
    """Sum of squared differences over the last axis, added in order."""
    return sum(((a[..., c] - b[..., c]) ** 2 for c in range(a.shape[-1])), np.zeros((), a.dtype))


def farthest_points(points: NDArray, k: int, start: int = 0, skip_near_origin: bool = False) -> list[int]:
    """Eldar 1997: the point farthest from all picks, lowest index among equals. One cloud (N, C)."""
    nearest = np.full(len(points), np.inf, points.dtype)
    if skip_near_origin:
        nearest[squared(points, np.zeros_like(points)) <= 1e-3] = -1
    picks = [start]
    while len(picks) < k:
        nearest = np.minimum(nearest, squared(points, points[picks[-1]]))
        picks.append(int(nearest.argmax()) if nearest.max() >= 0 else 0)
    return picks[:k]


def farthest_by_distances(distances: NDArray, k: int, start: int = 0) -> list[int]:
    """As `farthest_points`, from a matrix of distances (N, N)."""
    picks = [start]
    while len(picks) < k:
        picks.append(int(distances[picks].min(0).argmax()))
    return picks[:k]


def ball(points: NDArray, centers: NDArray, radius: float, k: int) -> tuple[NDArray, NDArray]:
    """First k indices (M, k), -1 behind, and all hits (M,) of one cloud."""
    indices, hits = np.full((len(centers), k), -1), np.zeros(len(centers), int)
    for i, center in enumerate(centers):
        inside = np.flatnonzero(squared(points, center) < np.square(points.dtype.type(radius)))
        hits[i] = len(inside)
        indices[i, : min(k, len(inside))] = inside[:k]
    return indices, hits


def nearest(points: NDArray, queries: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """Distances and indices (M, k), ties by index; infinity and -1 where the cloud has fewer points."""
    distances, indices = np.full((len(queries), k), np.inf, points.dtype), np.full((len(queries), k), -1)
    for i, query in enumerate(queries):
        d = squared(points, query)
        order = np.argsort(d, kind="stable")[:k]
        distances[i, : len(order)], indices[i, : len(order)] = np.sqrt(d[order]), order
    return distances, indices


def voxels(
    points: NDArray, size: tuple, low: tuple, shape: tuple, max_points: int, max_voxels: int
) -> dict[tuple[int, ...], list[int]]:
    """Voxel z y x -> rows of its points, in order of first appearance, first come first served. One cloud (N, C)."""
    kept: dict[tuple[int, ...], list[int]] = {}
    kind = points.dtype.type
    for row, point in enumerate(points):
        cell = tuple(int(np.floor((point[a] - kind(low[a])) / kind(size[a]))) for a in (2, 1, 0))
        if all(0 <= c < n for c, n in zip(cell, shape, strict=True)) and (cell in kept or len(kept) < max_voxels):
            rows = kept.setdefault(cell, [])
            if len(rows) < max_points:
                rows.append(row)
    return kept


def gather(features: Tensor, indices: Tensor) -> Tensor:
    """(B, N, C) at (B, M) -> (B, M, C), zeros for -1."""
    rows = [[f[i] if i >= 0 else f.sum(0) * 0 for i in index] for f, index in zip(features, indices, strict=True)]
    flat = [row for cloud in rows for row in cloud]
    return torch.stack(flat).view(*indices.shape, -1) if flat else features.new_zeros(*indices.shape, features.shape[2])


def scatter(features: Tensor, index: Tensor, size: int, reduce: str) -> Tensor:
    """(N, C) by index (N,) -> (size, C), zeros where nothing falls."""
    empty = features.new_zeros(features.shape[1])
    groups = [features[index == g] for g in range(size)]
    pick = {"sum": lambda g: g.sum(0), "mean": lambda g: g.mean(0), "max": lambda g: g.max(0).values}[reduce]
    return torch.stack([pick(g) if len(g) else empty for g in groups]) if size else features.new_zeros(0, len(empty))


def interpolate(points: Tensor, features: Tensor, queries: Tensor, k: int, power: int) -> Tensor:
    """PointNet++ equation 2 on one cloud: (N, 3), (N, C), (M, 3) -> (M, C)."""
    rows = []
    for query in queries:
        distance = (points - query).square().sum(1).sqrt()
        order = distance.argsort(stable=True)[:k]
        weight = 1 / (distance[order] ** power + 1e-8)
        rows.append((weight / weight.sum()) @ features[order])
    return torch.stack(rows) if rows else features.new_zeros(0, features.shape[1])
