"""Generalised IoU of boxes in space (Rezatofighi et al., CVPR 2019): IoU - (enclosing - union) / enclosing.

The enclosing body is, by choice, the axis-aligned box round both (as 3DETR has it: cheap, but it depends on the
frame) or the upright prism over the convex hull of both footprints (independent of the frame).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vol3d.errors import UsageError
from vol3d.geometry.boxes import SIZE, box_volume, enclosing_axis_aligned, footprint_corners
from vol3d.geometry.hull import hull_area
from vol3d.geometry.iou import check_pairs, check_tables, height_overlap, ratio
from vol3d.geometry.overlap import overlap_bev, overlap_bev_paired

Enclosing = Literal["axis_aligned", "convex_hull"]
Intersection = Literal["exact", "3detr", "3detr_unrotated"]

# Cubic metres; 3DETR's. The overlap of spans may exceed both volumes, and then the union would be negative.
_SMALLEST_UNION = 1e-8


def giou_3d(
    first: Float[Tensor, "*batch n _"],
    second: Float[Tensor, "*batch m _"],
    *,
    enclosing: Enclosing = "axis_aligned",
    intersection: Intersection = "exact",
) -> Float[Tensor, "*batch n m"]:
    """Generalised IoU of every box of `first` with every box of `second`, in [-1, 1].

    Args:
        first: boxes, metres and radians.
        second: boxes of the same batch dimensions.
        enclosing: body round both boxes, see the module.
        intersection: `exact`, or what 3DETR's code computes (utils/box_util.py, generalized_box3d_iou), which released
            weights were trained with. `3detr` sets the intersection to 0 where the spans between the front-left and
            rear-right corners do not overlap (true of many rotated boxes that do), and counts edges below 1 mm as 1 mm;
            `3detr_unrotated` takes the overlap of those spans as the intersection and counts a union below 1e-8 m^3
            as that, as the original does for a batch without a positive angle; rotated boxes may leave [-1, 1] so.

    Raises:
        DataError: as `iou_bev`.
        UsageError: an unknown option.

    >>> car = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0]])
    >>> giou_3d(car, torch.tensor([[1.0, 0, 0, 4, 2, 2, 0], [9, 0, 0, 4, 2, 2, 0]]))
    tensor([[ 0.6000, -0.3846]])
    """
    _check_intersection(intersection)
    first, second = check_tables(first, second)
    a, b = first[..., :, None, :], second[..., None, :, :]
    if intersection == "3detr_unrotated":
        return _combine(a, b, _spans_overlap(a, b), enclosing, intersection)
    return _combine(a, b, overlap_bev(first, second), enclosing, intersection)


def giou_3d_paired(
    first: Float[Tensor, "*batch _"],
    second: Float[Tensor, "*batch _"],
    *,
    enclosing: Enclosing = "axis_aligned",
    intersection: Intersection = "exact",
) -> Float[Tensor, "*batch"]:
    """`giou_3d` of first[i] with second[i]: the loss of matched pairs is 1 minus this."""
    _check_intersection(intersection)
    first, second = check_pairs(first, second)
    if intersection == "3detr_unrotated":
        return _combine(first, second, _spans_overlap(first, second), enclosing, intersection)
    return _combine(first, second, overlap_bev_paired(first, second), enclosing, intersection)


def _check_intersection(intersection: str) -> None:
    if intersection not in get_args(Intersection):
        raise UsageError("unknown intersection", where="intersection", got=intersection, wanted=str(Intersection))


def _combine(a: Tensor, b: Tensor, common_area: Tensor, enclosing: Enclosing, intersection: Intersection) -> Tensor:
    volume_a, volume_b = box_volume(a), box_volume(b)
    if intersection != "exact":
        volume_a, volume_b = (boxes[..., SIZE].clamp(min=1e-3).prod(-1) for boxes in (a, b))
    if intersection == "3detr":
        common_area = torch.where(_spans_overlap(a, b) == 0, 0, common_area)

    common = common_area * height_overlap(a, b)
    union = volume_a + volume_b - common
    if intersection == "3detr_unrotated":
        union = union.clamp(min=_SMALLEST_UNION)

    body = _enclosing_area(a, b, enclosing) * _joint_span(a, b, 2)
    return ratio(common, union) - ratio(body - union, body)


def _enclosing_area(a: Tensor, b: Tensor, enclosing: Enclosing) -> Tensor:
    if enclosing == "axis_aligned":
        around_a, around_b = enclosing_axis_aligned(a), enclosing_axis_aligned(b)
        return _joint_span(around_a, around_b, 0) * _joint_span(around_a, around_b, 1)
    if enclosing == "convex_hull":
        return hull_area(a, b)
    raise UsageError("unknown enclosing body", where="enclosing", got=enclosing, wanted=str(Enclosing))


def _joint_span(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Length of the shortest stretch along an axis that holds both boxes (yaw 0), m; reckoned from a's centre."""
    shift = b[..., axis] - a[..., axis]
    half, other = 0.5 * a[..., 3 + axis], 0.5 * b[..., 3 + axis]
    return torch.maximum(half, shift + other) - torch.minimum(-half, shift - other)


def _spans_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Overlap, m^2, of the spans from the rear-right to the front-left corner: the true one only at yaw 0."""
    corners_a, corners_b = footprint_corners(a), footprint_corners(b)
    top = torch.minimum(corners_a[..., 0, :], corners_b[..., 0, :])
    bottom = torch.maximum(corners_a[..., 2, :], corners_b[..., 2, :])
    return (top - bottom).clamp(min=0).prod(-1)
