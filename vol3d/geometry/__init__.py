"""Boxes in one convention (`boxes.py`): frames, corners, overlap, suppression; other layouts in `conventions`."""

from vol3d.geometry.boxes import (
    box_corners,
    box_volume,
    check_boxes,
    enclosing_axis_aligned,
    footprint_corners,
    nearest_axis_aligned,
    wrap_yaw,
)
from vol3d.geometry.frames import invert_rigid, transform_boxes, transform_points
from vol3d.geometry.giou import giou_3d, giou_3d_paired
from vol3d.geometry.iou import (
    iou_3d,
    iou_3d_axis_aligned,
    iou_3d_paired,
    iou_bev,
    iou_bev_axis_aligned,
    iou_bev_paired,
)
from vol3d.geometry.nms import nms_axis_aligned, nms_by_class, nms_circle, nms_rotated
from vol3d.geometry.overlap import overlap_bev, overlap_bev_paired
from vol3d.geometry.points_in_boxes import box_of_points, count_points_in_boxes, points_in_boxes

__all__ = [
    "box_corners",
    "box_of_points",
    "box_volume",
    "check_boxes",
    "count_points_in_boxes",
    "enclosing_axis_aligned",
    "footprint_corners",
    "giou_3d",
    "giou_3d_paired",
    "invert_rigid",
    "iou_3d",
    "iou_3d_axis_aligned",
    "iou_3d_paired",
    "iou_bev",
    "iou_bev_axis_aligned",
    "iou_bev_paired",
    "nearest_axis_aligned",
    "nms_axis_aligned",
    "nms_by_class",
    "nms_circle",
    "nms_rotated",
    "overlap_bev",
    "overlap_bev_paired",
    "points_in_boxes",
    "transform_boxes",
    "transform_points",
    "wrap_yaw",
]
