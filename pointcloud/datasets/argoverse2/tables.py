"""A log's tables: annotated cuboids of each sweep, poses of the vehicle, points of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from pointcloud.conventions.argoverse2 import CATEGORIES, CUBOID, NOT_SCORED, boxes_from_argoverse2
from pointcloud.conventions.feather import Kind, read_feather
from pointcloud.datasets.poses import pose_matrices
from pointcloud.datasets.raw_sweep import only_measured
from vol3d.dataset_tools.fault import listed
from vol3d.errors import DataError
from vol3d.files import require_file

ANNOTATIONS, POSES, SWEEPS = "annotations.feather", "city_SE3_egovehicle.feather", "sensors/lidar"
AGAIN = "Download the log again."
_QUATERNION, _PLACE = ("qw", "qx", "qy", "qz"), ("tx_m", "ty_m", "tz_m")
_POINT: dict[str, Kind] = dict.fromkeys(("x", "y", "z", "intensity", "laser_number"), "float32")
_STAMP: dict[str, Kind] = {"timestamp_ns": "int64"}
_CUBOID: dict[str, Kind] = dict.fromkeys(CUBOID, "float64")
_FACTS: dict[str, Kind] = {"category": "text", "num_interior_pts": "int64"}


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotated boxes in the frame of the vehicle, all that there are: the benchmark itself leaves some out.

    Args:
        boxes: (n, 7) float64.
        categories: (n,) names, of the competition or `NOT_SCORED`.
        points: (n,) int64 LiDAR points inside, as counted by the annotators.
    """

    boxes: np.ndarray
    categories: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        return len(self.points)

    def select(self, keep: np.ndarray) -> Annotations:
        """Those at the indices, or under the boolean mask, `keep`."""
        return Annotations(self.boxes[keep], self.categories[keep], self.points[keep])

    def labels(self, class_names: Sequence[str]) -> np.ndarray:
        """(n,) int64 index of the class; -1 for a category that is none."""
        numbers = {name: label for label, name in enumerate(class_names)}
        return np.array([numbers.get(name, -1) for name in self.categories.tolist()], np.int64)


@dataclass(frozen=True, eq=False)
class LogAnnotations:
    """The annotations of a log.

    Args:
        times_ns: (n,) int64 moment of the sweep of each box, ascending.
        all: the boxes, row for row.
    """

    times_ns: np.ndarray
    all: Annotations

    def at(self, timestamp_ns: int) -> Annotations:
        """The boxes of one sweep."""
        first, last = (int(np.searchsorted(self.times_ns, timestamp_ns, side=side)) for side in ("left", "right"))
        return self.all.select(np.arange(first, last))


def read_annotations(path: Path) -> LogAnnotations:
    """The cuboids of a log; the last few files that were read are kept in memory while they do not change.

    Raises:
        DataError: missing or damaged, an unknown category, an invalid cuboid.
        Vol3dError: pyarrow is not installed.
    """
    found = require_file(path, do=AGAIN).stat()
    return _annotations(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _annotations(path: Path, changed_ns: int, size: int) -> LogAnnotations:
    columns = read_feather(path, _STAMP | _CUBOID | _FACTS)
    unknown = sorted(set(columns["category"].tolist()) - {*CATEGORIES, *NOT_SCORED})
    if unknown:
        wanted = f"one of {len(CATEGORIES) + len(NOT_SCORED)}, such as {listed(CATEGORIES, 3)}"
        raise DataError("an unknown category", where=path, got=listed(unknown), wanted=wanted)

    cuboids = np.stack([columns[name] for name in CUBOID], axis=1)
    sizes = cuboids[:, 3:6]
    odd = ~(np.isfinite(cuboids).all(axis=1) & (sizes > 0).all(axis=1))
    if odd.any():
        got = f"row {int(odd.argmax())}: {cuboids[odd][0].tolist()}"
        raise DataError(f"{int(odd.sum())} cuboids make no sense", where=path, got=got, wanted="finite, sizes above 0")
    try:
        boxes = boxes_from_argoverse2(torch.from_numpy(cuboids)).numpy()
    except DataError as error:
        raise DataError(error.what, where=path, wanted=error.wanted, do=AGAIN) from error

    order = np.argsort(columns["timestamp_ns"], kind="stable")
    whole = Annotations(boxes, columns["category"], columns["num_interior_pts"])
    return LogAnnotations(columns["timestamp_ns"][order], whole.select(order))


def read_poses(path: Path, times_ns: Sequence[int]) -> np.ndarray:
    """`city_from_ego` (n, 4, 4) float64 at these moments, which the table must hold to the nanosecond.

    Raises:
        DataError: missing or damaged, or a moment has no pose.
        Vol3dError: pyarrow is not installed.
    """
    columns = read_feather(path, _STAMP | dict.fromkeys((*_QUATERNION, *_PLACE), "float64"))
    rows = {time_ns: row for row, time_ns in enumerate(columns["timestamp_ns"].tolist())}
    absent = [time_ns for time_ns in times_ns if time_ns not in rows]
    if absent:
        do = "Download the log again, or set data.sweeps to 1, which needs no pose."
        raise DataError(f"{len(absent)} sweeps have no pose", where=path, got=listed(absent), do=do)
    chosen = [rows[time_ns] for time_ns in times_ns]
    place, turn = (np.stack([columns[name][chosen] for name in names], axis=1) for names in (_PLACE, _QUATERNION))
    return pose_matrices(place, turn, path)


def read_points(path: Path) -> np.ndarray:
    """Points (N, 5) float32 x y z intensity laser_number of a sweep; those not finite or beyond measure are left out.

    Raises:
        DataError: missing or damaged.
        Vol3dError: pyarrow is not installed.
    """
    columns = read_feather(path, _POINT)
    return only_measured(np.stack([columns[name] for name in _POINT], axis=1))
