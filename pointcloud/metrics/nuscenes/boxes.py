"""What the nuScenes detection benchmark compares: the annotated and the detected boxes of one sample, in its own frame.

All boxes are in the **global** frame, in the package's convention and in float64: global coordinates run to thousands
of metres. A sample is one annotated moment of a drive, known by its token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pointcloud.conventions.nuscenes import NuscenesBoxes, boxes_from_nuscenes, boxes_to_nuscenes
from vol3d.errors import DataError
from vol3d.scans.results.detections import Detections

CLASSES = (
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
)
ATTRIBUTES = (
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
NO_ATTRIBUTE = -1
MAX_BOXES = 500
_MOVING_M_S = 0.2
# Class -> attribute at rest and in motion; what most annotated objects of the class have at such a speed.
_AT_REST = {name: "vehicle.parked" for name in CLASSES[:5]} | {
    "bus": "vehicle.stopped",
    "pedestrian": "pedestrian.standing",
    "motorcycle": "cycle.without_rider",
    "bicycle": "cycle.without_rider",
}
_IN_MOTION = {name: "vehicle.moving" for name in CLASSES[:5]} | {
    "pedestrian": "pedestrian.moving",
    "motorcycle": "cycle.with_rider",
    "bicycle": "cycle.with_rider",
}


@dataclass(frozen=True, eq=False)
class NuscenesTruth:
    """The annotation of one sample, all of it: the benchmark itself leaves out what does not count.

    Args:
        boxes: (G, 9) float64 `x y z l w h yaw vx vy`, global; velocities NaN where they are unknown.
        labels: (G,) int64, `CLASSES[label]`; objects of no class of the benchmark are not among them.
        attributes: (G,) int64, `ATTRIBUTES[attribute]`, or -1.
        points: (G,) int64 number of LiDAR and radar points inside; a box without any does not count.
        ego_position: (3,) where the car is, global, metres; distances are measured from there.
        bicycle_racks: (R, 7) annotated racks, global; bicycles and motorcycles inside do not count.
    """

    boxes: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray
    points: np.ndarray
    ego_position: np.ndarray
    bicycle_racks: np.ndarray

    def __post_init__(self) -> None:
        _check(self.boxes, self.labels, self.attributes, self.points)
        if self.ego_position.shape != (3,) or self.bicycle_racks.ndim != 2 or self.bicycle_racks.shape[1] != 7:
            got = f"{self.ego_position.shape} and {self.bicycle_racks.shape}"
            raise ValueError(f"ego_position must be (3,) and bicycle_racks (R, 7), got {got}")

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class NuscenesDetections:
    """What was found in one sample.

    Args:
        boxes: (N, 9) float64 `x y z l w h yaw vx vy`, global.
        scores: (N,) float64.
        labels: (N,) int64, `CLASSES[label]`.
        attributes: (N,) int64, `ATTRIBUTES[attribute]`, or -1.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray

    def __post_init__(self) -> None:
        _check(self.boxes, self.labels, self.attributes, self.scores)

    def __len__(self) -> int:
        return len(self.boxes)


def _check(boxes: np.ndarray, labels: np.ndarray, attributes: np.ndarray, values: np.ndarray) -> None:
    n = len(boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 9 or boxes.dtype != np.float64:
        raise ValueError(f"boxes must be (N, 9) float64, got {boxes.shape} {boxes.dtype}")
    if not labels.shape == attributes.shape == values.shape == (n,):
        raise ValueError(f"{n} boxes with {labels.shape}, {attributes.shape} and {values.shape} values")
    if n and (labels.min() < 0 or labels.max() >= len(CLASSES)):
        raise ValueError(f"labels must be 0 to {len(CLASSES) - 1}, got {labels.min()} to {labels.max()}")
    if n and (attributes.min() < NO_ATTRIBUTE or attributes.max() >= len(ATTRIBUTES)):
        raise ValueError(f"attributes must be -1 to {len(ATTRIBUTES) - 1}")


def detections_in_global(found: Detections, global_from_scan: np.ndarray) -> NuscenesDetections:
    """Detections of one scan as the benchmark requires them; attributes follow from class and speed.

    Detections without velocities are taken to stand still, those of classes that the benchmark does not have are left
    out, and of more than 500 the best are kept, as many as it allows. Heading and velocity are turned in space and
    laid flat. Above 0.2 m/s an object is moving or ridden.

    Raises:
        DataError: a value that is not finite, a matrix that is no rigid motion.
    """
    known = np.flatnonzero(np.array([name in CLASSES for name in found.class_names], np.bool_)[found.labels])
    known = np.sort(known[np.argsort(-found.scores[known], kind="stable")[:MAX_BOXES]])
    numbers = np.array([CLASSES.index(name) if name in CLASSES else -1 for name in found.class_names], np.int64)
    labels = numbers[found.labels[known]]
    boxes = moved(found.boxes[known], global_from_scan)
    speeds = np.linalg.norm(boxes[:, 7:9], axis=1)
    return NuscenesDetections(boxes, found.scores[known].astype(np.float64), labels, likely_attributes(labels, speeds))


def truth_in_scan(truth: NuscenesTruth, scan_from_global: np.ndarray) -> Detections:
    """The annotation in the frame of the scan, as pictures want it."""
    boxes = moved(truth.boxes, scan_from_global).astype(np.float32)
    return Detections(boxes, np.ones(len(boxes), np.float32), truth.labels, CLASSES)


def moved(boxes: np.ndarray, target_from_source: np.ndarray) -> np.ndarray:
    """Boxes (N, 7 or 9) in another upright frame, as (N, 9) float64; velocities that are missing are 0.

    Raises:
        DataError: a box that is not finite (velocities may be NaN), a matrix that is no rigid motion.
    """
    if not np.isfinite(boxes[:, :7]).all():
        raise DataError("a box is not finite", got=boxes[~np.isfinite(boxes[:, :7]).all(axis=1)][0].tolist())
    table = np.zeros((len(boxes), 9))
    table[:, : boxes.shape[1]] = boxes
    motion = torch.from_numpy(np.asarray(target_from_source, np.float64))
    return from_columns(boxes_to_nuscenes(torch.from_numpy(table), motion))


def from_columns(columns: NuscenesBoxes) -> np.ndarray:
    """(N, 9) float64 boxes in the frame of the annotation columns (float64, with velocities)."""
    return boxes_from_nuscenes(columns, torch.eye(4, dtype=torch.float64)).numpy()


def likely_attributes(labels: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """(N,) attribute that most objects of the class have at this speed (m/s): what LiDAR detectors report."""
    table = np.array(
        [[_number(names.get(label)) for label in CLASSES] for names in (_AT_REST, _IN_MOTION)], dtype=np.int64
    )
    return table[(speeds > _MOVING_M_S).astype(np.int64), labels]


def _number(attribute: str | None) -> int:
    return ATTRIBUTES.index(attribute) if attribute else NO_ATTRIBUTE
