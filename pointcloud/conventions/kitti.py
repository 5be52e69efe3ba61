"""KITTI labels: rectified camera frame, x right, y down, z forward.

`location` is the centre of the bottom face; dimensions stand in the label's order h w l; `rotation_y` is the angle
about the camera's y axis, 0 along its x axis, clockwise from above (Geiger et al., CVPR 2012; the devkit's readme).
The heading is taken as if the camera stood level and straight ahead, `yaw = -(rotation_y + pi/2)`, as all LiDAR
detectors do; the point counts stored with the labels agree with this.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns
from vol3d.geometry.boxes import YAW, check_boxes, wrap_yaw
from vol3d.geometry.frames import check_rigid, invert_rigid, transform_points


class KittiBoxes(NamedTuple):
    """Columns of a KITTI label: (n, 3) metres, (n, 3) metres in the order h w l, (n,) radians."""

    location: Tensor
    dimensions_hwl: Tensor
    rotation_y: Tensor


def kitti_lidar_from_camera(r0_rect: Float[Tensor, "3 3"], tr_velo_to_cam: Float[Tensor, "3 4"]) -> Tensor:
    """(4, 4) motion from the rectified camera to the LiDAR, from the two matrices of a calibration file.

    Raises:
        DataError: the matrices do not make a rigid motion.
    """
    rectify, mount = torch.eye(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    rectify[:3, :3], mount[:3] = r0_rect[:3, :3], tr_velo_to_cam[:3]
    camera_from_lidar = rectify @ mount
    check_rigid(camera_from_lidar, "r0_rect, tr_velo_to_cam")
    return invert_rigid(camera_from_lidar)


def boxes_from_kitti(labels: KittiBoxes, lidar_from_camera: Float[Tensor, "4 4"]) -> Float[Tensor, "n 7"]:
    """Boxes in the LiDAR frame from label columns.

    Raises:
        DataError: wrong columns, not a rigid motion.
    """
    check_columns(labels.location, "location", (3,), "x y z of the bottom centre in the camera frame")
    check_columns(labels.dimensions_hwl, "dimensions_hwl", (3,), "h w l")
    check_rigid(lidar_from_camera, "lidar_from_camera")
    centre = transform_points(labels.location, lidar_from_camera)
    height, width, length = labels.dimensions_hwl.unbind(-1)
    yaw = wrap_yaw(-labels.rotation_y - math.pi / 2)
    z = centre[..., 2] + 0.5 * height
    return torch.stack((centre[..., 0], centre[..., 1], z, length, width, height, yaw), dim=-1)


def boxes_to_kitti(boxes: Float[Tensor, "n c"], lidar_from_camera: Float[Tensor, "4 4"]) -> KittiBoxes:
    """Label columns from boxes in the LiDAR frame; velocities are dropped, KITTI has none."""
    check_boxes(boxes)
    check_rigid(lidar_from_camera, "lidar_from_camera")
    bottom = torch.cat((boxes[..., :2], (boxes[..., 2] - 0.5 * boxes[..., 5])[..., None]), dim=-1)
    location = transform_points(bottom, invert_rigid(lidar_from_camera))
    return KittiBoxes(location, boxes[..., [5, 4, 3]], wrap_yaw(-boxes[..., YAW] - math.pi / 2))
