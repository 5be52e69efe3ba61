"""CenterPoint: objects as the centres of heat maps seen from above, on pillars or on sparse voxels.

Yin, Zhou, Krähenbühl, "Center-based 3D Object Detection and Tracking", CVPR 2021; its first stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pointcloud.models.center_point.head import CenterHead, CenterHeadSettings, CenterOutputs
from pointcloud.models.center_point.views import average_outputs, map_back
from pointcloud.models.layers.bev_backbones import SecondFpn, SecondFpnSettings
from pointcloud.models.layers.bev_encoder import BevEncoder, BevSettings, OneMapSettings, build_backbone
from pointcloud.models.layers.voxel_encoders import PointStackSettings
from pointcloud.structures.detector import LidarDetector, SplitDetector
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.similarity import Similarity
from pointcloud.structures.targets import BoxTargets
from vol3d.scans.results.detections import Detections


class CenterPointSettings(BevSettings, OneMapSettings):
    """CenterPoint; the defaults are its pillars of 0.2 m on nuScenes but for the tasks, which depend on the classes."""

    name: Literal["centerpoint"] = "centerpoint"
    pillars: PointStackSettings = Field(PointStackSettings(widths=(32, 64)), description="where the encoder is pillars")
    neck: SecondFpnSettings = SecondFpnSettings(upsample=(0.5, 1, 2))
    head: CenterHeadSettings = CenterHeadSettings()

    def build(self, class_names: tuple[str, ...]) -> CenterPoint:
        """The network with fresh weights."""
        return CenterPoint(self, class_names)


@dataclass(frozen=True, eq=False)
class CenterPointPrediction:
    """Maps of every task.

    outputs: of the head, one of each task.
    bev: (B, C, Y, X) what the head saw.
    grid: where the maps' cells lie.
    left_out: voxels of each cloud beyond the limit, which are dropped.
    """

    outputs: tuple[CenterOutputs, ...]
    bev: Float[Tensor, "b c y x"]
    grid: MapGrid
    left_out: tuple[int, ...]


class CenterPoint(SplitDetector[CenterPointPrediction], LidarDetector[CenterPointPrediction]):
    """The network of figure 2's first stage.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the head's tasks are not these classes.
    """

    settings: CenterPointSettings
    class_layers: ClassVar[tuple[str, ...]] = ("head.tasks.*.outputs.heatmap.1",)

    def __init__(self, settings: CenterPointSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        self.encoder = BevEncoder(settings)
        self.backbone = build_backbone(self.encoder.width, settings.backbone)
        self.neck = SecondFpn(settings.backbone.widths, settings.neck)
        self.head = CenterHead(self.neck.width, self.class_names, settings.head)

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C, ny, nx) of pillars, an eighth of that of voxels."""
        bev, left_out = self.encoder(clouds)
        return (bev,), left_out

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The map that the head sees, then the maps of task after task."""
        bev = self.neck(self.backbone(*inputs))  # (B, C, Y, X)
        return bev, *(part for task in self.head(bev) for part in task if part is not None)

    @property
    def output_names(self) -> tuple[str, ...]:
        """`map`, then `heatmap_0`, `offset_0` and so on."""
        return "map", *(f"{name}_{task}" for task in range(len(self.head.tasks)) for name in self.head.outputs)

    def prediction(self, outputs: Sequence[Tensor], context: tuple[int, ...]) -> CenterPointPrediction:
        """Maps of every task."""
        bev, *maps = outputs
        names = self.head.outputs
        tasks = [maps[first : first + len(names)] for first in range(0, len(maps), len(names))]
        missing: dict[str, Any] = {"velocity": None}
        found = tuple(CenterOutputs(**missing | dict(zip(names, task, strict=True))) for task in tasks)
        return CenterPointPrediction(found, bev, self.settings.voxels.map_grid(self.settings.stride), context)

    def loss(self, prediction: CenterPointPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """Weighted terms; errors as `CenterHead.loss`."""
        return self.head.loss(prediction.outputs, targets, prediction.grid)

    @torch.no_grad()
    def decode(self, prediction: CenterPointPrediction) -> list[Detections]:
        """Objects of each cloud, task after task, best first within a task."""
        return self.head.decode(prediction.outputs, prediction.grid)

    def averaged(
        self, predictions: Sequence[CenterPointPrediction], views: Sequence[Similarity]
    ) -> CenterPointPrediction:
        """The first prediction with maps that are the averages over all views of its clouds."""
        straight = [
            [map_back(output, how) for output in prediction.outputs]
            for prediction, how in zip(predictions, views, strict=True)
        ]
        return replace(predictions[0], outputs=tuple(average_outputs(task) for task in zip(*straight, strict=True)))
