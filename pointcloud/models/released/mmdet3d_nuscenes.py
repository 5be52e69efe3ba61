"""mmdetection3d's detectors with anchors on nuScenes: their published settings, and what a file's age changes of them.

All see 100 x 100 m in pillars of 0.25 m, of each point its place and time but no intensity, and, but for SSN, let
objects of every class have any anchor. Settings are those of mmdetection3d 1.4 (configs/pointpillars, regnet,
free_anchor, ssn).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointcloud.models.anchors.anchors import AnchorSettings
from pointcloud.models.anchors.free_anchor import FreeAnchorHeadSettings, FreeAnchorSettings
from pointcloud.models.anchors.head import AnchorHeadSettings
from pointcloud.models.anchors.point_pillars import PillarSettings, PointPillarsSettings
from pointcloud.models.anchors.ssn import SsnHeadSettings, SsnSettings, mean_anchors
from pointcloud.models.layers.bev_backbones import FpnSettings
from pointcloud.models.layers.reg_net import RegNetSettings
from pointcloud.models.layers.voxel_encoders import PointStackSettings
from pointcloud.models.released.weights import Convention, turned_yaws
from pointcloud.structures.voxels import VoxelSettings

CLASSES = (
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
)
YAWS = (0.0, 1.57)  # a quarter turn as they write it
QUARTER = 0.7854  # and an eighth

MEAN_SIZES = {
    # of seven classes: l w h, height of the bottom
    "car": (4.60718145, 1.95017717, 1.72270761, -1.80032795),
    "truck": (6.73778078, 2.4560939, 2.73004906, -1.74440365),
    "trailer": (12.01320693, 2.87427237, 3.81509561, -1.68526504),
    "bicycle": (1.68452161, 0.60058911, 1.27192197, -1.67339111),
    "pedestrian": (0.7256437, 0.66344886, 1.75748069, -1.61785072),
    "traffic_cone": (0.40359262, 0.39694519, 1.06232151, -1.80984986),
    "barrier": (0.48578221, 2.49008838, 0.98297065, -1.763965),
}
SHAPES = {
    # of objects on the finest map; twice and four times as large on the others
    "long": (2.5981, 0.8660, 1.0, -1.8),
    "middling": (1.7321, 0.5774, 1.0, -1.8),
    "square": (1.0, 1.0, 1.0, -1.8),
    "small": (0.4, 0.4, 1.0, -1.8),
}
PILLARS: dict[str, Any] = {
    "features": ("time",),
    "voxels": VoxelSettings(
        point_range_m=(-50.0, -50.0, -5.0, 50.0, 50.0, 3.0), voxel_size_m=(0.25, 0.25, 8.0), max_points=64
    ),
    "pillars": PointStackSettings(widths=(64, 64), centre_offset="xyz"),
}
HEAD: dict[str, Any] = {
    "placement": "centres",
    "velocity": True,
    "boxes": 1.0,
    "direction_from": -QUARTER,
    "labels": "every",
    "score": 0.05,
    "nms_iou": 0.2,
    "nms_classes": "apart",
}


RULE: dict[str, Any] = {"positive": 0.6, "negative": 0.3, "least": 0.3, "claim": True}


def standing(
    table: Mapping[str, tuple[float, float, float, float]], rule: Mapping[str, Any]
) -> dict[str, AnchorSettings]:
    """Anchors of one rule from l w h and the height of the bottom."""
    return {
        name: AnchorSettings(size_m=(length, width, height), z_m=bottom + height / 2, yaws=YAWS, **rule)
        for name, (length, width, height, bottom) in table.items()
    }


PUBLISHED: dict[str, PillarSettings] = {
    "pointpillars-fpn-nuscenes": PointPillarsSettings(
        **PILLARS,
        neck=FpnSettings(levels=3),
        head=AnchorHeadSettings(
            **HEAD, per="batch", anchors=standing(SHAPES, RULE), shared=True, scales=(1.0, 2.0, 4.0)
        ),
    ),
    "free-anchor-nuscenes": FreeAnchorSettings(
        **PILLARS,
        head=FreeAnchorHeadSettings(**HEAD | {"boxes": 0.8, "velocities": 0.25}, anchors=standing(SHAPES, {})),
    ),
    "regnet-secfpn-nuscenes": PointPillarsSettings(
        **PILLARS,
        backbone=RegNetSettings(),
        head=AnchorHeadSettings(
            **HEAD, per="batch", anchors=standing(MEAN_SIZES, RULE), shared=True, range_m=(-49.6, -49.6, 49.6, 49.6)
        ),
    ),
}

_MEANS = {name: a.model_copy(update={"yaws": YAWS}) for name, a in mean_anchors().items()}
SSN = SsnSettings(
    **PILLARS | {"voxels": PILLARS["voxels"].model_copy(update={"max_points": 20})},
    head=SsnHeadSettings(**HEAD, per="batch", anchors=_MEANS),
)
SSN_CLASSES = tuple(_MEANS)


def of_convention(head: AnchorHeadSettings, convention: Convention) -> dict[str, Any]:
    """Settings of a head that was trained before 1.0, where yaws turned the other way from another axis."""
    if convention != "clockwise":
        return {}
    anchors = {name: a.model_copy(update={"yaws": turned_yaws(YAWS)}) for name, a in head.anchors.items()}
    return {"anchors": anchors, "direction_from": QUARTER}
