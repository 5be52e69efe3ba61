"""Anchors: boxes of typical sizes at every cell of a map, which objects they are matched with, offsets from them.

Zhou, Tuzel, "VoxelNet", CVPR 2018, sections 2.2 and 3.1; PointPillars (Lang et al., CVPR 2019) and SECOND keep them.
Overlaps are those of the footprints turned to the nearest axis, as in all of the published code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from vol3d.engine.settings import Settings
from vol3d.geometry import nearest_axis_aligned
from vol3d.geometry.boxes import YAW
from vol3d.geometry.iou import axis_overlap, ratio

GroundRange = tuple[float, float, float, float]
"""Lowest x y, highest x y, metres."""
LARGEST_LOG_SIZE = 5.0  # sizes are at most 148 times their anchor's: those of an untrained network stay numbers


class AnchorSettings(Settings):
    """Anchors of one class; a cell has one for every yaw."""

    size_m: tuple[float, float, float] = Field(description="l w h")
    z_m: float = Field(description="height of the anchor's centre (published configs give its bottom)")
    positive: float = Field(0.6, gt=0, le=1, description="IoU with an object from which an anchor is positive")
    negative: float = Field(0.45, ge=0, le=1, description="IoU with every object below which it is negative")
    least: float = Field(
        0.0, ge=0, le=1, description="IoU that an object's best anchor must exceed to be positive (mmdet3d: negative)"
    )
    claim: bool = Field(
        False, description="objects keep their best anchors also where those overlap another object more (mmdet3d)"
    )
    yaws: tuple[float, ...] = Field((0.0, math.pi / 2), min_length=1, description="radians")

    @model_validator(mode="after")
    def _check(self) -> AnchorSettings:
        if min(self.size_m) <= 0 or self.negative > self.positive:
            raise ValueError("size_m must be positive and negative not above positive")
        return self


def kitti_anchors() -> dict[str, AnchorSettings]:
    """Published for KITTI (VoxelNet, section 3.1; PointPillars, section 4.1)."""
    person = {"positive": 0.5, "negative": 0.35}
    return {
        "Pedestrian": AnchorSettings(size_m=(0.8, 0.6, 1.73), z_m=-0.6 + 1.73 / 2, **person),
        "Cyclist": AnchorSettings(size_m=(1.76, 0.6, 1.73), z_m=-0.6 + 1.73 / 2, **person),
        "Car": AnchorSettings(size_m=(3.9, 1.6, 1.56), z_m=-1.78 + 1.56 / 2),
    }


def nuscenes_anchors() -> dict[str, AnchorSettings]:
    """Published for nuScenes with OpenPCDet's PointPillars: l w h, bottom, IoU of positives and negatives."""
    table = {
        "car": (4.63, 1.97, 1.74, -0.95, 0.6, 0.45),
        "truck": (6.93, 2.51, 2.84, -0.6, 0.55, 0.4),
        "construction_vehicle": (6.37, 2.85, 3.19, -0.225, 0.5, 0.35),
        "bus": (10.5, 2.94, 3.47, -0.085, 0.55, 0.4),
        "trailer": (12.29, 2.90, 3.87, 0.115, 0.5, 0.35),
        "barrier": (0.50, 2.53, 0.98, -1.33, 0.55, 0.4),
        "motorcycle": (2.11, 0.77, 1.47, -1.085, 0.5, 0.3),
        "bicycle": (1.70, 0.60, 1.28, -1.18, 0.5, 0.35),
        "pedestrian": (0.73, 0.67, 1.77, -0.935, 0.6, 0.4),
        "traffic_cone": (0.41, 0.41, 1.07, -1.285, 0.6, 0.4),
    }
    return {
        name: AnchorSettings(
            size_m=(length, width, height), z_m=bottom + height / 2, positive=positive, negative=negative
        )
        for name, (length, width, height, bottom, positive, negative) in table.items()
    }


class AnchorMatches(NamedTuple):
    """Of the anchors of one sample: object of each or -1; whether it counts as background. Neither: ignored."""

    object: Int64[Tensor, " n"]
    background: Tensor


def place_anchors(
    grid: MapGrid,
    anchors: tuple[AnchorSettings, ...],
    placement: Literal["centres", "corners"],
    *,
    range_m: GroundRange | None = None,
    scale: float = 1.0,
) -> Float[Tensor, "y x a 7"]:
    """Boxes of every cell, class by class and yaw by yaw.

    Args:
        grid: of the map.
        anchors: of each class.
        placement: centres of the cells; corners: spread so that the first and the last lie on the range's border, as
            OpenPCDet and mmdetection3d's SECOND have them.
        range_m: what is covered by as many cells as the map has; None: what the map covers.
        scale: by which anchors grow, standing where they stood.
    """
    ny, nx = grid.shape
    if range_m is not None:
        low_x, low_y, high_x, high_y = range_m
        grid = MapGrid((low_x, low_y), ((high_x - low_x) / nx, (high_y - low_y) / ny), 1, grid.shape)
    step = 0.5 if placement == "centres" else 0.0
    xs, ys = (torch.arange(n, dtype=torch.float32) + step for n in (nx, ny))
    if placement == "corners":
        xs, ys = xs * nx / max(nx - 1, 1), ys * ny / max(ny - 1, 1)
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    xy = grid.to_metres(torch.stack([x, y], dim=-1))  # (Y, X, 2)
    rest = torch.tensor([[*_scaled(a, scale), yaw] for a in anchors for yaw in a.yaws])  # (A, 5)
    a = len(rest)
    return torch.cat([xy[:, :, None].expand(ny, nx, a, 2), rest.expand(ny, nx, a, 5)], dim=-1)


def _scaled(anchor: AnchorSettings, scale: float) -> tuple[float, float, float, float]:
    """Height of the centre, then l w h."""
    length, width, height = (side * scale for side in anchor.size_m)
    return anchor.z_m + (height - anchor.size_m[2]) / 2, length, width, height


def match_anchors(
    levels: Sequence[Float[Tensor, "_y _x _a 7"]], boxes: Float[Tensor, "k _"], rule: AnchorSettings
) -> AnchorMatches:
    """Anchors of one class with its objects: by IoU, and every object's best anchors even if their IoU is low.

    Args:
        levels: anchors of one class on each map, as `place_anchors` has them.
        boxes: objects of that class.
        rule: thresholds.
    """
    count = sum(anchors[..., 0].numel() for anchors in levels)
    if not len(boxes) or not count:
        nothing = torch.full((count,), -1, dtype=torch.int64, device=boxes.device)
        return AnchorMatches(nothing, nothing < 0)
    iou = anchor_overlaps(levels, boxes)  # (N, K)
    best, owner = iou.max(dim=1)
    best_of_object = iou.max(dim=0).values
    chosen = (iou == best_of_object) & (best_of_object > rule.least)
    positive = chosen.any(dim=1) | (best >= rule.positive)
    if rule.claim:
        last = chosen.shape[1] - 1 - chosen.flip(1).int().argmax(dim=1)  # the last of several, as in mmdetection
        owner = torch.where(chosen.any(dim=1), last, owner)
    return AnchorMatches(torch.where(positive, owner, -1), ~positive & (best < rule.negative))


def anchor_overlaps(levels: Sequence[Float[Tensor, "_y _x _a 7"]], boxes: Float[Tensor, "k _"]) -> Float[Tensor, "n k"]:
    """IoU of the anchors of all maps with boxes, both turned to the nearest axis and seen from above."""
    return torch.cat([_overlaps(anchors, boxes[:, :7]).flatten(0, 2) for anchors in levels])


def _overlaps(anchors: Float[Tensor, "y x a 7"], boxes: Float[Tensor, "k 7"]) -> Float[Tensor, "y x a k"]:
    """IoU from above, all turned to the nearest axis. Anchors of a column share their x and those of a row their y, so
    that the common area of a cell is one product."""
    column, row, flat = (nearest_axis_aligned(some) for some in (anchors[0, :, :, None], anchors[:, 0, :, None], boxes))
    common = axis_overlap(row, flat, 1)[:, None] * axis_overlap(column, flat, 0)  # (Y, 1, A, K) * (X, A, K)
    areas, area = column[0, ..., 3] * column[0, ..., 4], flat[:, 3] * flat[:, 4]
    return ratio(common, areas + area - common)


def encode_offsets(boxes: Float[Tensor, "*n _"], anchors: Float[Tensor, "*n 7"]) -> Float[Tensor, "*n _"]:
    """Boxes as offsets from anchors (VoxelNet, equation 1): centre by the anchor's diagonal and height, logarithms
    of the sizes, yaw; velocities stay."""
    diagonal = anchors[..., 3:5].norm(dim=-1, keepdim=True)
    xy = (boxes[..., :2] - anchors[..., :2]) / diagonal
    z = (boxes[..., 2:3] - anchors[..., 2:3]) / anchors[..., 5:6]
    sizes = (boxes[..., 3:6].clamp(min=1e-5) / anchors[..., 3:6]).log()
    return torch.cat([xy, z, sizes, boxes[..., YAW : YAW + 1] - anchors[..., YAW:], boxes[..., 7:]], dim=-1)


def decode_offsets(offsets: Float[Tensor, "*n _"], anchors: Float[Tensor, "*n 7"]) -> Float[Tensor, "*n _"]:
    """The inverse of `encode_offsets`; the yaw is not wrapped."""
    diagonal = anchors[..., 3:5].norm(dim=-1, keepdim=True)
    xy = offsets[..., :2] * diagonal + anchors[..., :2]
    z = offsets[..., 2:3] * anchors[..., 5:6] + anchors[..., 2:3]
    sizes = offsets[..., 3:6].clamp(max=LARGEST_LOG_SIZE).exp() * anchors[..., 3:6]
    return torch.cat([xy, z, sizes, offsets[..., YAW : YAW + 1] + anchors[..., YAW:], offsets[..., 7:]], dim=-1)


def match_sample(
    levels: Sequence[Float[Tensor, "_y _x _a 7"]],
    target: BoxTargets,
    rules: tuple[AnchorSettings, ...],
    *,
    shared: bool = False,
) -> AnchorMatches:
    """Matches of the anchors of all maps of one sample, map by map; objects numbered as in the target.

    Args:
        levels: anchors of each map.
        target: the objects.
        rules: of each class.
        shared: anchors are matched with objects of every class, by the first rule.
    """
    real = (target.boxes[:, 3:6] > 0).all(dim=1)
    if shared:
        groups = [(rules[0], sum(len(rule.yaws) for rule in rules), real)]
    else:
        groups = [(rule, len(rule.yaws), real & (target.labels == label)) for label, rule in enumerate(rules)]

    first, parts = 0, []
    for rule, yaws, chosen in groups:
        own, rows = [anchors[:, :, first : first + yaws] for anchors in levels], chosen.nonzero()[:, 0]
        found = match_anchors(own, target.boxes[rows].to(levels[0].dtype), rule)
        if len(rows):
            found = found._replace(object=torch.where(found.object >= 0, rows[found.object.clamp(min=0)], -1))
        sizes = [anchors[..., 0].numel() for anchors in own]
        parts.append([[x.view(a.shape[:3]) for x, a in zip(v.split(sizes), own, strict=True)] for v in found])
        first += yaws
    return AnchorMatches(*(_in_order(column) for column in zip(*parts, strict=True)))


def _in_order(groups: Sequence[Sequence[Tensor]]) -> Tensor:
    """Values (Y, X, A) of each group and map, flat in the order of the head's outputs."""
    return torch.cat([torch.cat(of_map, dim=2).flatten() for of_map in zip(*groups, strict=True)])
