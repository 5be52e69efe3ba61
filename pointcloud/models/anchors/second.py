"""SECOND: means of small voxels, sparse 3D convolutions, a 2D backbone, anchors.

Yan, Mao, Li, "SECOND: Sparsely Embedded Convolutional Detection", Sensors 2018; as published with OpenPCDet and
mmdetection3d (the paper's first version had VoxelNet's voxel features).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from pointcloud.models.anchors.head import AnchorDetector, AnchorHead, AnchorHeadSettings
from pointcloud.models.layers.bev_backbones import (
    VOXEL_BACKBONE,
    VOXEL_NECK,
    SecondFpn,
    SecondFpnSettings,
)
from pointcloud.models.layers.bev_encoder import Backbone, OneMapSettings, build_backbone
from pointcloud.models.layers.sparse_encoder import SparseEncoder, SparseEncoderSettings
from pointcloud.models.layers.voxel_encoders import MeanEncoder, encode_voxels
from pointcloud.structures.features import width
from pointcloud.structures.voxels import VoxelSettings

KITTI_VOXELS = VoxelSettings(
    point_range_m=(0.0, -40.0, -3.0, 70.4, 40.0, 1.0), voxel_size_m=(0.05, 0.05, 0.1), max_points=5
)
PLAIN_ENCODER = SparseEncoderSettings(block="plain", widths=(16, 32, 64, 64), blocks=(1, 2, 2, 2))


class SecondDetectorSettings(OneMapSettings):
    """SECOND; the defaults are KITTI's with three classes."""

    name: Literal["second"] = "second"
    voxels: VoxelSettings = KITTI_VOXELS
    sparse: SparseEncoderSettings = PLAIN_ENCODER
    backbone: Backbone = VOXEL_BACKBONE
    neck: SecondFpnSettings = VOXEL_NECK
    head: AnchorHeadSettings = Field(default_factory=AnchorHeadSettings)

    @property
    def encoder_stride(self) -> int:
        return self.sparse.stride

    def check_encoder(self) -> None:
        self.sparse.layers(self.voxels.grid.shape[0])

    def build(self, class_names: tuple[str, ...]) -> SecondDetector:
        """The network with fresh weights."""
        return SecondDetector(self, class_names)


class SecondDetector(AnchorDetector):
    """The network of figure 1.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the anchors are those of other classes.
    """

    settings: SecondDetectorSettings

    def __init__(self, settings: SecondDetectorSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        columns = 3 + width(settings.features)
        self.points, self.middle = MeanEncoder(columns), SparseEncoder(columns, settings.sparse)
        self.backbone = build_backbone(settings.sparse.map_width(settings.voxels.grid.shape[0]), settings.backbone)
        self.neck = SecondFpn(settings.backbone.widths, settings.neck)
        self.head = AnchorHead(self.neck.width, self.class_names, settings.head)

    @property
    def strides(self) -> tuple[int, ...]:
        """There is one map."""
        return (self.settings.stride,)

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C, ny / 8, nx / 8) of sparse voxels."""
        settings = self.settings
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        return (self.middle(voxels, settings.voxels.grid),), voxels.left_out
