"""What a network sees of a point besides its place: columns of a cloud, scaled as the papers scale them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud

Feature = Literal["rgb", "height", "intensity", "time", "ring"]
WIDTH = {"rgb": 3, "height": 1, "intensity": 1, "time": 1, "ring": 1}
FLOOR_PERCENT = 0.99
"""VoteNet's and 3DETR's code ask for the percentile 0.99 of z, which is not the 99th."""
MEAN_RGB = np.array([109.8, 97.2, 83.8], dtype=np.float32)
"""Mean colour of ScanNet's training scans, as VoteNet and 3DETR subtract it."""


def width(features: Sequence[Feature]) -> int:
    """Number of columns of these features."""
    return sum(WIDTH[name] for name in features)


def point_features(cloud: PointCloud, features: Sequence[Feature], floor_percent: float = FLOOR_PERCENT) -> np.ndarray:
    """Features of each point, (N, C) float32.

    `rgb` is (colour - mean) / 256, `height` metres above the floor, below which `floor_percent` per cent of the points
    lie, `intensity` as it is in the file, `time` seconds, `ring` the number of the beam.

    Raises:
        DataError: the cloud lacks a column.
    """
    return np.concatenate(
        [np.empty((len(cloud), 0), np.float32), *(_column(cloud, name, floor_percent) for name in features)], axis=1
    )


def height_column(features: Sequence[Feature]) -> int | None:
    """Which column is a height and grows with the scene; None if none is."""
    return width(features[: features.index("height")]) if "height" in features else None


def did_you_mean(name: Feature, columns: Iterable[str]) -> str:
    """A question about a column that is called almost like a feature that is missing; empty without one."""
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.75)
    return f"Did you mean '{name}' by the column '{near[0]}'?" if near else ""


def _column(cloud: PointCloud, name: Feature, floor_percent: float) -> np.ndarray:
    if name == "height":
        floor = np.percentile(cloud.xyz[:, 2], floor_percent) if len(cloud) else 0.0
        return (cloud.xyz[:, 2:] - floor).astype(np.float32)
    if name not in cloud.columns:
        raise DataError(
            f"the points have no {name}",
            where=cloud.source,
            got=", ".join(cloud.columns) or "coordinates only",
            wanted=name,
            do=did_you_mean(name, cloud.columns) or "Use a model that was trained without it, or a file that has it.",
        )
    values = cloud.columns[name].astype(np.float32).reshape(len(cloud), WIDTH[name])
    return (values - MEAN_RGB) / 256 if name == "rgb" else values
