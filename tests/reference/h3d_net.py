"""Slow twins of H3DNet's geometry: where the faces and edges of a box are, and which points lie on them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import product

from torch import Tensor

from tests.reference.vote_net import holds

Target = tuple[list[float], list[float], int] | None
"""Centre, lengths and label."""


def turned(x: float, y: float, yaw: float) -> tuple[float, float]:
    return x * math.cos(yaw) - y * math.sin(yaw), x * math.sin(yaw) + y * math.cos(yaw)


def mean(places: Iterable[Sequence[float]]) -> list[float]:
    return [statistics.fmean(axis) for axis in zip(*places, strict=True)]


def world(place: Sequence[float], box: Sequence[float]) -> list[float]:
    """Of a place in the frame of a box."""
    a, b = turned(place[0], place[1], box[6])
    return [box[0] + a, box[1] + b, box[2] + place[2]]


def faces_and_edges(box: Sequence[float]) -> list[list[float]]:
    """Centres: above, below, left, right, ahead, behind, then the edges above, below and upright."""
    length, width, height = box[3:6]
    order = [(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)]
    order += [(i, j, k) for k in (1, -1) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    order += [(i, j, 0) for i, j in product((1, -1), (1, -1))]
    return [world((i * length / 2, j * width / 2, k * height / 2), box) for i, j, k in order]


def primitive_targets(
    points: Tensor,
    boxes: Tensor,
    labels: Tensor,
    *,
    face_m: float,
    face_points: int,
    face_variance: float,
    edge_m: float,
    edge_points: int,
) -> list[list[Target]]:
    """For horizontal faces, upright faces and edges: what each point should predict; None where it lies on none."""
    found: list[list[Target]] = [[None] * len(points) for _ in range(3)]
    for box, label in zip(boxes.double(), labels.tolist(), strict=True):
        row = box.tolist()
        x, y, z, *size, yaw = row
        local: dict[int, Sequence[float]] = {}
        for number, point in enumerate(points):
            if holds(box.float(), point):
                px, py, pz = point.double().tolist()
                local[number] = (*turned(px - x, py - y, -yaw), pz - z)
        if not local:
            continue

        distance, near = {}, {}
        for axis, side in product((2, 0, 1), (-1, 1)):
            away = {n: abs(place[axis] - side * size[axis] / 2) for n, place in local.items()}
            distance[axis, side] = away
            near[axis, side] = [n for n in local if away[n] - min(away.values()) < face_m]
        for (axis, side), on in near.items():
            if len(on) <= face_points or statistics.variance(distance[axis, side][n] for n in on) >= face_variance:
                continue
            a, b, c = mean(local[n] for n in on)
            kind, centre, lengths = (0, [0, 0, c], size[:2]) if axis == 2 else (1, [a, b, 0], size[2:])
            for n in on:
                found[kind][n] = (world(centre, row), lengths, label)
        for (axis, side), (other, end) in product(near, distance):
            if axis == other or (axis != 2 and (axis, other) != (0, 1)):
                continue
            on = [n for n in near[axis, side] if distance[other, end][n] < edge_m]
            if len(on) > edge_points:
                middle = mean(local[n] for n in on)
                middle[3 - axis - other] = 0
                for n in on:
                    found[2][n] = (world(middle, row), [], label)
    return found
