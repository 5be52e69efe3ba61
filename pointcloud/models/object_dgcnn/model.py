"""Object DGCNN: a map seen from above, queries that attend to it and exchange messages along a graph, a set of boxes.

Wang and Solomon, "Object DGCNN: 3D Object Detection using Dynamic Graphs", NeurIPS 2021, section 3. The
queries are in `head`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from pointcloud.models.layers.bev_backbones import VOXEL_BACKBONE, Fpn, FpnSettings
from pointcloud.models.layers.bev_encoder import BevEncoder, BevSettings, build_backbone
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHead, ObjectDgcnnHeadSettings, QueryOutputs
from pointcloud.structures.box_code import box_columns
from pointcloud.structures.detector import LidarDetector, SetDetector, SplitDetector
from pointcloud.structures.predicted_set import PredictedSet
from pointcloud.structures.targets import BoxTargets
from pointcloud.structures.voxels import VoxelSettings
from vol3d.scans.results.detections import Detections


class ObjectDgcnnSettings(BevSettings):
    """Object DGCNN; the defaults are its pillars on nuScenes, `on_voxels()` has the other published network."""

    name: Literal["object_dgcnn"] = "object_dgcnn"
    neck: FpnSettings = FpnSettings()
    head: ObjectDgcnnHeadSettings = ObjectDgcnnHeadSettings()

    @classmethod
    def on_voxels(cls) -> ObjectDgcnnSettings:
        """Voxels of 0.1 x 0.1 x 0.2 m, sparse 3D convolutions."""
        voxels = VoxelSettings(voxel_size_m=(0.1, 0.1, 0.2), max_points=10, max_voxels=120000)
        return cls(encoder="voxels", voxels=voxels, backbone=VOXEL_BACKBONE)

    @model_validator(mode="after")
    def _check(self) -> ObjectDgcnnSettings:
        width, heads = self.neck.width, self.head.heads
        if width % heads or width % 4:
            raise ValueError(f"neck.width must be a multiple of head.heads and of 4, got {width} and {heads}")
        if self.neck.levels < len(self.backbone.widths):
            raise ValueError(f"neck.levels must be {len(self.backbone.widths)} at least: the backbone's blocks")
        return self

    def build(self, class_names: tuple[str, ...]) -> ObjectDgcnn:
        """The network with fresh weights."""
        return ObjectDgcnn(self, class_names)


@dataclass(frozen=True, eq=False)
class ObjectDgcnnPrediction:
    """A set of boxes.

    outputs: of the queries after each decoder layer.
    maps: (B, C, Y, X) that they attended to, finest first.
    left_out: voxels of each cloud beyond the limit, which are dropped.
    """

    outputs: QueryOutputs
    maps: tuple[Float[Tensor, "b c _y _x"], ...]
    left_out: tuple[int, ...]


class ObjectDgcnn(
    SplitDetector[ObjectDgcnnPrediction], LidarDetector[ObjectDgcnnPrediction], SetDetector[ObjectDgcnnPrediction]
):
    """Encoder, backbone, feature pyramid, queries.

    Args:
        settings: sizes.
        class_names: without a background.
    """

    settings: ObjectDgcnnSettings
    class_layers: ClassVar[tuple[str, ...]] = ("head.class_heads.*.6",)

    def __init__(self, settings: ObjectDgcnnSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        low_x, low_y, _, high_x, high_y, _ = settings.voxels.point_range_m
        self.encoder = BevEncoder(settings)
        self.backbone = build_backbone(self.encoder.width, settings.backbone)
        self.neck = Fpn(settings.backbone.widths, settings.neck)
        self.head = ObjectDgcnnHead(settings.head, self.class_names, settings.neck, (low_x, low_y, high_x, high_y))

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C, ny, nx) of pillars, an eighth of that of voxels."""
        bev, left_out = self.encoder(clouds)
        return (bev,), left_out

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What Q queries say after each layer, (B, layers, Q, ...), then the maps that they attended to."""
        maps = self.neck(self.backbone(*inputs))  # levels of (B, W, Y, X)
        found = self.head(maps)
        return found.class_logits.transpose(0, 1), found.code.transpose(0, 1), *maps

    @property
    def output_names(self) -> tuple[str, ...]:
        """`class_logits`, `code`, then `map_0` and so on."""
        return "class_logits", "code", *(f"map_{level}" for level in range(self.settings.neck.levels))

    def prediction(self, outputs: Sequence[Tensor], context: tuple[int, ...]) -> ObjectDgcnnPrediction:
        """A set of boxes."""
        logits, code, *maps = outputs
        return ObjectDgcnnPrediction(QueryOutputs(logits.transpose(0, 1), code.transpose(0, 1)), tuple(maps), context)

    def loss(self, prediction: ObjectDgcnnPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms of every layer; errors as `object_dgcnn_loss`."""
        return self.head.loss(prediction.outputs, targets)

    @torch.no_grad()
    def decode(self, prediction: ObjectDgcnnPrediction) -> list[Detections]:
        """Objects of each cloud, best first."""
        return self.head.decode(prediction.outputs)

    @property
    def box_code(self) -> tuple[str, ...]:
        """With velocities where the head has them."""
        return box_columns(turns=True, velocity=self.settings.head.velocity)

    def as_set(self, prediction: ObjectDgcnnPrediction) -> PredictedSet:
        """Of all layers."""
        return prediction.outputs.as_set()
