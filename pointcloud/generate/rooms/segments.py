"""Over-segmentation of a mesh and the annotation on top of it: which segments make which object.

ScanNet's annotators painted segments, so that boxes inherit the segments' faults: a little of the floor sticks to some
objects, a piece of others is missing, and what was hardly seen has no annotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.rooms.furniture import Rng, chance
from pointcloud.generate.rooms.scanning import Scan

CELL = 0.55  # metres: segments of real scans are about as large on furniture, larger on walls
FEWEST_VERTICES = 50  # an object of fewer is not annotated
STUCK, TORN = 0.15, 0.08  # share of objects that floor sticks to, that a piece is missing of
MISSING = 0.12  # the largest part that may be missing
UNNAMED = 0.1  # share of segments of walls, floor and ceiling that nobody annotated


@dataclass(frozen=True)
class Annotated:
    """One object as annotated: its name and its segments."""

    label: str
    segments: tuple[int, ...]


def segment(rng: Rng, scan: Scan) -> tuple[np.ndarray, list[Annotated]]:
    """The segment of each vertex (N,), named by its first vertex, and the annotated objects.

    A segment is a part of one object that faces one way and lies in one cell of space.
    """
    owner = _with_floor_stuck(rng, scan)
    axis = np.argmax(np.abs(scan.normal), axis=1)
    facing = 2 * axis + (scan.normal[np.arange(len(axis)), axis] > 0)
    cell = np.where(np.isin(owner, _large(scan)), 2.5 * CELL, CELL)
    position = np.floor((scan.xyz + 8) / cell[:, None] + rng.random(3)).astype(np.int64)
    key = ((owner * 6 + facing) * 64 + position[:, 0]) * 4096 + position[:, 1] * 64 + position[:, 2]
    _, first, segment_of_vertex = np.unique(key, return_index=True, return_inverse=True)
    named = first[segment_of_vertex]
    return named, _annotate(rng, scan, owner, named)


def _large(scan: Scan) -> np.ndarray:
    return np.flatnonzero([label in ("wall", "floor", "ceiling") for label in scan.labels])


def _with_floor_stuck(rng: Rng, scan: Scan) -> np.ndarray:
    """The piece that each vertex is counted to: floor within some objects' footprints becomes theirs."""
    owner = scan.object_of_vertex.copy()
    floor = np.flatnonzero(owner == scan.labels.index("floor"))
    for number, label in enumerate(scan.labels):
        mine = scan.xyz[scan.object_of_vertex == number]
        if label in ("wall", "floor", "ceiling") or len(mine) < FEWEST_VERTICES or not chance(rng, STUCK):
            continue
        low, high = mine.min(axis=0), mine.max(axis=0)
        if low[2] < 0.1:
            below = (scan.xyz[floor, :2] > low[:2]) & (scan.xyz[floor, :2] < high[:2])
            owner[floor[below.all(axis=1)]] = number
    return owner


def _annotate(rng: Rng, scan: Scan, owner: np.ndarray, segment_of_vertex: np.ndarray) -> list[Annotated]:
    annotated = []
    for number in rng.permutation(len(scan.labels)).tolist():
        label = scan.labels[number]
        segments, sizes = np.unique(segment_of_vertex[owner == number], return_counts=True)
        if not label or sizes.sum() < FEWEST_VERTICES:
            continue
        keep = np.ones(len(segments), bool)
        if label in ("wall", "floor", "ceiling"):
            keep = rng.random(len(segments)) > UNNAMED
        elif chance(rng, TORN):
            small = np.flatnonzero(sizes < MISSING * sizes.sum())
            keep[rng.choice(small, min(1, len(small)), replace=False)] = False
        if keep.any():
            annotated.append(Annotated(label, tuple(segments[keep].tolist())))
    return annotated
