"""How a room stands: the turn about z that lays its walls along the axes, as ScanNet's alignment does by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from vol3d.geometry import transform_boxes
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

BIN_M = 0.05
COARSE = np.radians(np.arange(-45, 45, 1.0))
FINE = np.radians(np.arange(-1, 1.01, 0.1))
CLEAR = 1.15
"""How much sharper the walls must be at the angle that is found than at a middling one."""


def wall_angle(xyz: np.ndarray, points: int = 20_000) -> float | None:
    """The angle in radians, -pi/4 to pi/4, by which a turn lays walls along x and y; None if there is no clear one.

    Walls seen along their direction fall into few bins of a histogram, so the sum of the squared counts over bins of
    x and of y is largest when they lie along the axes.

    Args:
        xyz: (N, 3) metres, z up.
        points: the most that are used, evenly spread over the rows.
    """
    if len(xyz) < 100:
        return None
    flat = np.asarray(xyz[:: max(1, len(xyz) // points), :2], np.float64)
    flat = np.ascontiguousarray((flat - flat.mean(axis=0)).T)  # rows of x and of y: reductions along rows are fast
    scores = np.array([_sharpness(flat, angle) for angle in COARSE])
    if scores.max() < CLEAR * np.median(scores):
        return None
    near = COARSE[scores.argmax()] + FINE
    angle = near[np.argmax([_sharpness(flat, angle) for angle in near])]
    return float((angle + math.pi / 4) % (math.pi / 2) - math.pi / 4)


def turned_cloud(cloud: PointCloud, angle: float) -> PointCloud:
    """The points turned counter-clockwise about z by `angle` radians."""
    rotation = turn_about_z(angle)[:3, :3].astype(np.float32)
    return replace(cloud, xyz=cloud.xyz @ rotation.T)


def turned(found: Detections, angle: float) -> Detections:
    """The boxes turned counter-clockwise about z by `angle` radians."""
    boxes = transform_boxes(torch.from_numpy(found.boxes), torch.from_numpy(turn_about_z(angle)).float())
    return replace(found, boxes=boxes.numpy())


def turn_about_z(angle: float) -> np.ndarray:
    """The rigid motion (4, 4), float64, that turns counter-clockwise by `angle` radians."""
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return matrix


def _sharpness(flat: np.ndarray, angle: float) -> float:
    """Of points (2, N)."""
    turned = turn_about_z(angle)[:2, :2] @ flat
    bins = ((turned - turned.min(axis=1, keepdims=True)) / BIN_M).astype(np.int64)  # not below zero: the floor
    bins = np.minimum(bins, 100_000)  # a cloud of kilometres must not ask for gigabytes of bins
    return float(sum((np.bincount(row).astype(np.float64) ** 2).sum() for row in bins))
