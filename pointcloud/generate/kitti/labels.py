"""Rows of a label file from what beams meet.

- Truncation is the share of a box's extent in the image plane that lies outside of the image.
- The visible share of an object is that of the beams towards the image that meet it first, among those that would if
  it were alone. Occlusion is 0 from 80 % on, 1 from 40 %, 2 below; 3, unknown, where fewer than 12 beams would meet it.
- An object has a row if it is within 75 m, its box holds five points that the camera sees, 15 % of it is visible and a
  tenth of its extent lies in the image. If less is visible, its extent is a region nobody annotated: DontCare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.datasets.kitti.calibration import KittiCalibration
from pointcloud.generate.streets.populations import KITTI
from pointcloud.metrics.kitti.boxes import extents_in_image, objects_in_image
from vol3d.geometry import count_points_in_boxes
from vol3d.scans.results.detections import Detections

TYPES = tuple(KITTI.sizes)
FARTHEST_M = 75.0
FEWEST_POINTS, FEWEST_BEAMS = 5, 12
PARTLY, LARGELY, HIDDEN = 0.8, 0.4, 0.15
MOST_TRUNCATED = 0.9


class Shown(NamedTuple):
    """Things in the frame of the LiDAR.

    Args:
        boxes: (n, 7) metres, radians.
        types: (n,) of `TYPES`.
        alone: (n,) beams towards the image that would meet it if nothing else were there.
        visible: (n,) those of them that do meet it first.
    """

    boxes: np.ndarray
    types: np.ndarray
    alone: np.ndarray
    visible: np.ndarray


def label(shown: Shown, xyz: np.ndarray, calibration: KittiCalibration, image_size: tuple[int, int]) -> KittiObjects:
    """The rows of a frame with the points (N, 3); those of DontCare are the last."""
    labels = np.array([TYPES.index(name) for name in shown.types], np.int64)
    found = Detections(shown.boxes.astype(np.float32), np.ones(len(labels), np.float32), labels, TYPES, "lidar")
    objects, rows = objects_in_image(found, calibration.lidar_from_camera, calibration.p2, image_size)
    boxes = torch.from_numpy(shown.boxes[rows])
    full = extents_in_image(boxes, torch.from_numpy(calibration.lidar_from_camera), calibration.p2)
    truncation = 1 - np.clip(_area(objects.bbox) / _area(full), 0, 1)
    alone, visible = shown.alone[rows], shown.visible[rows]
    share = visible / np.maximum(alone, 1)
    occlusion = np.select([alone < FEWEST_BEAMS, share < LARGELY, share < PARTLY], [3, 2, 1], 0)
    seen = torch.from_numpy(xyz[calibration.in_image(xyz, image_size)])
    good = count_points_in_boxes(seen, boxes.float()).numpy() >= FEWEST_POINTS
    good &= (share >= HIDDEN) & (truncation <= MOST_TRUNCATED)
    good &= np.hypot(*shown.boxes[rows, :2].T) <= FARTHEST_M
    labelled = replace(objects, truncation=truncation, occlusion=occlusion)
    order = np.argsort(~good, kind="stable")
    return _or_dont_care(labelled, good).select(order[visible[order] > 0])


def _or_dont_care(objects: KittiObjects, good: np.ndarray) -> KittiObjects:
    """The objects; of those that are not good only the region in the image."""
    wide = good[:, None]
    return KittiObjects(
        types=np.where(good, objects.types, "DontCare"),
        truncation=np.where(good, objects.truncation, -1),
        occlusion=np.where(good, objects.occlusion, -1),
        alpha=np.where(good, objects.alpha, -10),
        bbox=objects.bbox,
        dimensions_hwl=np.where(wide, objects.dimensions_hwl, -1),
        location=np.where(wide, objects.location, -1000),
        rotation_y=np.where(good, objects.rotation_y, -10),
        scores=objects.scores,
    )


def _area(bbox: np.ndarray) -> np.ndarray:
    """Of left, top, right, bottom; never 0."""
    return ((bbox[:, 2] - bbox[:, 0]) * (bbox[:, 3] - bbox[:, 1])).clip(min=1e-6)
