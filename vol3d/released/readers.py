"""The readers of released weights, by the name that `vol3d import` takes."""

from __future__ import annotations

from vol3d.catalog import Entry

RELEASED = {
    "unetr": Entry(
        "medical.models.released:load",
        "segmentation",
        "UNETR in MONAI's layouts, 0.7 to now",
        "unetr_btcv",
        stated={"window": "window.size", "heads": "model.heads"},
        together="preprocess",
    ),
    "3detr-scannet": Entry(
        "pointcloud.models.three_detr.released:load", "detection", "3DETR, 18 classes", "3detr_scannet_ep1080"
    ),
    "3detr-m-scannet": Entry(
        "pointcloud.models.three_detr.released:load",
        "detection",
        "3DETR-m, 18 classes",
        "3detr-m_scannet_ep1080",
    ),
    "3detr-sunrgbd": Entry(
        "pointcloud.models.three_detr.released:load", "detection", "3DETR, 10 classes", "3detr_sun_rgbd_ep1080"
    ),
    "3detr-m-sunrgbd": Entry(
        "pointcloud.models.three_detr.released:load",
        "detection",
        "3DETR-m, 10 classes",
        "3detr-m_sun_rgbd_ep1080",
    ),
    "votenet-scannet": Entry(
        "pointcloud.models.released.vote_net:load",
        "detection",
        "VoteNet, 18 classes (mmdetection3d)",
        "votenet_scannet",
        beside=("angles",),
    ),
    "votenet-sunrgbd": Entry(
        "pointcloud.models.released.vote_net:load",
        "detection",
        "VoteNet, 10 classes (mmdetection3d)",
        "votenet_sun_rgbd",
        beside=("angles",),
    ),
    "h3dnet-scannet": Entry(
        "pointcloud.models.released.h3d_net:load",
        "detection",
        "H3DNet, 18 classes (mmdetection3d)",
        "h3dnet_scannet",
    ),
    "centerpoint-pillar": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "CenterPoint, pillars of 0.2 m, nuScenes",
        "centerpoint_pillar_nuscenes",
        beside=("convention",),
    ),
    "centerpoint-voxel": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "CenterPoint, voxels of 0.1 m, nuScenes",
        "centerpoint_voxel01_nuscenes",
        beside=("convention",),
    ),
    "centerpoint-voxel-0075": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "CenterPoint, 0.075 m, nuScenes",
        "centerpoint_voxel0075_nuscenes",
        beside=("convention",),
    ),
    "object-dgcnn-pillar": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "Object DGCNN, pillars of 0.2 m, nuScenes",
        "object_dgcnn_pillar",
        beside=("convention",),
    ),
    "object-dgcnn-voxel": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "Object DGCNN, voxels of 0.1 m, nuScenes",
        "object_dgcnn_voxel",
        beside=("convention",),
    ),
    "pointpillars-kitti": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "PointPillars, 3 classes of KITTI",
        "pointpillars_kitti",
        beside=("convention",),
    ),
    "second-kitti": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "SECOND, 3 classes of KITTI",
        "second_kitti",
        beside=("convention",),
    ),
    "pointpillars-fpn-nuscenes": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "PointPillars with a feature pyramid, nuScenes",
        "pointpillars_fpn_nuscenes",
        beside=("convention",),
    ),
    "free-anchor-nuscenes": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "PointPillars with FreeAnchor's loss, nuScenes",
        "free_anchor_nuscenes",
        beside=("convention",),
    ),
    "ssn-nuscenes": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "PointPillars with SSN's grouping heads, nuScenes",
        "ssn_nuscenes",
        beside=("convention",),
    ),
    "regnet-secfpn-nuscenes": Entry(
        "pointcloud.models.released.load:load",
        "lidar",
        "PointPillars with RegNetX-400MF, nuScenes",
        "regnet_secfpn_nuscenes",
        beside=("convention",),
    ),
}
"""Readers of released weights: `target(name, path, settings) -> model`; `vol3d.released.table` has their files."""
