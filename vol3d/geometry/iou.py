"""Intersection over union of boxes, seen from above and in space; exact, differentiable, any device.

An IoU whose union is empty (two boxes without extent) is 0. Half precision is computed and returned in float32.
Boxes are `x y z l w h yaw`, metres and radians (see `boxes.py`); `first` and `second` may carry equal batch dimensions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.errors import DataError
from vol3d.geometry.boxes import YAW, box_volume, check_pair, working_dtype
from vol3d.geometry.overlap import overlap_bev, overlap_bev_paired

# Unions below this (m^2 or m^3) count as empty: 1 / union^2 must stay a float32 number for the gradient.
_EMPTY = 1e-18


def iou_bev(first: Float[Tensor, "*batch n _"], second: Float[Tensor, "*batch m _"]) -> Float[Tensor, "*batch n m"]:
    """Overlap of the footprints of every box of `first` with every box of `second`.

    Raises:
        DataError: not boxes, batch dimensions or devices that differ, values not finite, negative sizes.
    """
    first, second = check_tables(first, second)
    area = (first[..., 3] * first[..., 4])[..., :, None] + (second[..., 3] * second[..., 4])[..., None, :]
    common = overlap_bev(first, second)
    return ratio(common, area - common)


def iou_3d(first: Float[Tensor, "*batch n _"], second: Float[Tensor, "*batch m _"]) -> Float[Tensor, "*batch n m"]:
    """Overlap in space of every box of `first` with every box of `second`: footprints times heights.

    Raises:
        DataError: as `iou_bev`.

    >>> car = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0]])
    >>> iou_3d(car, torch.tensor([[1.0, 0, 0, 4, 2, 2, 0], [9, 0, 0, 4, 2, 2, 0]]))
    tensor([[0.6000, 0.0000]])
    """
    first, second = check_tables(first, second)
    common = overlap_bev(first, second) * height_overlap(first[..., :, None, :], second[..., None, :, :])
    volume = box_volume(first)[..., :, None] + box_volume(second)[..., None, :]
    return ratio(common, volume - common)


def iou_bev_paired(first: Float[Tensor, "*batch _"], second: Float[Tensor, "*batch _"]) -> Float[Tensor, "*batch"]:
    """`iou_bev` of first[i] with second[i]: what a loss over matched pairs needs."""
    first, second = check_pairs(first, second)
    common = overlap_bev_paired(first, second)
    return ratio(common, first[..., 3] * first[..., 4] + second[..., 3] * second[..., 4] - common)


def iou_3d_paired(first: Float[Tensor, "*batch _"], second: Float[Tensor, "*batch _"]) -> Float[Tensor, "*batch"]:
    """`iou_3d` of first[i] with second[i]."""
    first, second = check_pairs(first, second)
    common = overlap_bev_paired(first, second) * height_overlap(first, second)
    return ratio(common, box_volume(first) + box_volume(second) - common)


def iou_bev_axis_aligned(first: Float[Tensor, "*batch n _"], second: Float[Tensor, "*batch m _"]) -> Tensor:
    """`iou_bev` of boxes whose yaw is 0 (ScanNet, or `nearest_axis_aligned` of others), several times faster.

    Raises:
        DataError: as `iou_bev`, and a yaw other than 0 (looked at on the CPU only).
    """
    first, second = _axis_aligned_tables(first, second)
    a, b = first[..., :, None, :], second[..., None, :, :]
    common = axis_overlap(a, b, 0) * axis_overlap(a, b, 1)
    return ratio(common, a[..., 3] * a[..., 4] + b[..., 3] * b[..., 4] - common)


def iou_3d_axis_aligned(first: Float[Tensor, "*batch n _"], second: Float[Tensor, "*batch m _"]) -> Tensor:
    """`iou_3d` of boxes whose yaw is 0.

    Raises:
        DataError: as `iou_bev_axis_aligned`.
    """
    first, second = _axis_aligned_tables(first, second)
    a, b = first[..., :, None, :], second[..., None, :, :]
    common = axis_overlap(a, b, 0) * axis_overlap(a, b, 1) * axis_overlap(a, b, 2)
    return ratio(common, box_volume(a) + box_volume(b) - common)


def axis_overlap(first: Tensor, second: Tensor, axis: int) -> Tensor:
    """Common stretch of two boxes along x, y or z (0, 1, 2) with yaw 0, m; reckoned from the first one's centre."""
    shift = second[..., axis] - first[..., axis]
    half, other = 0.5 * first[..., 3 + axis], 0.5 * second[..., 3 + axis]
    return (torch.minimum(half, shift + other) - torch.maximum(-half, shift - other)).clamp(min=0)


def height_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Common height of two boxes, m; leading dimensions broadcast."""
    return axis_overlap(first, second, 2)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 with no gradient where the whole is empty."""
    empty = whole < _EMPTY
    return torch.where(empty, 0, part) / torch.where(empty, 1, whole)


def check_tables(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (..., n, 7) and (..., m, 7) of one batch, in one floating type; anything else is a DataError."""
    check_pair(first, second, ("first", "second"))
    if first.ndim < 2 or second.ndim < 2 or first.shape[:-2] != second.shape[:-2]:
        got, wanted = (tuple(first.shape), tuple(second.shape)), "(..., n, 7) and (..., m, 7) of one batch"
        raise DataError("tables of boxes do not fit together", where="first, second", got=got, wanted=wanted)
    dtype = working_dtype(first, second)
    return first.to(dtype), second.to(dtype)


def check_pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (..., 7) and as many others, in one floating type; anything else is a DataError."""
    check_pair(first, second, ("first", "second"))
    if first.shape[:-1] != second.shape[:-1]:
        got, wanted = (tuple(first.shape), tuple(second.shape)), "as many boxes in both"
        raise DataError("pairs of boxes do not fit together", where="first, second", got=got, wanted=wanted)
    dtype = working_dtype(first, second)
    return first.to(dtype), second.to(dtype)


def _axis_aligned_tables(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    first, second = check_tables(first, second)
    for boxes, name in ((first, "first"), (second, "second")):
        if boxes.device.type == "cpu" and bool((boxes[..., YAW] != 0).any()):
            do = "Use iou_bev or iou_3d, or pass nearest_axis_aligned(boxes) or enclosing_axis_aligned(boxes)."
            raise DataError("boxes are rotated", where=name, wanted="yaw 0", do=do)
    return first, second
