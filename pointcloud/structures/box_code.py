"""Boxes as numbers that a network can regress and that can be compared by differences.

`x y z log_l log_w log_h sin cos`, metres and the logarithms of metres, sine and cosine of the yaw; then `vx vy` where
there are velocities (CenterPoint, section 4; Object DGCNN, section 3).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.geometry.boxes import check_boxes

BOX = 8
"""Columns without the velocity."""

_SMALLEST_M, _LARGEST_M = 1e-3, 1e3


def box_columns(turns: bool, velocity: bool) -> tuple[str, ...]:
    """What a detector states of a box; one whose boxes do not turn states no direction."""
    return (*"xyzlwh", *(("sin", "cos") if turns else ()), *(("vx", "vy") if velocity else ()))


def encode_boxes(boxes: Float[Tensor, "*n c"]) -> Float[Tensor, "*n d"]:
    """Codes (..., 8 or 10) of boxes (..., 7 or 9); sizes count as 1 mm at least.

    Raises:
        DataError: not boxes.

    >>> encode_boxes(torch.tensor([[10.0, 2.0, -1.0, 1.0, 1.0, 1.0, 0.0]]))
    tensor([[10.,  2., -1.,  0.,  0.,  0.,  0.,  1.]])
    """
    check_boxes(boxes)
    size, yaw = boxes[..., 3:6].clamp(min=_SMALLEST_M).log(), boxes[..., 6:7]
    return torch.cat([boxes[..., :3], size, yaw.sin(), yaw.cos(), boxes[..., 7:]], dim=-1)


def decode_boxes(code: Float[Tensor, "*n d"]) -> Float[Tensor, "*n c"]:
    """Boxes (..., 7 or 9) of codes; sizes are limited to 1 mm to 1 km.

    >>> decode_boxes(torch.tensor([[10.0, 2.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]))
    tensor([[10.,  2., -1.,  1.,  1.,  1.,  0.]])
    """
    size = code[..., 3:6].clamp(math.log(_SMALLEST_M), math.log(_LARGEST_M)).exp()
    yaw = torch.atan2(code[..., 6:7], code[..., 7:8])
    return torch.cat([code[..., :3], size, yaw, code[..., 8:]], dim=-1)
