"""Boxes in the one convention of the package: what a box tensor means, its corners, its checks.

A box is a row `x y z l w h yaw` or `x y z l w h yaw vx vy`:
    x y z   gravity centre, metres, z up
    l w h   full length along the heading, width, height, metres
    yaw     radians, counter-clockwise seen from above, 0 along +x
    vx vy   metres per second in the same frame; NaN where the data do not contain them

Other layouts exist only in `pointcloud.conventions`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.errors import DataError

SIZE = slice(3, 6)
YAW = 6
VELOCITY = slice(7, 9)

# Corner signs along l, w, h: counter-clockwise seen from above starting at front left, the lower four first.
_FOOTPRINT = ((1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0))
_ROW = "x y z l w h yaw, or the same and vx vy"


def check_boxes(boxes: Tensor, argument: str = "boxes") -> None:
    """Refuse a tensor that does not hold boxes.

    Shape and dtype are checked everywhere. Values are looked at on the CPU only: on a GPU the look would make the
    host wait for the device, so NaN stays NaN there.

    Args:
        boxes: (..., 7) or (..., 9).
        argument: its name in the message.

    Raises:
        DataError: wrong shape or dtype, a value that is not finite (velocity may be NaN), a negative size.
    """
    if not isinstance(boxes, Tensor):
        raise DataError("boxes must be a tensor", where=argument, got=type(boxes).__name__, wanted="torch.Tensor")
    if boxes.ndim < 1 or boxes.shape[-1] not in (7, 9):
        raise DataError("not a table of boxes", where=argument, got=tuple(boxes.shape), wanted=f"(..., 7 or 9): {_ROW}")
    if not boxes.is_floating_point():
        raise DataError("boxes must be floating point", where=argument, got=boxes.dtype, wanted="float32 or float64")
    if boxes.device.type != "cpu" or boxes.numel() == 0:
        return
    values = boxes.detach()[..., :7]
    # Two reductions separate good from bad; which row is at fault is looked up only for the message.
    if not math.isfinite(float(values.sum(dtype=torch.float64))):
        _refuse(values, ~values.isfinite().all(-1), argument, "a value is not finite", "finite numbers")
    if float(values[..., SIZE].min()) < 0:
        _refuse(values, (values[..., SIZE] < 0).any(-1), argument, "a size is negative", "l w h of 0 or more")


def _refuse(values: Tensor, bad: Tensor, argument: str, what: str, wanted: str) -> None:
    if not bad.any():
        return
    row = bad.flatten().nonzero()[0, 0]
    box = [round(value, 6) for value in values.reshape(-1, 7)[row].tolist()]
    raise DataError(
        f"{what} in {int(bad.sum())} of {bad.numel()} boxes", where=f"{argument}[{row}]", got=box, wanted=wanted
    )


def check_pair(first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    """Check two tables of boxes that are about to be compared: each on its own, then device and dtype together."""
    for boxes, name in zip((first, second), names, strict=True):
        check_boxes(boxes, name)
    if first.device != second.device:
        raise DataError(
            "boxes on two devices", where=names[1], got=second.device, wanted=f"{first.device} as {names[0]}"
        )


def working_dtype(*boxes: Tensor) -> torch.dtype:
    """Float64 if any of the boxes has it, else float32: half precision holds 100 m to 6 cm only."""
    return torch.float64 if any(b.dtype == torch.float64 for b in boxes) else torch.float32


def wrap_yaw(yaw: Tensor, period: float = 2 * math.pi) -> Tensor:
    """Angles shifted by whole periods into [-period/2, period/2).

    >>> wrap_yaw(torch.tensor([0.0, 4.0, -4.0]))
    tensor([ 0.0000, -2.2832,  2.2832])
    """
    return yaw - torch.floor(yaw / period + 0.5) * period


def footprint_corners(boxes: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch 4 2"]:
    """Corners seen from above, metres, counter-clockwise: front left, rear left, rear right, front right.

    >>> footprint_corners(torch.tensor([0.0, 0, 0, 4, 2, 1, 0]))
    tensor([[ 2.,  1.],
            [-2.,  1.],
            [-2., -1.],
            [ 2., -1.]])
    """
    signs = 0.5 * boxes.new_tensor(_FOOTPRINT)
    cos, sin = boxes[..., YAW].cos()[..., None], boxes[..., YAW].sin()[..., None]
    along, across = boxes[..., 3:4] * signs[:, 0], boxes[..., 4:5] * signs[:, 1]
    x = boxes[..., 0:1] + along * cos - across * sin
    y = boxes[..., 1:2] + along * sin + across * cos
    return torch.stack((x, y), dim=-1)


def box_corners(boxes: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch 8 3"]:
    """Eight corners of each box, metres: those of `footprint_corners` at the bottom, then the same at the top."""
    flat = footprint_corners(boxes)
    half = 0.5 * boxes[..., 5]
    levels = torch.stack((boxes[..., 2] - half, boxes[..., 2] + half), dim=-1)
    z = levels.repeat_interleave(4, dim=-1)[..., None]
    return torch.cat((torch.cat((flat, flat), dim=-2), z), dim=-1)


def box_volume(boxes: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch"]:
    """l w h, cubic metres."""
    return boxes[..., SIZE].prod(dim=-1)


def enclosing_axis_aligned(boxes: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch columns"]:
    """The smallest boxes with yaw 0 that hold the given ones; 3DETR suppresses duplicates on these."""
    cos, sin = boxes[..., YAW].cos().abs(), boxes[..., YAW].sin().abs()
    length = boxes[..., 3] * cos + boxes[..., 4] * sin
    width = boxes[..., 3] * sin + boxes[..., 4] * cos
    return _with_yaw_zero(boxes, length, width)


def nearest_axis_aligned(boxes: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch columns"]:
    """The boxes turned to the nearest quarter turn and written with yaw 0; SECOND assigns its anchors on these."""
    quarter = wrap_yaw(boxes[..., YAW], math.pi).abs()
    turned = (quarter > math.pi / 4) & (quarter <= 3 * math.pi / 4)
    length = torch.where(turned, boxes[..., 4], boxes[..., 3])
    width = torch.where(turned, boxes[..., 3], boxes[..., 4])
    return _with_yaw_zero(boxes, length, width)


def _with_yaw_zero(boxes: Tensor, length: Tensor, width: Tensor) -> Tensor:
    yaw = torch.zeros_like(length)
    columns = torch.stack((length, width, boxes[..., 5], yaw), dim=-1)
    return torch.cat((boxes[..., :3], columns, boxes[..., 7:]), dim=-1)
