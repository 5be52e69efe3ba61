"""Annotations of nuScenes' samples as its benchmark compares them."""

from __future__ import annotations

import numpy as np
import torch

from pointcloud.conventions import NuscenesBoxes
from pointcloud.datasets.nuscenes.sample import NuScenesSample
from pointcloud.metrics.nuscenes.boxes import ATTRIBUTES, CLASSES, NO_ATTRIBUTE, NuscenesTruth, from_columns

BICYCLE_RACK = "static_object.bicycle_rack"


def benchmark_truth(sample: NuScenesSample) -> NuscenesTruth:
    """All annotated boxes of the benchmark's classes in the world, and the bicycle racks."""
    found = sample.annotations()
    columns = (found.translation, found.size_wlh, found.rotation_wxyz, found.velocity)
    boxes = from_columns(NuscenesBoxes(*(torch.from_numpy(column.astype(np.float64)) for column in columns)))
    names = found.class_names
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
