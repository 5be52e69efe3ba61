"""Where boxes of the LiDAR are seen in KITTI's image."""

from __future__ import annotations

import math

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from vol3d.geometry import box_corners, invert_rigid, transform_points

_NEAR_M = 0.1  # what is nearer to the plane of the lens, or behind it, has no place in the image
_FIRST, _SECOND = np.triu_indices(8, 1)


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


def without_image_box(objects: KittiObjects) -> np.ndarray:
    """Which objects (n,) have a box in space and none in the image, such as 0 0 0 0 or -1 -1 -1 -1."""
    extent = objects.bbox[:, 2:] - objects.bbox[:, :2]
    return (extent <= 0).any(axis=1) & (objects.dimensions_hwl > 0).all(axis=1)
