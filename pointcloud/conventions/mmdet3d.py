"""mmdetection3d's LiDAR boxes; its axes are ours, z is that of the bottom face.

From 1.0 on: x y z_bottom l w h yaw (vx vy), yaw as ours. Depth boxes (indoor) from 1.0 on have the same layout.
Before 1.0 (LiDAR): x y z_bottom w l h yaw_old (vx vy) with yaw_old = -yaw - pi/2, clockwise, 0 along -y
(tools/data_converter/nuscenes_converter.py at v0.17; docs/en/notes/compatibility.md at 1.x).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns, raise_z
from vol3d.geometry.boxes import YAW, check_boxes, wrap_yaw


def boxes_from_mmdet3d(table: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """Our boxes from mmdet3d >= 1.0 rows x y z_bottom l w h yaw (vx vy).

    Raises:
        DataError: wrong columns.
    """
    check_columns(table, "table", (7, 9), "x y z_bottom l w h yaw, or the same and vx vy")
    raised = raise_z(table, 0.5)
    return torch.cat((raised[..., :YAW], wrap_yaw(table[..., YAW:7]), table[..., 7:]), dim=-1)


def boxes_to_mmdet3d(boxes: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """mmdet3d >= 1.0 rows x y z_bottom l w h yaw (vx vy) from our boxes."""
    check_boxes(boxes)
    return raise_z(boxes, -0.5)


def boxes_from_mmdet3d_before_1_0(table: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """Our boxes from mmdet3d < 1.0 LiDAR rows x y z_bottom w l h yaw_old (vx vy).

    Raises:
        DataError: wrong columns.
    """
    check_columns(table, "table", (7, 9), "x y z_bottom w l h yaw_old, or the same and vx vy")
    return _turn(raise_z(table, 0.5))


def boxes_to_mmdet3d_before_1_0(boxes: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """mmdet3d < 1.0 LiDAR rows x y z_bottom w l h yaw_old (vx vy) from our boxes."""
    check_boxes(boxes)
    return _turn(raise_z(boxes, -0.5))


def _turn(table: Tensor) -> Tensor:
    """Swap l and w and mirror the yaw about -pi/4: its own inverse."""
    yaw = wrap_yaw(-table[..., YAW:7] - math.pi / 2)
    return torch.cat((table[..., :3], table[..., [4, 3, 5]], yaw, table[..., 7:]), dim=-1)
