"""PointPillars: pillars of points, a 2D backbone, anchors.

Lang et al., "PointPillars: Fast Encoders for Object Detection from Point Clouds", CVPR 2019. With RegNetX as its
backbone, or a feature pyramid as its neck whose every map has anchors of its own scale, it is mmdetection3d's on
nuScenes, the rows PointPillars and RegNetX-400MF-SECFPN in table 1 of Object DGCNN.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from pointcloud.models.anchors.anchors import nuscenes_anchors
from pointcloud.models.anchors.head import AnchorDetector, AnchorHead, AnchorHeadSettings
from pointcloud.models.layers.bev_backbones import FpnSettings, SecondFpnSettings, level_strides, neck_stride
from pointcloud.models.layers.bev_encoder import MapSettings, Neck, build_backbone, build_neck
from pointcloud.models.layers.voxel_encoders import PointStack, PointStackSettings, encode_voxels
from pointcloud.structures.features import width
from pointcloud.structures.voxels import VoxelSettings
from vol3d.ops import scatter_to_bev

KITTI_PILLARS = VoxelSettings(
    point_range_m=(0.0, -39.68, -3.0, 69.12, 39.68, 1.0), voxel_size_m=(0.16, 0.16, 4.0), max_points=32
)


class PillarSettings(MapSettings):
    """Pillars, and a neck of one map or of several, on whose cells the head finds objects."""

    voxels: VoxelSettings = KITTI_PILLARS
    pillars: PointStackSettings = PointStackSettings(centre_offset="xyz")
    neck: Neck = SecondFpnSettings()
    head: AnchorHeadSettings = Field(default_factory=AnchorHeadSettings)

    @property
    def strides(self) -> tuple[int, ...]:
        """Voxels along a side of a cell of each map."""
        if isinstance(self.neck, FpnSettings):
            return level_strides(self.backbone.map_strides, self.neck)
        stride = neck_stride(self.backbone.map_strides, self.neck)
        if stride % 1:
            raise ValueError(f"neck.upsample must not go beyond the voxels, got a stride of {stride}")
        return (int(stride),)

    def check_encoder(self) -> None:
        self.voxels.require_pillars()

    @model_validator(mode="after")
    def _check_maps(self) -> PillarSettings:
        if len(self.head.scales) != len(self.strides):
            raise ValueError(f"head.scales must be as many as the neck has maps, {len(self.strides)}")
        return self


class PointPillarsSettings(PillarSettings):
    """PointPillars; the defaults are KITTI's with three classes, `nuscenes()` has the other published setting."""

    name: Literal["pointpillars"] = "pointpillars"

    @classmethod
    def nuscenes(cls) -> PointPillarsSettings:
        """Ten classes on nuScenes: pillars of 0.2 m, velocities, anchors as OpenPCDet publishes them, in one head."""
        return cls(
            features=("intensity", "time"),
            voxels=VoxelSettings(max_points=20, max_voxels=30000),
            neck=SecondFpnSettings(upsample=(0.5, 1, 2)),
            head=AnchorHeadSettings(anchors=nuscenes_anchors(), velocity=True, nms_iou=0.2, nms_classes="apart"),
        )

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

    settings: PillarSettings
    head_type: ClassVar[type[AnchorHead]] = AnchorHead

    def __init__(self, settings: PillarSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        self.points = PointStack(3 + width(settings.features), settings.pillars)
        self.backbone = build_backbone(self.points.width, settings.backbone)
        self.neck = build_neck(settings.backbone.widths, settings.neck)
        self.head = self.head_type(self.neck.width, self.class_names, settings.head)

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of the neck's maps."""
        return self.settings.strides

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C, ny, nx) of pillars."""
        settings, grid = self.settings, self.settings.voxels.grid
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, grid.shape)
        return (bev,), voxels.left_out
