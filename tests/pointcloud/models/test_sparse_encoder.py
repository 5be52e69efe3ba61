"""SECOND's sparse encoder against the original's numbers, dense convolution, and voxels of all kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from pointcloud.models.layers.sparse_encoder import SparseEncoder, SparseEncoderSettings
from pointcloud.models.layers.voxel_encoders import MeanEncoder, Voxels, VoxelSettings, encode_voxels
from pointcloud.models.released.weights import sparse_encoder_weights
from tests.pointcloud.models.lidar_oracle import Fixture, close, load
from vol3d.ops import VoxelGrid
from vol3d.sparse import SparseTensor

ROUNDING = 5e-4  # of the original itself against float64, whose values reach 800
SMALL = VoxelGrid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 16.0, 24.0, 40.0))
PLAIN = SparseEncoderSettings(block="plain", widths=(4, 4, 8, 8), blocks=(1, 2, 2, 2), out_width=8)
RESIDUAL = SparseEncoderSettings(widths=(4, 4, 8, 8), blocks=(1, 1, 1, 1), out_width=8, bias=True)


@pytest.fixture(scope="module")
def encoder(oracle_root: Path) -> SparseEncoder:
    fixture = Fixture(oracle_root, "sparse_encoder_nusc_dgcnn")
    model = SparseEncoder(5, SparseEncoderSettings())
    load(model, sparse_encoder_weights(model, fixture.weights("pts_middle_encoder.")))
    return model


def in_order(x: SparseTensor) -> tuple[Tensor, Tensor]:
    """Every 23rd position, as the fixture has them; ours are sorted already."""
    return x.coordinates[::23], x.features[::23]


def test_every_stage_of_object_dgcnns_encoder(oracle_root: Path, encoder: SparseEncoder) -> None:
    fixture = Fixture(oracle_root, "sparse_encoder_nusc_dgcnn")
    settings = VoxelSettings(voxel_size_m=(0.1, 0.1, 0.2), max_points=10, max_voxels=120000)
    voxels = encode_voxels([fixture["points"]], settings, ("intensity", "time"), MeanEncoder(5))
    assert torch.equal(voxels.coordinates[:, 1:], fixture["coors"].int())
    close(voxels.features, fixture["voxel_feat"], 1e-4)
    seen: dict[str, SparseTensor] = {}
    # mmdetection3d counts the strided convolution to the stage before.
    stages: dict[str, nn.Module] = {"conv_input": encoder.input, "conv_out": encoder.output}
    stages |= {f"encoder_layer{n}": encoder.stages[n][0] for n in (1, 2, 3)} | {"encoder_layer4": encoder.stages[3]}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
        for name, module in stages.items()
    ]
    with torch.no_grad():
        bev = encoder(voxels, settings.grid)
    for hook in hooks:
        hook.remove()
    for name, x in seen.items():
        where, features = in_order(x)
        assert torch.equal(where, fixture[f"stage.{name}.indices"].int()), name
        close(features, fixture[f"stage.{name}.features"], ROUNDING)
    close(bev[:, :, ::8, ::8], fixture["bev.sample"], ROUNDING)
    close(bev[:, :, 56:72, 52:76], fixture["bev.crop"], ROUNDING)
    close(bev.double().sum(dim=(0, 2, 3)), fixture["bev.chan_sum"], 1e-2, 1e-5)


def test_a_batch_of_object_dgcnns_encoder(oracle_root: Path, encoder: SparseEncoder) -> None:
    fixture = Fixture(oracle_root, "sparse_encoder_nusc_dgcnn")
    grid = VoxelGrid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 40.0, 48.0, 40.0))
    with torch.no_grad():
        bev = encoder(Voxels(fixture["tiny.feat"], fixture["tiny.coors"].int(), 2, (0, 0)), grid)
    close(bev, fixture["tiny.bev"], 2e-4)


def some_voxels(samples: int, per_sample: int, seed: int = 0) -> Voxels:
    generator = torch.Generator().manual_seed(seed)
    cells = [torch.randperm(40 * 24 * 16, generator=generator)[:per_sample] for _ in range(samples)]
    coordinates = torch.cat(
        [torch.stack([torch.full_like(c, n), c // 384, c // 16 % 24, c % 16], dim=1) for n, c in enumerate(cells)]
    )
    return Voxels(torch.randn(len(coordinates), 3, generator=generator), coordinates.int(), samples, (0,) * samples)


def dense(model: SparseEncoder, voxels: Voxels) -> Tensor:
    """The same network with dense convolutions: positions that sparse ones do not keep are set to zero."""
    nz, ny, nx = SMALL.shape
    x = torch.zeros(voxels.samples, 3, nz + 1, ny, nx)
    b, z, y, x_ = voxels.coordinates.long().unbind(1)
    x[b, :, z, y, x_] = voxels.features
    active = torch.zeros(voxels.samples, 1, nz + 1, ny, nx)
    active[b, :, z, y, x_] = 1

    def norm(layer: nn.BatchNorm1d, x: Tensor) -> Tensor:
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)

    def conv(layer: Any, x: Tensor, active: Tensor, stride: Any = 1, padding: Any = 1) -> Tensor:
        return F.conv3d(x, layer.weight.permute(4, 3, 0, 1, 2), layer.bias, stride, padding) * active

    x = F.relu(norm(model.input[1], conv(model.input[0], x, active))) * active
    for number, stage in enumerate(model.stages):
        for layer in stage:
            if isinstance(layer, nn.Sequential):
                stride, padding = (1, 1)
                if number and layer is stage[0]:
                    stride, padding = 2, model.settings.paddings[number - 1]
                    active = (F.conv3d(active, torch.ones(1, 1, 3, 3, 3), None, stride, padding) > 0).float()
                x = F.relu(norm(layer[1], conv(layer[0], x, active, stride, padding))) * active
            else:
                inner = F.relu(norm(layer.first_norm, conv(layer.first, x, active))) * active
                x = F.relu(norm(layer.second_norm, conv(layer.second, inner, active)) + x) * active
    last, strides = model.output, (2, 1, 1)
    active = (F.conv3d(active, torch.ones(1, 1, 3, 1, 1), None, strides) > 0).float()
    return (F.relu(norm(last[1], conv(last[0], x, active, strides, 0))) * active).flatten(1, 2)


@pytest.mark.parametrize("settings", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_the_encoder_is_dense_convolution_at_active_positions(settings: SparseEncoderSettings) -> None:
    torch.manual_seed(0)
    model = SparseEncoder(3, settings).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.1)
    voxels = some_voxels(2, 60)
    bev = model(voxels, SMALL)
    assert bev.shape == (2, settings.map_width(40), 3, 2) == (2, 16, 3, 2)
    close(bev, dense(model, voxels), 1e-5)


@pytest.mark.parametrize("settings", [PLAIN, RESIDUAL], ids=["plain", "residual"])
@pytest.mark.parametrize("samples", [(0,), (30, 0), (0, 30), (1,), (0, 0)])
def test_samples_without_voxels_train(settings: SparseEncoderSettings, samples: tuple[int, ...]) -> None:
    model = SparseEncoder(3, settings)
    parts = [some_voxels(1, n, seed=n) for n in samples]
    for number, part in enumerate(parts):
        part.coordinates[:, 0] = number
    voxels = Voxels(torch.cat([p.features for p in parts]), torch.cat([p.coordinates for p in parts]), len(samples), ())
    bev = model(voxels, SMALL)
    assert bev.shape == (len(samples), 16, 3, 2)
    for number, count in enumerate(samples):
        assert bool(bev[number].any()) <= (count > 0)
    bev.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())] == []


def test_bfloat16_autocast_trains() -> None:
    model = SparseEncoder(3, RESIDUAL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bev = model(some_voxels(2, 60), SMALL)
    bev.float().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_the_first_layer_sees_metres_in_float32_whatever_the_others_do() -> None:
    model, seen = SparseEncoder(3, RESIDUAL).eval(), []
    model.input.register_forward_hook(lambda _module, _inputs, out: seen.append(out.features))
    voxels = some_voxels(1, 60)
    voxels = replace(voxels, features=voxels.features + torch.tensor([50.03, -50.01, 0.0]))
    with torch.no_grad():
        model(voxels, SMALL)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(voxels, SMALL)
    assert torch.equal(*seen)


@pytest.mark.parametrize(("cells", "layers"), [(24, 1), (40, 2), (80, 4)])
def test_layers_above_each_other(cells: int, layers: int) -> None:
    grid = VoxelGrid((1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 8.0, 8.0, float(cells)))
    voxels = Voxels(torch.ones(1, 3), torch.zeros(1, 4, dtype=torch.int32), 1, (0,))
    assert PLAIN.layers(cells) == layers
    assert SparseEncoder(3, PLAIN).eval()(voxels, grid).shape == (1, 8 * layers, 1, 1)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="must fit 4 stages"):
        SparseEncoderSettings(blocks=(1, 2))
    with pytest.raises(ValueError, match="4 cells along z are too few"):
        PLAIN.layers(4)
