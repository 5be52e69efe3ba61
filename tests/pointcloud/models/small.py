"""Small detectors and scenes, for tests that take seconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pointcloud.models.h3d_net.loss import H3DNetLossSettings, PrimitiveLossSettings
from pointcloud.models.h3d_net.model import H3DNetSettings
from pointcloud.models.h3d_net.refinement import MatchingSettings
from pointcloud.models.h3d_net.targets import PrimitiveTargetSettings
from pointcloud.models.layers.pointnet2 import PointNet2Settings
from pointcloud.models.layers.set_abstraction import SetAbstractionSettings
from pointcloud.models.three_detr.model import ThreeDetrMaskedSettings, ThreeDetrSettings
from pointcloud.models.vote_net.model import BoxNetSettings, VoteNetSettings
from pointcloud.models.vote_net.transformer_parts import TransformerPartsSettings
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets

CLASSES = ("chair", "table", "bed")
SIZES = {
    "aggregation": SetAbstractionSettings(points=32, radius_m=0.4, neighbours=8, widths=(16, 32)),
    "width": 32,
    "encoder_ffn": 32,
    "queries": 8,
    "decoder_layers": 2,
    "decoder_ffn": 32,
}
LEVELS = tuple(
    SetAbstractionSettings(points=points, radius_m=radius, neighbours=8, widths=(16, 16))
    for points, radius in ((48, 0.3), (24, 0.6), (12, 1.2), (6, 2.4))
)

PLAIN = ThreeDetrSettings(**SIZES)
TURNING = ThreeDetrSettings(**SIZES, angle_bins=12)
MASKED = ThreeDetrMaskedSettings(
    **SIZES, interim=SetAbstractionSettings(points=16, radius_m=0.8, neighbours=8, widths=(32, 32))
)
POINTNET = ThreeDetrSettings(
    **SIZES, encoder="pointnet2", pointnet2=PointNet2Settings(levels=LEVELS, up_widths=(32,)), position="sine"
)
COLOURED = ThreeDetrSettings(**SIZES, features=("rgb", "height"))
INNER = ThreeDetrSettings(**SIZES, angle_bins=12, bounds_percent=1)
STARTED = ThreeDetrSettings(**SIZES, query_start="tokens")
THREE_DETR = {
    "plain": PLAIN,
    "turning": TURNING,
    "masked": MASKED,
    "pointnet": POINTNET,
    "coloured": COLOURED,
    "started": STARTED,
    "inner": INNER,
}

VOTE_SIZES: dict[str, Any] = {
    "pointnet2": PointNet2Settings(levels=LEVELS, up_widths=(32,)),
    "aggregation": SetAbstractionSettings(points=8, radius_m=0.4, neighbours=8, widths=(32, 32)),
    "transformer": TransformerPartsSettings(
        aggregation=SetAbstractionSettings(points=32, radius_m=0.4, neighbours=8, widths=(16, 32)),
        width=32,
        encoder_layers=2,
        encoder_ffn=32,
        decoder_layers=2,
        decoder_ffn=32,
    ),
}
TABLE_3 = {
    "row 2": BoxNetSettings(**VOTE_SIZES, encoder="transformer", features=()),
    "row 3": VoteNetSettings(**VOTE_SIZES, encoder="transformer", features=()),
    "row 4": BoxNetSettings(**VOTE_SIZES, encoder="transformer", decoder="transformer", features=()),
    "row 5": VoteNetSettings(**VOTE_SIZES, encoder="transformer", decoder="transformer", features=()),
}
"""Of 3DETR's paper; row 1 is 3DETR."""
VOTE_NET = {
    "votenet": VoteNetSettings(**VOTE_SIZES),
    "boxnet": BoxNetSettings(**VOTE_SIZES),
    "votenet turning": VoteNetSettings(**VOTE_SIZES, angle_bins=12, features=("rgb", "height")),
    "transformer decoder": BoxNetSettings(**VOTE_SIZES, decoder="transformer"),
    **TABLE_3,
}
H3D_SIZES: dict[str, Any] = {
    "towers": 2,
    "pointnet2": VOTE_SIZES["pointnet2"],
    "aggregation": VOTE_SIZES["aggregation"],
    "matching": MatchingSettings(neighbours=8, widths=(16, 16)),
    "loss": H3DNetLossSettings(
        primitives=PrimitiveLossSettings(targets=PrimitiveTargetSettings(face_points=3, edge_points=1))
    ),
}
H3D_NET = {
    "h3dnet": H3DNetSettings(**H3D_SIZES),
    "h3dnet turning": H3DNetSettings(**H3D_SIZES, angle_bins=12, features=("rgb", "height"), proposals_at="seeds"),
}
MODELS: dict[str, Any] = {**THREE_DETR, **VOTE_NET, **H3D_NET}
NO_BOXES = BoxTargets(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64))


def build(settings: Any, seed: int = 0) -> Any:
    """A small detector with weights of this seed."""
    torch.manual_seed(seed)
    return settings.build(CLASSES)


def scenes(settings: Any, *sizes: tuple[int, int]) -> tuple[list[Tensor], list[BoxTargets]]:
    """A scene of each number of points and boxes, with the columns that the detector takes."""
    made = [
        scene(points, boxes, columns=width(settings.features), turn=settings.angle_bins > 1, seed=seed)
        for seed, (points, boxes) in enumerate(sizes)
    ]
    return [cloud for cloud, _ in made], [targets for _, targets in made]


def scene(points: int, boxes: int, *, columns: int = 0, turn: bool = False, seed: int = 0) -> tuple[Tensor, BoxTargets]:
    """A floor with boxes on it: a cloud (N, 3 + columns) and the boxes."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(boxes, 2, generator=generator) * 3
    size = 0.4 + 0.6 * torch.rand(boxes, 3, generator=generator)
    yaw = (torch.rand(boxes, 1, generator=generator) - 0.5) * 6 * turn
    truth = torch.cat([place, size[:, 2:] / 2, size, yaw], dim=1)
    cloud = torch.rand(points, 3 + columns, generator=generator)
    cloud[:, :3] = cloud[:, :3] * torch.tensor([4.0, 4.0, 0.02]) - torch.tensor([0.5, 0.5, 0.0])
    for row, box in enumerate(truth):
        on = slice(points // 2 + row * (points // 2 // boxes), points // 2 + (row + 1) * (points // 2 // boxes))
        cloud[on, :3] = box[:3] + (torch.rand(cloud[on, :3].shape, generator=generator) - 0.5) * box[3:6]
    return cloud, BoxTargets(truth, torch.arange(boxes) % len(CLASSES))
