"""OpenPCDet boxes: x y z of the centre, dx dy dz with dx along the heading, heading counter-clockwise, velocity last.

The same as ours, but headings may lie outside [-pi, pi).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pointcloud.conventions.columns import check_columns
from vol3d.geometry.boxes import YAW, check_boxes, wrap_yaw


def boxes_from_openpcdet(table: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """Our boxes from rows x y z dx dy dz heading (vx vy).

    Raises:
        DataError: wrong columns.
    """
    check_columns(table, "table", (7, 9), "x y z dx dy dz heading, or the same and vx vy")
    return torch.cat((table[..., :YAW], wrap_yaw(table[..., YAW:7]), table[..., 7:]), dim=-1)


def boxes_to_openpcdet(boxes: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch c"]:
    """Rows x y z dx dy dz heading (vx vy) from our boxes: a copy."""
    check_boxes(boxes)
    return boxes.clone()
