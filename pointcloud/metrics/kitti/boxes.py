"""LiDAR detections as KITTI requires them: with a box in the image, in the camera's frame."""

from __future__ import annotations

import math

import numpy as np
import torch

from pointcloud.conventions.kitti import boxes_to_kitti
from pointcloud.conventions.kitti_objects import KittiObjects
from vol3d.geometry import box_corners, invert_rigid, transform_points
from vol3d.scans.results.detections import Detections

_NEAR_M = 0.1  # what is nearer to the plane of the lens, or behind it, has no place in the image
_FIRST, _SECOND = np.triu_indices(8, 1)


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


def extents_in_image(boxes: torch.Tensor, lidar_from_camera: torch.Tensor, p2: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom (n, 4) in pixels of boxes (n, 7) of the LiDAR, however far they reach beyond the image.

    What is behind the lens is cut off: the corners of the cut are where lines between corners pass the near plane. A
    box of which nothing remains is inverted and infinite.
    """
    corners = transform_points(box_corners(boxes), invert_rigid(lidar_from_camera)).numpy()
    first, second = corners[:, _FIRST], corners[:, _SECOND]
    rise = second[..., 2] - first[..., 2]
    share = np.divide(_NEAR_M - first[..., 2], rise, out=np.full(rise.shape, -1.0), where=rise != 0)
    cut = first + share[..., None] * (second - first)
    points = np.concatenate((corners, cut), axis=1)
    seen = np.concatenate((corners[..., 2] >= _NEAR_M, (share > 0) & (share < 1)), axis=1)
    image = points @ p2[:, :3].T + p2[:, 3]
    pixels = image[..., :2] / np.where(seen, image[..., 2], 1)[..., None]
    low = np.where(seen[..., None], pixels, math.inf).min(axis=1)
    high = np.where(seen[..., None], pixels, -math.inf).max(axis=1)
    return np.concatenate((low, high), axis=1)
