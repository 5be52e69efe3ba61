"""PointPillars: pillars of points, a 2D backbone, anchors.

Lang et al., "PointPillars: Fast Encoders for Object Detection from Point Clouds", CVPR 2019.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from pointcloud.models.anchors.anchors import nuscenes_anchors
from pointcloud.models.anchors.head import AnchorDetector, AnchorHead, AnchorHeadSettings
from pointcloud.models.layers.bev_backbones import Second, SecondFpn, SecondFpnSettings
from pointcloud.models.layers.bev_encoder import OneMapSettings
from pointcloud.models.layers.voxel_encoders import PointStack, PointStackSettings, encode_voxels
from pointcloud.structures.features import width
from pointcloud.structures.voxels import VoxelSettings
from vol3d.ops import scatter_to_bev

KITTI_PILLARS = VoxelSettings(
    point_range_m=(0.0, -39.68, -3.0, 69.12, 39.68, 1.0), voxel_size_m=(0.16, 0.16, 4.0), max_points=32
)


class PointPillarsSettings(OneMapSettings):
    """PointPillars; the defaults are KITTI's with three classes, `nuscenes()` has the other published setting."""

    name: Literal["pointpillars"] = "pointpillars"
    voxels: VoxelSettings = KITTI_PILLARS
    pillars: PointStackSettings = PointStackSettings(centre_offset="xyz")
    head: AnchorHeadSettings = Field(default_factory=AnchorHeadSettings)

    @classmethod
    def nuscenes(cls) -> PointPillarsSettings:
        """Ten classes on nuScenes: pillars of 0.2 m, velocities, anchors as OpenPCDet publishes them, in one head."""
        return cls(
            features=("intensity", "time"),
            voxels=VoxelSettings(max_points=20, max_voxels=30000),
            neck=SecondFpnSettings(upsample=(0.5, 1, 2)),
            head=AnchorHeadSettings(anchors=nuscenes_anchors(), velocity=True, nms_iou=0.2, nms_classes="apart"),
        )

    def check_encoder(self) -> None:
        self.voxels.require_pillars()

    def build(self, class_names: tuple[str, ...]) -> PointPillars:
        """The network with fresh weights."""
        return PointPillars(self, class_names)


class PointPillars(AnchorDetector):
    """The network of figure 2.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the anchors are those of other classes.
    """

    settings: PointPillarsSettings

    def __init__(self, settings: PointPillarsSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        self.points = PointStack(3 + width(settings.features), settings.pillars)
        self.backbone = Second(self.points.width, settings.backbone)
        self.neck = SecondFpn(settings.backbone.widths, settings.neck)
        self.head = AnchorHead(self.neck.width, self.class_names, settings.head)

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C, ny, nx) of pillars."""
        settings, grid = self.settings, self.settings.voxels.grid
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, grid.shape)
        return (bev,), voxels.left_out
