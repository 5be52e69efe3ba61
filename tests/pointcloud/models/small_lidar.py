"""Small LiDAR detectors and drives, for tests that take seconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pointcloud.models.anchors.anchors import AnchorSettings
from pointcloud.models.anchors.free_anchor import FreeAnchorHeadSettings, FreeAnchorSettings
from pointcloud.models.anchors.head import AnchorHeadSettings
from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.anchors.ssn import ShapeGroupSettings, SsnHeadSettings, SsnSettings
from pointcloud.models.anchors.voxel_net import VoxelNetSettings
from pointcloud.models.center_point.head import CenterHeadSettings
from pointcloud.models.center_point.model import CenterPointSettings
from pointcloud.models.layers.bev_backbones import FpnSettings, SecondFpnSettings, SecondSettings
from pointcloud.models.layers.reg_net import RegNetSettings
from pointcloud.models.layers.sparse_encoder import SparseEncoderSettings
from pointcloud.models.layers.voxel_encoders import PointStackSettings, VoxelSettings
from pointcloud.models.object_dgcnn.head import ObjectDgcnnHeadSettings
from pointcloud.models.object_dgcnn.model import ObjectDgcnnSettings
from pointcloud.models.pillar_od.head import PillarHeadSettings, PriorSettings
from pointcloud.models.pillar_od.model import PillarBackboneSettings, PillarOdSettings
from pointcloud.models.pillar_od.views import CylinderSettings
from pointcloud.structures.targets import BoxTargets

CLASSES = ("car", "pedestrian")
RANGE = (0.0, -8.0, -2.0, 16.0, 8.0, 2.0)
PILLARS = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.5, 0.5, 4.0), max_points=8, max_voxels=2000)
VOXELS = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.125, 0.125, 0.1), max_points=4, max_voxels=4000)
FINE = VOXELS.model_copy(update={"voxel_size_m": (0.0625, 0.0625, 0.1)})
BACKBONE = SecondSettings(widths=(16, 16), layers=(1, 1), strides=(1, 2))
REGNET = RegNetSettings(first_width=8, slope=8.0, step=2.0, depth=4, group_width=8, strides=(1, 1, 2), first_map=1)
NECK = SecondFpnSettings(widths=(16, 16), upsample=(1, 2))
STACK = PointStackSettings(widths=(16,))
SPARSE = SparseEncoderSettings(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1), out_width=16)
PARTS: dict[str, Any] = {"features": ("intensity",), "backbone": BACKBONE, "neck": NECK}
HEAD = CenterHeadSettings(tasks=(("car",), ("pedestrian",)), shared_width=16, width=16)

MODELS: dict[str, Any] = {
    "centerpoint pillars": CenterPointSettings(**PARTS, voxels=PILLARS, pillars=STACK, head=HEAD),
    "centerpoint voxels": CenterPointSettings(**PARTS, encoder="voxels", voxels=VOXELS, sparse=SPARSE, head=HEAD),
    "centerpoint dynamic": CenterPointSettings(
        **PARTS,
        voxels=PILLARS.model_copy(update={"max_points": None}),
        pillars=STACK,
        head=HEAD.model_copy(update={"velocity": False, "tasks": None}),
    ),
}

ANCHORS = {
    "car": AnchorSettings(size_m=(3.9, 1.6, 1.56), z_m=-0.9, positive=0.5, negative=0.35),
    "pedestrian": AnchorSettings(size_m=(0.8, 0.6, 1.73), z_m=-0.8, positive=0.4, negative=0.25),
}
ANCHOR_HEAD = AnchorHeadSettings(anchors=ANCHORS, placement="centres")
MODELS |= {
    "pointpillars": PointPillarsSettings(**PARTS, voxels=PILLARS, pillars=STACK, head=ANCHOR_HEAD),
    "pointpillars with velocity": PointPillarsSettings(
        **PARTS,
        voxels=PILLARS,
        pillars=STACK.model_copy(update={"centre_offset": "xyz"}),
        head=ANCHOR_HEAD.model_copy(update={"velocity": True, "per": "batch", "nms_classes": "apart"}),
    ),
    "pointpillars on a pyramid": PointPillarsSettings(
        **PARTS | {"neck": FpnSettings(width=16, levels=2)},
        voxels=PILLARS,
        pillars=STACK,
        head=ANCHOR_HEAD.model_copy(
            update={
                "anchors": {
                    name: a.model_copy(update={"positive": 0.5, "negative": 0.35}) for name, a in ANCHORS.items()
                },
                "shared": True,
                "scales": (1.0, 1.5),
                "labels": "every",
                "nms_classes": "apart",
            }
        ),
    ),
    "free anchor": FreeAnchorSettings(
        **PARTS | {"neck": FpnSettings(width=16, levels=2)},
        voxels=PILLARS,
        pillars=STACK,
        head=FreeAnchorHeadSettings(
            anchors={name: AnchorSettings(size_m=a.size_m, z_m=a.z_m) for name, a in ANCHORS.items()},
            placement="centres",
            scales=(1.0, 1.5),
            bag=8,
        ),
    ),
    "ssn": SsnSettings(
        **PARTS,
        voxels=PILLARS,
        pillars=STACK,
        head=SsnHeadSettings(
            anchors=ANCHORS,
            groups=(
                ShapeGroupSettings(classes=("pedestrian",), widths=(16,), strides=(1,)),
                ShapeGroupSettings(classes=("car",), widths=(16, 16), strides=(2, 1)),
            ),
        ),
    ),
    "pointpillars with regnet": PointPillarsSettings(
        **PARTS | {"backbone": REGNET, "neck": SecondFpnSettings(widths=(16, 16), upsample=(1, 2))},
        voxels=PILLARS,
        pillars=STACK,
        head=ANCHOR_HEAD,
    ),
    "second": SecondDetectorSettings(**PARTS, voxels=FINE, sparse=SPARSE, head=ANCHOR_HEAD),
    "voxelnet": VoxelNetSettings(
        **PARTS,
        voxels=PILLARS.model_copy(update={"voxel_size_m": (0.5, 0.5, 0.8)}),
        vfe=PointStackSettings(widths=(8, 16), centre_offset="none", padding="each"),
        middle_width=8,
        anchors=ANCHORS,
    ),
}

QUERIES: dict[str, Any] = {
    "features": ("intensity",),
    "backbone": BACKBONE,
    "neck": FpnSettings(width=16, levels=3),
    "head": ObjectDgcnnHeadSettings(
        heads=2, encoder_layers=1, decoder_layers=2, ffn=16, queries=12, neighbour_count=4, dropout=0.0
    ),
}
MODELS |= {
    "object dgcnn pillars": ObjectDgcnnSettings(**QUERIES, voxels=PILLARS, pillars=STACK),
    "object dgcnn voxels": ObjectDgcnnSettings(**QUERIES, encoder="voxels", voxels=VOXELS, sparse=SPARSE),
}

MODELS |= {
    "pillar od": PillarOdSettings(
        features=("intensity",),
        voxels=PILLARS.model_copy(update={"max_points": None}),
        cylinder=CylinderSettings(azimuths=64, heights=8, z_range_m=(-2.0, 2.0), radius_m=20.0),
        width=16,
        backbone=PillarBackboneSettings(widths=(16, 16), layers=(1, 2), strides=(1, 2), width=16),
        head=PillarHeadSettings(
            priors={
                "car": PriorSettings(size_m=(3.9, 1.6, 1.56), z_m=-0.9),
                "pedestrian": PriorSettings(size_m=(0.8, 0.6, 1.73), z_m=-0.8),
            },
            width=16,
            layers=1,
            heading="full",
            velocity=True,
            nms_iou=0.2,
        ),
    ),
}


def drive(boxes: int, *, seed: int = 0, columns: int = 9) -> tuple[Tensor, BoxTargets]:
    """A street with cars and pedestrians: a cloud (N, 4) and the boxes."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(boxes) % 2
    slots = torch.randperm(9, generator=generator)[:boxes]
    place = torch.stack([slots % 3 * 5.0 + 3, slots // 3 * 5.0 - 5], dim=1)
    place += torch.rand(boxes, 2, generator=generator) - 0.5
    size = torch.tensor([[3.9, 1.6, 1.56], [0.8, 0.6, 1.73]])[label]
    yaw = (torch.rand(boxes, 1, generator=generator) - 0.5) * 6
    truth = torch.cat([place, size[:, 2:] / 2 - 1.7, size, yaw, torch.rand(boxes, 2, generator=generator)], dim=1)
    ground = torch.rand(200, 3, generator=generator) * torch.tensor([16.0, 16, 0.05]) - torch.tensor([0, 8, 1.7])
    clouds = [ground]
    for box in truth:
        local = (torch.rand(80, 3, generator=generator) - 0.5) * box[3:6]
        cos, sin = box[6].cos(), box[6].sin()
        turned = torch.stack(
            [local[:, 0] * cos - local[:, 1] * sin, local[:, 0] * sin + local[:, 1] * cos, local[:, 2]]
        )
        clouds.append(turned.T + box[:3])
    cloud = torch.cat(clouds)
    return torch.cat([cloud, torch.rand(len(cloud), 1, generator=generator)], dim=1), BoxTargets(
        truth[:, :columns], label
    )
