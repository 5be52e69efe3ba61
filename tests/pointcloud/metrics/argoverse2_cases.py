"""Synthetic sweeps for the Argoverse 2 benchmark, in its own columns: what its public evaluation was given, too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointcloud.conventions.argoverse2 import CATEGORIES

CLASSES = (15, 14, 3, 1, 25)  # vehicles, pedestrians, bollards, bicycles; wheeled riders are annotated nowhere


class Rows(NamedTuple):
    """A table: cuboids (n, 10) as the official columns, and of each its sweep, category and last column.

    `last` is the score of a detection, the number of interior points of an annotation.
    """

    cuboids: np.ndarray
    sweeps: np.ndarray
    labels: np.ndarray
    last: np.ndarray


def cases(seed: int, sweeps: int = 4) -> tuple[Rows, Rows]:
    """Annotations, and detections around most of them: moved, resized, turned, doubled, far away or nowhere near."""
    rng = np.random.default_rng(seed)
    truth = _annotations(rng, sweeps)
    copies = rng.choice(len(truth.labels), 3 * len(truth.labels))
    cuboids = truth.cuboids[copies].copy()
    cuboids[:, :3] += rng.normal(0, 1, (len(copies), 3)) * rng.choice([0.2, 1.0, 3.0], (len(copies), 1))
    cuboids[:, 3:6] *= rng.uniform(0.6, 1.5, (len(copies), 3))
    yaw = 2 * np.arctan2(cuboids[:, 9], cuboids[:, 6]) + rng.normal(0, 0.7, len(copies))
    cuboids[:, 6], cuboids[:, 9] = np.cos(yaw / 2), np.sin(yaw / 2)
    labels = np.where(rng.random(len(copies)) < 0.1, rng.choice(CLASSES, len(copies)), truth.labels[copies])
    return truth, Rows(cuboids, truth.sweeps[copies], labels, rng.random(len(copies)))


def _annotations(rng: np.random.Generator, sweeps: int) -> Rows:
    """Objects up to 190 m away, many of one class in each sweep, some without a point inside."""
    n = 80 * sweeps
    cuboids = np.zeros((n, 10))
    away, angle = rng.uniform(2, 190, n), rng.uniform(-np.pi, np.pi, n)
    cuboids[:, :3] = np.stack([away * np.cos(angle), away * np.sin(angle), rng.normal(0, 1, n)], axis=1)
    cuboids[:, 3:6] = rng.uniform(0.3, 5, (n, 3))
    yaw = rng.uniform(-np.pi, np.pi, n)
    cuboids[:, 6], cuboids[:, 9] = np.cos(yaw / 2), np.sin(yaw / 2)
    labels = rng.choice(CLASSES[:4], n, p=[0.55, 0.25, 0.15, 0.05])
    return Rows(cuboids, np.repeat(np.arange(sweeps), n // sweeps), labels, rng.integers(0, 4, n))


def name_of(label: int) -> str:
    """The category of a label."""
    return CATEGORIES[label]
