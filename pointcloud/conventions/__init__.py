"""Other projects' box layouts, one file each: the only places where they exist."""

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti, boxes_to_kitti, kitti_lidar_from_camera
from pointcloud.conventions.mmdet3d import (
    boxes_from_mmdet3d,
    boxes_from_mmdet3d_before_1_0,
    boxes_to_mmdet3d,
    boxes_to_mmdet3d_before_1_0,
)
from pointcloud.conventions.nuscenes import NuscenesBoxes, boxes_from_nuscenes, boxes_to_nuscenes
from pointcloud.conventions.openpcdet import boxes_from_openpcdet, boxes_to_openpcdet
from pointcloud.conventions.sun_rgbd import (
    boxes_from_sun_rgbd,
    boxes_from_three_detr,
    boxes_to_sun_rgbd,
    boxes_to_three_detr,
)

__all__ = [
    "KittiBoxes",
    "NuscenesBoxes",
    "boxes_from_kitti",
    "boxes_from_mmdet3d",
    "boxes_from_mmdet3d_before_1_0",
    "boxes_from_nuscenes",
    "boxes_from_openpcdet",
    "boxes_from_sun_rgbd",
    "boxes_from_three_detr",
    "boxes_to_kitti",
    "boxes_to_mmdet3d",
    "boxes_to_mmdet3d_before_1_0",
    "boxes_to_nuscenes",
    "boxes_to_openpcdet",
    "boxes_to_sun_rgbd",
    "boxes_to_three_detr",
    "kitti_lidar_from_camera",
]
