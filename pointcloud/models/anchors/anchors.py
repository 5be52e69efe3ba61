"""Anchors: boxes of typical sizes at every cell of a map, which objects they are matched with, offsets from them.

Zhou, Tuzel, "VoxelNet", CVPR 2018, sections 2.2 and 3.1; PointPillars (Lang et al., CVPR 2019) and SECOND keep them.
Overlaps are those of the footprints turned to the nearest axis, as in all of the published code.
"""

from __future__ import annotations

import math
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
    grid: MapGrid, anchors: tuple[AnchorSettings, ...], placement: Literal["centres", "corners"]
) -> Float[Tensor, "y x a 7"]:
    """Boxes of every cell, class by class and yaw by yaw.

    Args:
        grid: of the map.
        anchors: of each class.
        placement: centres of the cells; corners: spread so that the first and the last lie on the range's border, as
            OpenPCDet and mmdetection3d's SECOND have them.
    """
    ny, nx = grid.shape
    step = 0.5 if placement == "centres" else 0.0
    xs, ys = (torch.arange(n, dtype=torch.float32) + step for n in (nx, ny))
    if placement == "corners":
        xs, ys = xs * nx / max(nx - 1, 1), ys * ny / max(ny - 1, 1)
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    xy = grid.to_metres(torch.stack([x, y], dim=-1))  # (Y, X, 2)
    rest = torch.tensor([[a.z_m, *a.size_m, yaw] for a in anchors for yaw in a.yaws])  # (A, 5)
    a = len(rest)
    return torch.cat([xy[:, :, None].expand(ny, nx, a, 2), rest.expand(ny, nx, a, 5)], dim=-1)


def match_anchors(
    anchors: Float[Tensor, "y x a 7"], boxes: Float[Tensor, "k _"], rule: AnchorSettings
) -> AnchorMatches:
    """Anchors of one class with its objects: by IoU, and every object's best anchors even if their IoU is low.

    Args:
        anchors: of one class, as `place_anchors` has them.
        boxes: objects of that class.
        rule: thresholds.
    """
    if not len(boxes) or not anchors.numel():
        nothing = torch.full((anchors[..., 0].numel(),), -1, dtype=torch.int64, device=anchors.device)
        return AnchorMatches(nothing, nothing < 0)
    iou = _overlaps(anchors, boxes[:, :7]).flatten(0, 2)  # (N, K)
    best, owner = iou.max(dim=1)
    best_of_object = iou.max(dim=0).values
    chosen = ((iou == best_of_object) & (best_of_object > rule.least)).any(dim=1)
    positive = chosen | (best >= rule.positive)
    return AnchorMatches(torch.where(positive, owner, -1), ~positive & (best < rule.negative))


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
    anchors: Float[Tensor, "y x a 7"], target: BoxTargets, rules: tuple[AnchorSettings, ...]
) -> AnchorMatches:
    """Matches of all anchors (Y * X * A) of one sample; class by class, objects numbered as in the target."""
    parts, first = [], 0
    for label, rule in enumerate(rules):
        own = anchors[:, :, first : first + len(rule.yaws)]
        rows = (target.labels == label).nonzero()[:, 0]
        rows = rows[(target.boxes[rows, 3:6] > 0).all(dim=1)]
        found = match_anchors(own, target.boxes[rows].to(own.dtype), rule)
        if len(rows):
            found = found._replace(object=torch.where(found.object >= 0, rows[found.object.clamp(min=0)], -1))
        shape = (*anchors.shape[:2], len(rule.yaws))
        parts.append([values.view(shape) for values in found])
        first += len(rule.yaws)
    return AnchorMatches(*(torch.cat(column, dim=2).flatten() for column in zip(*parts, strict=True)))
