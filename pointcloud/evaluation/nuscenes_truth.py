"""Annotations of nuScenes' samples as its benchmark compares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pointcloud.conventions import NuscenesBoxes
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.evaluation.benchmark import Detect, one_by_one
from pointcloud.evaluation.nuscenes import NuscenesFrame, evaluate_nuscenes
from pointcloud.metrics.nuscenes.boxes import (
    ATTRIBUTES,
    CLASSES,
    NO_ATTRIBUTE,
    NuscenesTruth,
    detections_in_global,
    from_columns,
)
from pointcloud.metrics.nuscenes.submission import LIDAR_ONLY, Submission, read_submission, write_submission
from vol3d.engine.task import Evaluation
from vol3d.scans.results.submission import claim
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background

BICYCLE_RACK = "static_object.bicycle_rack"


def benchmark(
    scenes: Sequence[NuScenesSample],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
) -> Evaluation:
    """NDS; a submission is one JSON file. See `pointcloud.evaluation.benchmark.Benchmark`."""

    def frames() -> Iterator[NuscenesFrame]:
        for sample in one_by_one(scenes, progress):
            cloud, truth = sample.read().cloud, benchmark_truth(sample, class_names)
            yield NuscenesFrame(sample.name, cloud, detect(cloud), truth, sample.global_from_lidar)

    return evaluate_nuscenes(frames(), conditions, pictures, submission, class_names)


def submit(
    scenes: Sequence[NuScenesSample], detect: Detect, class_names: Sequence[str], progress: Progress, path: Path
) -> int:
    """One JSON file with an entry for each sample. See `pointcloud.evaluation.benchmark.Submit`."""
    found = {
        sample.name: detections_in_global(detect(sample.read().cloud), sample.global_from_lidar)
        for sample in one_by_one(scenes, progress)
    }
    claim(path)
    write_submission(path, Submission(LIDAR_ONLY, found))
    return sum(len(boxes) for boxes in read_submission(path, found).results.values())


def benchmark_truth(sample: NuScenesSample, class_names: Sequence[str] = CLASSES) -> NuscenesTruth:
    """All annotated boxes of these of the benchmark's classes in the world, and the bicycle racks."""
    found = sample.annotations()
    columns = (found.translation, found.size_wlh, found.rotation_wxyz, found.velocity)
    boxes = from_columns(NuscenesBoxes(*(torch.from_numpy(column.astype(np.float64)) for column in columns)))
    names = [name if name in class_names else None for name in found.class_names]
    known = np.array([name is not None for name in names], np.bool_)
    attributes = [ATTRIBUTES.index(name) if name in ATTRIBUTES else NO_ATTRIBUTE for name in found.attributes]
    return NuscenesTruth(
        boxes=boxes[known],
        labels=np.array([CLASSES.index(name) for name in names if name is not None], np.int64),
        attributes=np.array(attributes, np.int64)[known],
        points=(found.lidar_points + found.radar_points).astype(np.int64)[known],
        ego_position=sample.ego_xyz.astype(np.float64),
        bicycle_racks=boxes[np.array(found.categories, np.str_) == BICYCLE_RACK, :7],
    )
