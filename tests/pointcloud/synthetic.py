"""Small labelled rooms as a folder of clouds, for tests: boxes and pillars on a floor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CLASSES = ("box", "pillar")
SIZES = np.array([[1.0, 1.0, 0.6], [0.4, 0.4, 1.8]])


def room(seed: int, points: int = 1500) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Points (N, 3) and objects: one of each class, apart from each other, and a floor of 4 x 4 m."""
    rng = np.random.default_rng(seed)
    corners = rng.permutation(np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]))[: len(CLASSES)]
    parts, objects = [], []
    for name, size, corner in zip(CLASSES, SIZES, corners, strict=True):
        size = size * rng.uniform(0.9, 1.1, 3)
        center = np.array([*(corner + rng.uniform(-0.3, 0.3, 2)), size[2] / 2])
        parts.append(center + size * rng.uniform(-0.5, 0.5, (points // 3, 3)))
        objects.append({"class": name, "center": center.tolist(), "size": size.tolist(), "yaw": 0.0})
    floor = np.concatenate([rng.uniform(-2, 2, (points // 3, 2)), np.zeros((points // 3, 1))], axis=1)
    return np.concatenate([*parts, floor]).astype(np.float32), objects


def write_rooms(root: Path, train: int = 6, validation: int = 2) -> Path:
    """A folder of rooms with its `boxes.json`; the last ones are for validation."""
    root.mkdir(parents=True)
    scenes = {}
    for number in range(train + validation):
        points, scenes[f"room{number}.npy"] = room(number)
        np.save(root / f"room{number}.npy", points)
    held = list(scenes)[train:]
    content = {"format": 1, "class_names": CLASSES, "scenes": scenes, "validation": held}
    (root / "boxes.json").write_text(json.dumps(content))
    return root
