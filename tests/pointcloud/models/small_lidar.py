"""Small LiDAR detectors and drives, for tests that take seconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pointcloud.datasets.scenes import BoxTargets
from pointcloud.models.bev_backbones import SecondFpnSettings, SecondSettings
from pointcloud.models.center_head import CenterHeadSettings
from pointcloud.models.center_point import CenterPointSettings
from pointcloud.models.sparse_encoder import SparseEncoderSettings
from pointcloud.models.voxel_encoders import PointStackSettings, VoxelSettings

CLASSES = ("car", "pedestrian")
RANGE = (0.0, -8.0, -2.0, 16.0, 8.0, 2.0)
PILLARS = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.5, 0.5, 4.0), max_points=8, max_voxels=2000)
VOXELS = VoxelSettings(point_range_m=RANGE, voxel_size_m=(0.125, 0.125, 0.1), max_points=4, max_voxels=4000)
BACKBONE = SecondSettings(widths=(16, 16), layers=(1, 1), strides=(1, 2))
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
