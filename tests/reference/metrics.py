"""Slow twins of `medical.metrics` and `medical.lesions`: loops over voxels, all distances, all ways to match."""

from __future__ import annotations

from itertools import permutations

import numpy as np


def slow_surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels with a face neighbour that is not in the mask."""

    def inside(voxel: np.ndarray) -> bool:
        return all(0 <= v < n for v, n in zip(voxel, mask.shape, strict=True)) and bool(mask[tuple(voxel)])

    steps = [sign * np.eye(3, dtype=int)[axis] for axis in range(3) for sign in (-1, 1)]
    voxels = [np.array(index) for index in np.ndindex(mask.shape) if mask[index]]
    return [tuple(v) for v in voxels if not all(inside(v + step) for step in steps)]


def slow_nsd(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float], tolerance_mm: float) -> float:
    """The share of both surfaces that is near the other one."""
    distances = slow_distances(a, b, spacing)
    near = np.concatenate([distances.min(1), distances.min(0)]) <= tolerance_mm
    return float(near.mean())


def slow_distances(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Between all voxels of both surfaces, mm."""
    first, second = (np.array(slow_surface(m)) * spacing for m in (a, b))
    return np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))


def slow_hd95(a: np.ndarray, b: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """All distances between both surfaces, the larger directed percentile, mm."""
    distances = slow_distances(a, b, spacing)
    return float(max(np.percentile(distances.min(1), 95), np.percentile(distances.min(0), 95)))


def slow_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Counted voxel by voxel."""
    both = sum(1 for i in np.ndindex(a.shape) if a[i] and b[i])
    total = sum(1 for i in np.ndindex(a.shape) if a[i]) + sum(1 for i in np.ndindex(b.shape) if b[i])
    return 2 * both / total if total else float("nan")


def slow_pieces(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Voxels that touch by a face, an edge or a corner, grown one by one."""
    rest, pieces = {tuple(v) for v in np.argwhere(mask).tolist()}, []
    while rest:
        piece, front = set(), [rest.pop()]
        while front:
            voxel = front.pop()
            piece.add(voxel)
            near = {v for v in rest if max(abs(x - y) for x, y in zip(v, voxel, strict=True)) == 1}
            rest -= near
            front += near
        pieces.append(piece)
    return pieces


def slow_lesions(prediction: np.ndarray, truth: np.ndarray, lesion_iou: float) -> tuple[int, int, int]:
    """Lesions, detected ones, false positives; all ways of matching are tried, so only a few pieces."""
    found, real = slow_pieces(prediction), slow_pieces(truth)
    few, many = sorted((found, real), key=len)
    best = max(
        sum(len(a & b) / len(a | b) >= lesion_iou for a, b in zip(few, order, strict=True))
        for order in permutations(many, len(few))
    )
    return len(real), best, len(found) - best
