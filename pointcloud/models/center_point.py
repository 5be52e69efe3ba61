"""CenterPoint: objects as the centres of heat maps seen from above, on pillars or on sparse voxels.

Yin, Zhou, Krähenbühl, "Center-based 3D Object Detection and Tracking", CVPR 2021; its first stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from pointcloud.datasets.scenes import BoxTargets
from pointcloud.features import Feature, width
from pointcloud.models.bev_backbones import (
    Second,
    SecondFpn,
    SecondFpnSettings,
    SecondSettings,
    check_divisible,
    neck_stride,
)
from pointcloud.models.center_head import CenterHead, CenterHeadSettings, CenterOutputs
from pointcloud.models.center_targets import MapGrid
from pointcloud.models.sparse_encoder import SparseEncoder, SparseEncoderSettings
from pointcloud.models.voxel_encoders import (
    MeanEncoder,
    PointStack,
    PointStackSettings,
    VoxelSettings,
    encode_voxels,
)
from vol3d.engine.settings import Settings
from vol3d.ops import scatter_to_bev
from vol3d.scans.detections import Detections


class CenterPointSettings(Settings):
    """CenterPoint; the defaults are its pillars of 0.2 m on nuScenes but for the tasks, which depend on the classes."""

    name: Literal["centerpoint"] = "centerpoint"
    features: tuple[Feature, ...] = Field(("intensity", "time"), description="what the network sees besides the place")
    encoder: Literal["pillars", "voxels"] = Field("pillars", description="of points; voxels: means and sparse 3D")
    voxels: VoxelSettings = VoxelSettings()
    pillars: PointStackSettings = Field(PointStackSettings(widths=(32, 64)), description="where the encoder is pillars")
    sparse: SparseEncoderSettings = Field(SparseEncoderSettings(), description="where the encoder is voxels")
    backbone: SecondSettings = SecondSettings()
    neck: SecondFpnSettings = SecondFpnSettings(upsample=(0.5, 1, 2))
    head: CenterHeadSettings = CenterHeadSettings()

    @property
    def stride(self) -> int:
        """Voxels along a side of a cell of the head's maps."""
        return neck_stride(self.backbone, self.neck) * (self.sparse.stride if self.encoder == "voxels" else 1)

    @model_validator(mode="after")
    def _check(self) -> CenterPointSettings:
        nz, ny, nx = self.voxels.grid.shape
        before = 1
        if self.encoder == "voxels":
            before = self.sparse.stride
            self.sparse.layers(nz)
        elif nz != 1:
            raise ValueError(f"pillars must reach over the whole range in z, got {nz} voxels above each other")
        check_divisible((ny, nx), before * prod(self.backbone.strides))
        _ = self.stride
        return self

    def build(self, class_names: tuple[str, ...]) -> CenterPoint:
        """The network with fresh weights."""
        return CenterPoint(self, class_names)


@dataclass(frozen=True, eq=False)
class CenterPointPrediction:
    """Maps of every task.

    outputs: of the head, one of each task.
    bev: (B, C, Y, X) what the head saw.
    grid: where the maps' cells lie.
    left_out: voxels of each cloud that were beyond the limit.
    """

    outputs: tuple[CenterOutputs, ...]
    bev: Float[Tensor, "b c y x"]
    grid: MapGrid
    left_out: tuple[int, ...]


class CenterPoint(nn.Module):
    """The network of figure 2's first stage.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the head's tasks are not these classes.
    """

    def __init__(self, settings: CenterPointSettings, class_names: tuple[str, ...]) -> None:
        super().__init__()
        self.settings, self.class_names = settings, tuple(class_names)
        columns = 3 + width(settings.features)
        self.points: MeanEncoder | PointStack
        if settings.encoder == "pillars":
            self.points, self.middle = PointStack(columns, settings.pillars), None
            channels = self.points.width
        else:
            self.points, self.middle = MeanEncoder(columns), SparseEncoder(columns, settings.sparse)
            channels = settings.sparse.map_width(settings.voxels.grid.shape[0])
        self.backbone = Second(channels, settings.backbone)
        self.neck = SecondFpn(settings.backbone.widths, settings.neck)
        self.head = CenterHead(self.neck.width, self.class_names, settings.head)

    def forward(self, clouds: list[Tensor]) -> CenterPointPrediction:
        """What is in the clouds (N_i, 3 + C): coordinates in metres with z up, then the settings' features.

        Raises:
            DataError: other columns than the features, values that are not finite.
        """
        settings, grid = self.settings, self.settings.voxels.grid
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        if self.middle is None:
            bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, grid.shape)
        else:
            bev = self.middle(voxels, grid)  # (B, C, Y / 8, X / 8)
        bev = self.neck(self.backbone(bev))  # (B, C, Y / stride, X / stride)
        outputs = self.head(bev)
        low, size = settings.voxels.point_range_m, settings.voxels.voxel_size_m
        cells = MapGrid((low[0], low[1]), (size[0], size[1]), settings.stride, (bev.shape[2], bev.shape[3]))
        return CenterPointPrediction(outputs, bev, cells, voxels.left_out)

    def loss(self, prediction: CenterPointPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms; errors as `CenterHead.loss`."""
        return self.head.loss(prediction.outputs, targets, prediction.grid)

    @torch.no_grad()
    def decode(self, prediction: CenterPointPrediction) -> list[Detections]:
        """Objects of each cloud, task after task, best first within a task."""
        return self.head.decode(prediction.outputs, prediction.grid)
