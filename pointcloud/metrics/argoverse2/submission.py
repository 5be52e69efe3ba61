"""The file that Argoverse 2's detection benchmark takes: one feather table of all detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.argoverse2 import CATEGORIES, CUBOID, boxes_to_argoverse2
from pointcloud.conventions.feather import Kind, read_feather, write_feather
from pointcloud.metrics.argoverse2.matching import Cuboids
from vol3d.errors import DataError


class SweepDetections(NamedTuple):
    """What was found in one sweep.

    Args:
        log_id: the drive.
        timestamp_ns: when the sweep was taken.
        found: boxes in the frame of the vehicle, with scores.
    """

    log_id: str
    timestamp_ns: int
    found: Cuboids


def write_submission(path: Path, sweeps: Sequence[SweepDetections], class_names: Sequence[str]) -> None:
    """Writes the columns of the cuboids, `score`, `log_id`, `timestamp_ns`, `category`; a row for each detection.

    Raises:
        Vol3dError: pyarrow is not installed, or the file cannot be written.
    """
    counts = [len(sweep.found.labels) for sweep in sweeps]
    boxes = np.concatenate([np.zeros((0, 7)), *(sweep.found.boxes[:, :7] for sweep in sweeps)])
    cuboids = boxes_to_argoverse2(torch.from_numpy(boxes)).numpy()
    labels = np.concatenate([np.zeros(0, np.int64), *(sweep.found.labels for sweep in sweeps)])
    columns: dict[str, np.ndarray | list[str]] = {name: cuboids[:, row] for row, name in enumerate(CUBOID)}
    columns["score"] = np.concatenate([np.zeros(0), *(sweep.found.values for sweep in sweeps)])
    columns["log_id"] = [sweep.log_id for sweep, count in zip(sweeps, counts, strict=True) for _ in range(count)]
    columns["timestamp_ns"] = np.repeat([sweep.timestamp_ns for sweep in sweeps], counts).astype(np.int64)
    columns["category"] = [class_names[label] for label in labels]
    write_feather(path, columns)


def count_submitted(path: Path) -> int:
    """How many detections a submission holds.

    Raises:
        DataError: damaged, a column is missing, a value is not finite, or a category is none of the benchmark's.
        Vol3dError: pyarrow is not installed.
    """
    kinds: dict[str, Kind] = {"log_id": "text", "timestamp_ns": "int64", "category": "text"}
    columns = read_feather(path, kinds | dict.fromkeys((*CUBOID, "score"), "float64"))
    unknown = sorted(set(columns["category"].tolist()) - set(CATEGORIES))
    if unknown:
        raise DataError("categories that the benchmark does not have", where=path, got=", ".join(unknown))
    if not all(np.isfinite(columns[name]).all() for name in (*CUBOID, "score")):
        raise DataError("a detection is not finite", where=path)
    return len(columns["score"])
