"""The file that Argoverse 2's detection benchmark takes: one feather table of all detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.argoverse2 import CUBOID, boxes_to_argoverse2
from pointcloud.conventions.feather import write_feather
from pointcloud.metrics.argoverse2.matching import Cuboids


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
