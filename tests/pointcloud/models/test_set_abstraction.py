"""PointNet++: set abstraction and propagation against the slow twins, few points, batches, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from pointcloud.models.layers.pointnet2 import PointNet2, PointNet2Settings
from pointcloud.models.layers.set_abstraction import (
    FeaturePropagation,
    SetAbstraction,
    SetAbstractionSettings,
    SharedLayer,
    sample_points,
)
from tests.pointcloud.models.small import LEVELS
from tests.reference import points as reference
from tests.reference import three_detr as twin

SMALL = SetAbstractionSettings(points=12, radius_m=0.4, neighbours=6, widths=(8, 9, 10))


def random_norms(module: nn.Module, seed: int = 0) -> None:
    """Statistics and weights of norms that are no identity."""
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            for tensor in (part.weight.data, part.get_buffer("running_var")):
                tensor.uniform_(0.5, 1.5)
            for tensor in (part.bias.data, part.get_buffer("running_mean")):
                tensor.normal_(0, 0.3)


def released_names(module: SetAbstraction) -> dict[str, Tensor]:
    """Its tensors under the names that the slow twin knows."""
    table = {}
    for n, layer in enumerate(module.mlp):
        table[f"x.layer{n}.conv.weight"] = layer.linear.weight.detach()
        table |= {f"x.layer{n}.bn.bn.{name}": value for name, value in layer.norm.state_dict().items()}
    return table


def test_set_abstraction_is_the_slow_twins() -> None:
    torch.manual_seed(0)
    module = SetAbstraction(2, SMALL, skip_near_origin=True).eval()
    random_norms(module)
    clouds = [torch.rand(60, 5), torch.rand(40, 5) * 2]
    padded = nn.utils.rnn.pad_sequence(clouds, batch_first=True)
    found = module(padded[..., :3], padded[..., 3:], counts=[60, 40])
    for scene, cloud in enumerate(clouds):
        xyz, features = twin.set_abstraction(released_names(module), "x", cloud[:, :3], cloud[:, 3:], 12, 0.4, 6)
        assert torch.equal(found.xyz[scene], xyz)
        torch.testing.assert_close(found.features[scene], features, rtol=1e-5, atol=1e-5)
        assert torch.equal(cloud[found.picks[scene], :3], xyz)


def test_padding_is_never_seen() -> None:
    module = SetAbstraction(1, SMALL).eval()
    cloud = torch.rand(1, 30, 4)
    padded = torch.cat([cloud, torch.full((1, 9, 4), 0.5)], dim=1)
    alone = module(cloud[..., :3], cloud[..., 3:])
    other = module(padded[..., :3], padded[..., 3:], counts=[30])
    assert torch.equal(alone.features, other.features)


def test_given_picks_are_taken() -> None:
    module = SetAbstraction(0, SMALL).eval()
    xyz = torch.rand(2, 20, 3)
    picks = torch.tensor([[3, 1], [0, 19]])
    found = module(xyz, picks=picks)
    assert torch.equal(found.xyz, xyz.take_along_dim(picks[..., None], dim=1))
    assert found.features.shape == (2, 2, 10)


def test_gradients_reach_features_and_weights() -> None:
    module = SetAbstraction(2, SMALL).double()
    xyz, features = torch.rand(1, 20, 3).double(), torch.rand(1, 20, 2).double().requires_grad_()
    module.eval()  # batch statistics of equal rows have no gradient to speak of
    assert torch.autograd.gradcheck(lambda f: module(xyz, f).features, features, fast_mode=True)
    module(xyz, features).features.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_layer_is_linear_map_norm_and_relu_in_both_modes() -> None:
    torch.manual_seed(1)
    layer = SharedLayer(5, 7)
    random_norms(layer)
    x = torch.randn(3, 4, 5)
    trained = layer(x)
    y = x.flatten(0, 1) @ layer.linear.weight.T
    expected = (y - y.mean(0)) / (y.var(0, unbiased=False) + 1e-5).sqrt() * layer.norm.weight + layer.norm.bias
    torch.testing.assert_close(trained, expected.relu().view(3, 4, 7))
    layer.eval()
    torch.testing.assert_close(layer(x), layer.norm(y).relu().view(3, 4, 7))


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 25), st.integers(0, 99))
def test_samples_of_small_clouds_go_round(first: int, second: int, k: int, seed: int) -> None:
    xyz = torch.rand(2, 20, 3, generator=torch.Generator().manual_seed(seed))
    picks = sample_points(xyz, k, [first, second])
    for row, size, cloud in zip(picks.tolist(), (first, second), xyz.numpy(), strict=True):
        order = reference.farthest_points(cloud[:size], min(k, size))
        assert row == [order[i % len(order)] for i in range(k)]


@pytest.mark.parametrize("known", [1, 2, 3, 10])
@pytest.mark.parametrize("power", [1, 2])
def test_propagation_is_the_slow_twins(known: int, power: int) -> None:
    torch.manual_seed(known)
    module = FeaturePropagation(4 + 2, (5,), power=power).eval()
    sparse, features = torch.rand(1, known, 3), torch.randn(1, known, 4)
    dense, own = torch.rand(1, 15, 3), torch.randn(1, 15, 2)
    mixed = reference.interpolate(sparse[0], features[0], dense[0], 3, power)
    expected = module.mlp(torch.cat([mixed, own[0]], dim=1))
    torch.testing.assert_close(module(dense, own, sparse, features)[0], expected, rtol=1e-4, atol=1e-5)


def test_propagation_without_features_of_its_own() -> None:
    module = FeaturePropagation(4, (5, 6))
    assert module(torch.rand(2, 9, 3), None, torch.rand(2, 3, 3), torch.rand(2, 3, 4)).shape == (2, 9, 6)


def test_the_backbone_gives_the_points_of_its_second_level() -> None:
    module = PointNet2(1, PointNet2Settings(levels=LEVELS, up_widths=(24, 20)))
    cloud = torch.rand(2, 80, 4)
    found = module(cloud[..., :3], cloud[..., 3:], counts=[80, 50])
    assert found.features.shape == (2, 24, 20)
    assert torch.equal(found.xyz, cloud[..., :3].take_along_dim(found.picks[..., None], dim=1))
    assert int(found.picks[1].max()) < 50
    found.features.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_the_backbones_sizes_are_votenets() -> None:
    with torch.device("meta"):
        module = PointNet2(1, PointNet2Settings())
    shapes = [tuple(layer.linear.weight.shape) for level in (*module.down, *module.up) for layer in level.mlp]
    assert shapes[:3] == [(64, 4), (64, 64), (128, 64)]
    assert shapes[9:12] == [(128, 259), (128, 128), (256, 128)]
    assert shapes[12:] == [(256, 512), (256, 256)] * 2


def test_levels_must_shrink() -> None:
    with pytest.raises(ValidationError, match=r"no more points than the one before it, got \[8, 9, 4\]"):
        PointNet2Settings(levels=tuple({"points": n} for n in (8, 9, 4)))
