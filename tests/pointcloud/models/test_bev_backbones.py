"""SECOND's 2D backbone, its neck and the feature pyramid: the originals' numbers, shapes, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.layers.bev_backbones import (
    Fpn,
    FpnSettings,
    Second,
    SecondFpn,
    SecondFpnSettings,
    SecondSettings,
)
from pointcloud.models.layers.voxel_encoders import PointStack, PointStackSettings, VoxelSettings, encode_voxels
from pointcloud.models.released.weights import fpn_weights, second_fpn_weights, second_weights
from tests.pointcloud.models.lidar_oracle import Fixture, close, load, one_kernel
from vol3d.ops import scatter_to_bev


@pytest.fixture(scope="module")
def maps(oracle_root: Path) -> list[Tensor]:
    """SECOND's outputs on the fixture's cloud."""
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    stack = PointStack(5, PointStackSettings())
    weights = fixture.weights("pts_voxel_encoder.pfn_layers.0.")
    load(
        stack,
        {f"{name.replace('linear.', 'linears.0.').replace('norm.', 'norms.0.')}": t for name, t in weights.items()},
    )
    settings = VoxelSettings()
    backbone = Second(64, SecondSettings())
    load(backbone, second_weights(fixture.weights("pts_backbone.")))
    with torch.no_grad(), one_kernel():
        voxels = encode_voxels([fixture["points"]], settings, ("intensity", "time"), stack)
        return backbone(scatter_to_bev(voxels.features, voxels.coordinates, 1, settings.grid.shape))


def test_second_of_object_dgcnn(oracle_root: Path, maps: list[Tensor]) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    for level, x in enumerate(maps):
        close(x[:, ::8, ::8, ::8], fixture[f"second{level}.sample"], 1e-4)
        close(x.double().sum(dim=(0, 2, 3)), fixture[f"second{level}.chan_sum"], 1e-2, 1e-5)


def test_fpn_of_object_dgcnn(oracle_root: Path, maps: list[Tensor]) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    neck = Fpn((64, 128, 256), FpnSettings())
    load(neck, fpn_weights(fixture.weights("pts_neck.")))
    with torch.no_grad(), one_kernel():
        levels = neck(maps)
    assert [tuple(x.shape[2:]) for x in levels] == [(256, 256), (128, 128), (64, 64), (32, 32)]
    for level, x in enumerate(levels):
        wanted = fixture[f"fpn{level}.sample"]
        step = x.shape[2] // wanted.shape[2]
        close(x[:, ::16, ::step, ::step], wanted, 1e-4)
        close(x.double().sum(dim=(0, 2, 3)), fixture[f"fpn{level}.chan_sum"], 1e-2, 1e-5)


def test_second_fpn_of_centerpoint(oracle_root: Path, maps: list[Tensor]) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    neck = SecondFpn((64, 128, 256), SecondFpnSettings(upsample=(0.5, 1, 2)))
    load(neck, second_fpn_weights(neck, fixture.weights("secondfpn."), stride_one="convolution"))
    with torch.no_grad():
        bev = neck(maps)
    close(bev[:, ::16, ::8, ::8], fixture["secondfpn.sample"], 1e-4)
    close(bev.double().sum(dim=(0, 2, 3)), fixture["secondfpn.chan_sum"], 1e-2, 1e-5)


def test_a_transposed_convolution_of_stride_one_is_a_convolution() -> None:
    torch.manual_seed(0)
    neck = SecondFpn((4,), SecondFpnSettings(widths=(4,), upsample=(1,))).eval()
    original = torch.nn.ConvTranspose2d(4, 4, 1, bias=False)
    weights = {"deblocks.0.0.weight": original.weight.detach()}
    weights |= {f"deblocks.0.1.{name}": t for name, t in neck.branches[0][1].state_dict().items()}
    load(neck, second_fpn_weights(neck, weights, stride_one="transposed"))
    x = torch.rand(1, 4, 5, 6)
    torch.testing.assert_close(neck.branches[0][0](x), original(x))


def test_levels_of_odd_sizes_and_levels_beyond_the_backbone() -> None:
    backbone = Second(3, SecondSettings(widths=(4, 8), layers=(1, 0), strides=(2, 2)))
    neck = Fpn((4, 8), FpnSettings(width=6, levels=4))
    levels = neck(backbone(torch.rand(2, 3, 21, 13)))
    assert [tuple(x.shape) for x in levels] == [(2, 6, 11, 7), (2, 6, 6, 4), (2, 6, 3, 2), (2, 6, 2, 1)]
    sum(x.sum() for x in levels).backward()
    assert all(p.grad is not None for p in [*backbone.parameters(), *neck.parameters()])


def test_a_neck_goes_back_to_the_voxels_and_no_further() -> None:
    parts: dict[str, Any] = {"backbone": SecondSettings(widths=(4, 8), layers=(0, 0), strides=(1, 2))}
    finer = SecondDetectorSettings(**parts, neck=SecondFpnSettings(widths=(4, 4), upsample=(2, 4)))
    assert finer.stride == 4
    assert SecondDetectorSettings(**parts, neck=SecondFpnSettings(widths=(4, 4), upsample=(0.5, 1))).stride == 16
    with pytest.raises(ValidationError, match="must not go beyond the voxels, got a stride of 1/2"):
        SecondDetectorSettings(**parts, neck=SecondFpnSettings(widths=(4, 4), upsample=(16, 32)))
    with pytest.raises(ValidationError, match="one size, got strides 1, 2"):
        SecondDetectorSettings(**parts, neck=SecondFpnSettings(widths=(4, 4), upsample=(1, 1)))
    bev = SecondFpn((4, 8), finer.neck)(Second(3, finer.backbone)(torch.rand(1, 3, 10, 6)))
    assert bev.shape == (1, 8, 20, 12)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be as many"):
        SecondSettings(widths=(64, 128))
    with pytest.raises(ValidationError, match="must be as many"):
        SecondFpnSettings(widths=(64, 128))
    with pytest.raises(ValidationError, match="whole numbers or one divided"):
        SecondFpnSettings(upsample=(1, 2, 1.5))
