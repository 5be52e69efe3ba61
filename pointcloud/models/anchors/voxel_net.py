"""VoxelNet: features of voxels, dense 3D convolutions, a region proposal network on anchors.

Zhou, Tuzel, "VoxelNet: End-to-End Learning for Point Cloud Based 3D Object Detection", CVPR 2018; names follow its
figure 2. The paper trains one network for each class; here every class has anchors and a score of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pointcloud.models.anchors.anchors import (
    AnchorSettings,
    decode_offsets,
    encode_offsets,
    kitti_anchors,
    match_sample,
    place_anchors,
)
from pointcloud.models.anchors.head import AnchorOutputs, AnchorPrediction
from pointcloud.models.layers.bev_backbones import SecondFpn, SecondFpnSettings, SecondSettings
from pointcloud.models.layers.bev_encoder import Backbone, OneMapSettings, build_backbone
from pointcloud.models.layers.voxel_encoders import (
    NORM_EPS,
    NORM_MOMENTUM,
    PointStack,
    PointStackSettings,
    encode_voxels,
)
from pointcloud.structures.detections import to_detections
from pointcloud.structures.detector import LidarDetector, SplitDetector
from pointcloud.structures.features import width
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets, check_targets
from pointcloud.structures.voxels import VoxelSettings
from vol3d.class_names import of_each_class
from vol3d.geometry import nms_rotated, wrap_yaw
from vol3d.geometry.boxes import YAW
from vol3d.ops import scatter_to_bev
from vol3d.scans.results.detections import Detections

KITTI_CAR = VoxelSettings(
    point_range_m=(0.0, -40.0, -3.0, 70.4, 40.0, 1.0), voxel_size_m=(0.2, 0.2, 0.4), max_points=35, max_voxels=20000
)
VFE = PointStackSettings(widths=(16, 64, 128), centre_offset="none", padding="each")


class VoxelNetSettings(OneMapSettings):
    """VoxelNet; the defaults are the paper's for cars on KITTI (section 3.1)."""

    name: Literal["voxelnet"] = "voxelnet"
    voxels: VoxelSettings = KITTI_CAR
    vfe: PointStackSettings = VFE
    middle_width: int = Field(64, ge=1, description="channels of the dense 3D convolutions")
    backbone: Backbone = SecondSettings(widths=(128, 128, 256))
    neck: SecondFpnSettings = SecondFpnSettings(widths=(256, 256, 256))
    anchors: dict[str, AnchorSettings] = Field(
        default_factory=lambda: {"Car": kitti_anchors()["Car"]}, description="of every class, by its name"
    )
    positives: float = Field(1.5, ge=0, description="alpha of equation 2")
    negatives: float = Field(1.0, ge=0, description="beta of equation 2")
    smooth: float = Field(1 / 9, gt=0, description="below it the L1 loss is quadratic")
    score: float = Field(0.3, ge=0, le=1, description="boxes of a lower score are left out")
    nms_iou: float = Field(0.1, ge=0, le=1, description="boxes that overlap more with a better one of their class go")
    nms_before: int = Field(1000, ge=1, description="best boxes that enter")

    def layers(self) -> int:
        """Positions above each other behind the 3D convolutions.

        Raises:
            ValueError: the voxels above each other are too few.
        """
        nz = self.voxels.grid.shape[0]
        first = (nz - 1) // 2 + 1
        last = (first - 2 - 1) // 2 + 1
        if first < 3:
            raise ValueError(f"{nz} voxels above each other are too few for the 3D convolutions: 5 at least")
        return last

    def check_encoder(self) -> None:
        self.layers()

    def build(self, class_names: tuple[str, ...]) -> VoxelNet:
        """The network with fresh weights."""
        return VoxelNet(self, class_names)


class MiddleLayers(nn.Sequential):
    """Three 3D convolutions that shrink the height (section 2.1.3)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            *_convolution3d(channels, out, stride=2, padding=1),
            *_convolution3d(out, out, stride=1, padding=0),
            *_convolution3d(out, out, stride=2, padding=1),
        )


class VoxelNet(SplitDetector[AnchorPrediction], LidarDetector[AnchorPrediction]):
    """The network of figure 2.

    Args:
        settings: sizes.
        class_names: without a background.

    Raises:
        UsageError: the anchors are those of other classes.
    """

    settings: VoxelNetSettings
    class_layers: ClassVar[tuple[str, ...]] = ("scores", "offsets")

    def __init__(self, settings: VoxelNetSettings, class_names: tuple[str, ...]) -> None:
        super().__init__(settings, class_names)
        self.rules = of_each_class(settings.anchors, class_names, "anchors", "model.anchors")
        self.points = PointStack(3 + width(settings.features), settings.vfe)
        self.middle = MiddleLayers(self.points.width, settings.middle_width)
        self.backbone = build_backbone(settings.middle_width * settings.layers(), settings.backbone)
        self.neck = SecondFpn(settings.backbone.widths, settings.neck)
        count = sum(len(rule.yaws) for rule in self.rules)
        self.scores = nn.Conv2d(self.neck.width, count, 1)
        self.offsets = nn.Conv2d(self.neck.width, 7 * count, 1)
        nn.init.constant_(self.scores.bias, -math.log(99))  # type: ignore[arg-type]

    def encode(self, clouds: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        """The map (B, C * nz, ny, nx) of voxels, the channels of the layers beside each other."""
        settings, grid = self.settings, self.settings.voxels.grid
        voxels = encode_voxels(clouds, settings.voxels, settings.features, self.points)  # (V, C)
        bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, grid.shape)
        return (bev,), voxels.left_out

    def dense(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The map that the head sees, then logits (B, N, 1) and offsets (B, N, 7) of every anchor."""
        layers = inputs[0].unflatten(1, (self.points.width, self.settings.voxels.grid.shape[0]))  # (B, C, nz, ny, nx)
        bev = self.middle(layers).flatten(1, 2)  # (B, 64 * 2, ny, nx)
        bev = self.neck(self.backbone(bev))  # (B, C, ny / 2, nx / 2)
        b = bev.shape[0]  # a length would be fixed in an export
        scores = self.scores(bev).permute(0, 2, 3, 1).reshape(b, -1, 1).float()
        return bev, scores, self.offsets(bev).permute(0, 2, 3, 1).reshape(b, -1, 7).float()

    @property
    def dense_layers(self) -> tuple[str, ...]:
        """With the dense 3D convolutions."""
        return "middle", "backbone", "neck", "scores", "offsets"

    @property
    def output_names(self) -> tuple[str, ...]:
        """There are no directions."""
        return "map", "classes", "offsets"

    def prediction(self, outputs: Sequence[Tensor], context: tuple[int, ...]) -> AnchorPrediction:
        """What the network predicts for every anchor."""
        bev, scores, offsets = outputs
        found = AnchorOutputs(scores, offsets, scores.new_zeros(*scores.shape[:2], 0))
        return AnchorPrediction(found, (bev,), (self.settings.voxels.map_grid(self.settings.stride),), context)

    def loss(self, prediction: AnchorPrediction, targets: list[BoxTargets]) -> dict[str, Tensor]:
        """The terms `positive`, `negative` and `box` of equation 2, of the whole batch.

        Raises:
            DataError: another number of samples, a class that the model does not have.
        """
        outputs, settings = prediction.outputs, self.settings
        check_targets(targets, len(outputs.classes), len(self.class_names))
        anchors = self._anchors(prediction.grid)
        with torch.autocast(outputs.classes.device.type, enabled=False):
            found = [match_sample([anchors], target, self.rules) for target in targets]
            positive = torch.stack([matches.object >= 0 for matches in found])
            negative = torch.stack([matches.background for matches in found])
            scores = outputs.classes[..., 0]
            hits, misses = F.softplus(-scores[positive]), F.softplus(scores[negative])  # -log p, -log (1 - p)

            flat = anchors.flatten(0, 2)
            wanted = [
                encode_offsets(target.boxes[matches.object[rows], :7].float(), flat[rows])
                for target, matches, rows in zip(targets, found, positive, strict=True)
            ]
            box = F.smooth_l1_loss(outputs.offsets[positive], torch.cat(wanted), beta=settings.smooth, reduction="sum")

            return {
                "positive": settings.positives * hits.sum() / max(len(hits), 1),
                "negative": settings.negatives * misses.sum() / max(len(misses), 1),
                "box": box / max(len(hits), 1),
            }

    @torch.no_grad()
    def decode(self, prediction: AnchorPrediction) -> list[Detections]:
        """Objects of each cloud, best first."""
        settings, outputs, found = self.settings, prediction.outputs, []
        anchors = self._anchors(prediction.grid)
        count = [len(rule.yaws) for rule in self.rules]
        owner = torch.arange(len(count)).repeat_interleave(torch.tensor(count)).to(anchors.device)
        owner = owner.expand(anchors.shape[:3]).flatten()

        for logits, offsets in zip(outputs.classes[..., 0], outputs.offsets, strict=True):
            scores = logits.sigmoid()
            rows = (scores > settings.score).nonzero()[:, 0]
            boxes = decode_offsets(offsets[rows], anchors.flatten(0, 2)[rows])
            boxes = torch.cat([boxes[:, :YAW], wrap_yaw(boxes[:, YAW:])], dim=1)
            keep = nms_rotated(
                boxes, scores[rows], settings.nms_iou, labels=owner[rows], max_candidates=settings.nms_before
            )
            found.append(to_detections(boxes[keep], scores[rows][keep], owner[rows][keep], self.class_names))
        return found

    def _anchors(self, grid: MapGrid) -> Float[Tensor, "y x a 7"]:
        return place_anchors(grid, self.rules, "centres").to(self.scores.weight.device)


def _convolution3d(channels: int, out: int, stride: int, padding: int) -> tuple[nn.Module, ...]:
    """Stride and padding are along z; along y and x the size stays."""
    convolution = nn.Conv3d(channels, out, 3, stride=(stride, 1, 1), padding=(padding, 1, 1), bias=False)
    return convolution, nn.BatchNorm3d(out, eps=NORM_EPS, momentum=NORM_MOMENTUM), nn.ReLU()
