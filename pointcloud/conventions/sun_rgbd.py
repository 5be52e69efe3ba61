"""Boxes of SUN RGB-D as VoteNet stores them, and of 3DETR: x right, y forward, z up, angles clockwise from above.

Files of VoteNet's export (`*_bbox.npy`): centre, HALF l w h, heading, class. 3DETR's predictions: centre, full l w h,
angle. Heading and angle are 0 along +x and turn towards -y, the opposite of ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns
from vol3d.geometry.boxes import YAW, check_boxes, wrap_yaw


def boxes_from_sun_rgbd(table: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch 7"]:
    """Our boxes from rows x y z l/2 w/2 h/2 heading; an eighth column, the class, is left out.

    Raises:
        DataError: wrong columns.
    """
    check_columns(table, "table", (7, 8), "x y z l/2 w/2 h/2 heading, or the same and the class")
    return torch.cat((table[..., :3], 2 * table[..., 3:6], wrap_yaw(-table[..., YAW:7])), dim=-1)


def boxes_to_sun_rgbd(boxes: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch 7"]:
    """Rows x y z l/2 w/2 h/2 heading from our boxes."""
    check_boxes(boxes)
    return torch.cat((boxes[..., :3], 0.5 * boxes[..., 3:6], wrap_yaw(-boxes[..., YAW:7])), dim=-1)


def boxes_from_three_detr(table: Float[Tensor, "*batch 7"]) -> Float[Tensor, "*batch 7"]:
    """Our boxes from 3DETR's centre, full l w h and clockwise angle.

    Raises:
        DataError: wrong columns.
    """
    check_columns(table, "table", (7,), "x y z l w h angle")
    return torch.cat((table[..., :6], wrap_yaw(-table[..., YAW:7])), dim=-1)


def boxes_to_three_detr(boxes: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch 7"]:
    """3DETR's centre, full l w h and clockwise angle from our boxes."""
    check_boxes(boxes)
    return torch.cat((boxes[..., :6], wrap_yaw(-boxes[..., YAW:7])), dim=-1)
