"""LiDAR detections as KITTI requires them: with a box in the image, in the camera's frame."""

from __future__ import annotations

import math

import numpy as np
import torch

from pointcloud.conventions.kitti import boxes_to_kitti
from pointcloud.conventions.kitti_image import extents_in_image
from pointcloud.conventions.kitti_objects import KittiObjects
from vol3d.scans.results.detections import Detections


def objects_in_image(
    found: Detections, lidar_from_camera: np.ndarray, p2: np.ndarray, image_size: tuple[int, int]
) -> tuple[KittiObjects, np.ndarray]:
    """The detections that the camera sees, and which (k,) they are.

    Args:
        found: in the frame of the LiDAR.
        lidar_from_camera: (4, 4) from the rectified camera frame.
        p2: (3, 4) from the rectified camera frame to pixels.
        image_size: width and height, pixels; boxes are cut off at the edge.

    Raises:
        DataError: boxes that are not finite, not a rigid motion.
    """
    motion = torch.from_numpy(np.asarray(lidar_from_camera, np.float64))
    boxes = torch.from_numpy(found.boxes[:, :7].astype(np.float64))
    labels, bbox = boxes_to_kitti(boxes, motion), extents_in_image(boxes, motion, p2)
    width, height = image_size
    bbox = bbox.clip(0, [width - 1, height - 1, width - 1, height - 1])
    rows = np.flatnonzero((bbox[:, 2] > bbox[:, 0]) & (bbox[:, 3] > bbox[:, 1]))
    location, turn = labels.location.numpy(), labels.rotation_y.numpy()
    alpha = turn - np.arctan2(location[:, 0], location[:, 2])
    objects = KittiObjects(
        types=np.array([found.class_names[label] for label in found.labels], np.str_),
        truncation=np.full(len(found), -1.0),
        occlusion=np.full(len(found), -1),
        alpha=(alpha + math.pi) % (2 * math.pi) - math.pi,
        bbox=bbox,
        dimensions_hwl=labels.dimensions_hwl.numpy(),
        location=location,
        rotation_y=turn,
        scores=found.scores.astype(np.float64),
    )
    return objects.select(rows), rows
