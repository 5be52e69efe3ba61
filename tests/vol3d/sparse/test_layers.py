"""Convolution layers against the slow twin and dense convolution, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.reference.sparse import slow_convolve
from tests.vol3d.sparse.scenes import random_tensor, windows
from vol3d.errors import DataError, UsageError
from vol3d.sparse import (
    Geometry,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseInverseConv3d,
    SparseMaxPool3d,
    SparseTensor,
    SubMConv3d,
    sparse_convolve,
    use_backend,
)

ROWS = [0, 1, 2, 300]
CHANNELS = [(1, 1), (3, 5), (16, 16), (5, 64), (64, 7), (20, 100)]


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a sum with unequal factors, so that a swap of rows or channels shows."""
    factors = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    return torch.autograd.grad((out * factors).sum(), inputs, allow_unused=True)


def compare(layer: torch.nn.Module, x: SparseTensor, kernel_map: object) -> None:
    """Value and gradients of layer(x) against the slow twin over the same map, in float64."""
    features = x.features.clone().requires_grad_()
    out = layer(x.with_features(features)).features
    wide, weight = features.detach().double().requires_grad_(), layer.weight.detach().double().requires_grad_()
    wanted = slow_convolve(wide, weight.flatten(0, 2), kernel_map.neighbours)
    wanted = wanted + layer.bias.detach().double()
    torch.testing.assert_close(out.double(), wanted, atol=1e-4, rtol=1e-5)
    found = gradients(out, features, layer.weight, layer.bias)
    for one, other in zip(found, gradients(wanted, wide, weight), strict=False):
        torch.testing.assert_close(one.double(), other, atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("c_in", "c_out"), CHANNELS)
def test_submanifold_against_twin(backend: str, rows: int, c_in: int, c_out: int) -> None:
    torch.manual_seed(0)
    x = random_tensor(rows, c_in)
    layer = SubMConv3d(c_in, c_out)
    compare(layer, x, x.sites.submanifold_map(layer.window))
    assert layer(x).sites is x.sites


@pytest.mark.parametrize("rows", ROWS)
def test_even_submanifold_against_twin(backend: str, rows: int) -> None:
    x = random_tensor(rows, 6)
    layer = SubMConv3d(6, 18, (2, 3, 4), dilation=(1, 2, 1))
    compare(layer, x, x.sites.submanifold_map(layer.window))


@pytest.mark.parametrize("rows", ROWS)
def test_strided_against_twin(backend: str, rows: int) -> None:
    x = random_tensor(rows, 6)
    layer = SparseConv3d(6, 18, (3, 3, 2), stride=(2, 1, 2), padding=(1, 0, 1), dilation=(1, 2, 1))
    compare(layer, x, x.sites.coarser(layer.window).origin.map)  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", ROWS)
def test_transposed_against_twin(backend: str, rows: int) -> None:
    x = random_tensor(rows, 6, (4, 4, 4))
    layer = SparseConvTranspose3d(6, 18, 3, stride=2, padding=1, output_padding=1)
    compare(layer, x, layer(x).sites.origin.map)  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", ROWS)
def test_inverse_against_twin(backend: str, rows: int) -> None:
    fine = random_tensor(rows, 6)
    coarse = SparseConv3d(6, 10, 3, 2, 1)(fine)
    x = coarse.with_features(coarse.features.detach())
    layer = SparseInverseConv3d(10, 5)
    compare(layer, x, coarse.sites.origin.map.transposed())  # type: ignore[union-attr]
    assert layer(x).sites is fine.sites


dense_settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dense_settings
@given(window=windows(), n=st.integers(0, 80), seed=st.integers(0, 99))
def test_strided_equals_dense(backend: str, window: Geometry, n: int, seed: int) -> None:
    x = random_tensor(n, 4, (6, 7, 8), 2, seed)
    layer = SparseConv3d(4, 6, window.kernel, window.stride, window.padding, window.dilation, bias=False)
    weight = layer.weight.detach().permute(4, 3, 0, 1, 2)
    dense = functional.conv3d(x.to_dense(), weight, None, window.stride, window.padding, window.dilation)
    torch.testing.assert_close(layer(x).to_dense(), dense, atol=1e-4, rtol=1e-4)


@dense_settings
@given(window=windows(), n=st.integers(0, 40), seed=st.integers(0, 99))
def test_transposed_equals_dense(backend: str, window: Geometry, n: int, seed: int) -> None:
    x = random_tensor(n, 4, (3, 4, 5), 2, seed)
    if any(
        (s - 1) * t - 2 * p + d * (k - 1) < 0
        for s, (t, p, d, k) in zip(
            x.spatial_shape,
            zip(window.stride, window.padding, window.dilation, window.kernel, strict=True),
            strict=True,
        )
    ):
        return
    layer = SparseConvTranspose3d(4, 6, window.kernel, window.stride, window.padding, 0, window.dilation, bias=False)
    weight = layer.weight.detach().permute(3, 4, 0, 1, 2)
    dense = functional.conv_transpose3d(
        x.to_dense(), weight, None, window.stride, window.padding, dilation=window.dilation
    )
    torch.testing.assert_close(layer(x).to_dense(), dense, atol=1e-4, rtol=1e-4)


def test_submanifold_equals_dense_at_its_positions(backend: str) -> None:
    x = random_tensor(300, 5)
    layer = SubMConv3d(5, 8, (3, 5, 1), (2, 1, 1))
    weight = layer.weight.detach().permute(4, 3, 0, 1, 2)
    dense = functional.conv3d(x.to_dense(), weight, layer.bias, padding=layer.window.padding, dilation=(2, 1, 1))
    b, z, y, w = x.coordinates.long().unbind(1)
    torch.testing.assert_close(layer(x).features, dense[b, :, z, y, w], atol=1e-5, rtol=1e-4)


def test_a_sample_does_not_depend_on_the_batch(backend: str) -> None:
    x = random_tensor(400, 7, batch=4)
    net = torch.nn.Sequential(SubMConv3d(7, 16), SparseConv3d(16, 24, 3, 2, 1), SubMConv3d(24, 24))
    batch, own = net(x), x.coordinates[:, 0] == 2
    alone = x.coordinates[own].clone()
    alone[:, 0] = 0
    one = net(SparseTensor(alone, x.features[own], x.spatial_shape, 1))
    assert torch.equal(one.features, batch.features[batch.coordinates[:, 0] == 2])


def test_empty_sample_in_a_batch(backend: str) -> None:
    x = random_tensor(100, 4, batch=1)
    coordinates = x.coordinates.clone()
    coordinates[:, 0] = 1
    net = torch.nn.Sequential(SubMConv3d(4, 8), SparseConv3d(8, 8, 3, 2, 1), SparseMaxPool3d(2))
    lone = net(SparseTensor(coordinates, x.features, x.spatial_shape, 3)).to_dense()
    assert lone.shape[0] == 3 and not lone[0].any() and not lone[2].any()
    assert torch.equal(lone[1:2], net(x).to_dense())


@pytest.mark.parametrize("kind", ["submanifold", "strided", "back"])
def test_second_derivatives(kind: str) -> None:
    x = random_tensor(5, 2, (2, 2, 2), 1, dtype=torch.float64)
    if kind == "submanifold":
        kernel_map = x.sites.submanifold_map(Geometry.submanifold(3))
    else:
        kernel_map = x.sites.coarser(Geometry.of((3, 2, 3), 2, 1)).origin.map  # type: ignore[union-attr]
        kernel_map = kernel_map.transposed() if kind == "back" else kernel_map
    features = torch.randn(kernel_map.inputs, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(kernel_map.taps, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, w: sparse_convolve(f, w, kernel_map), (features, weight))
    assert torch.autograd.gradgradcheck(lambda f, w: sparse_convolve(f, w, kernel_map), (features, weight))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(backend: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, layer = random_tensor(300, 16), SubMConv3d(16, 24)
    features = x.features.clone().requires_grad_()
    with torch.autocast("cpu", dtype):
        out = layer(x.with_features(features)).features
    assert out.dtype == dtype
    exact = layer(x).features
    torch.testing.assert_close(out.float(), exact, atol=0.05, rtol=0.05)
    found = gradients(out.float(), features, layer.weight)
    again = x.features.clone().requires_grad_()
    wanted = gradients(layer(x.with_features(again)).features, again, layer.weight)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.05 * float(other.abs().max()), rtol=0.05)


def test_float64_goes_to_torch() -> None:
    x = random_tensor(50, 4, dtype=torch.float64)
    layer = SubMConv3d(4, 4).double()
    assert layer(x).features.dtype == torch.float64
    with use_backend("numba"), pytest.raises(UsageError, match=r"features: backend numba cannot .*float64"):
        layer(x)


def test_needs_no_gradient_of_the_input(backend: str) -> None:
    x, layer = random_tensor(30, 4), SubMConv3d(4, 4)
    layer(x).features.sum().backward()
    assert layer.weight.grad is not None and x.features.grad is None


def test_inverse_of_two_levels(backend: str) -> None:
    x = random_tensor(200, 4)
    down = [SparseConv3d(4, 4, 3, 2, 1), SparseConv3d(4, 4, (3, 1, 1), (2, 1, 1))]
    up = [SparseInverseConv3d(4, 4, (3, 1, 1)), SparseInverseConv3d(4, 4, 3)]
    middle = down[0](x)
    lowest = SubMConv3d(4, 4)(down[1](middle))
    assert up[0](lowest).sites is middle.sites and up[1](up[0](lowest)).sites is x.sites


def test_inverse_without_a_convolution() -> None:
    x = random_tensor(20, 4)
    with pytest.raises(DataError, match="nothing to undo; got positions that no convolution made"):
        SparseInverseConv3d(4, 4)(x)
    with pytest.raises(DataError, match=r"got a window of \(3, 3, 3\), wanted .*\(2, 2, 2\)"):
        SparseInverseConv3d(4, 4, 2)(SparseConv3d(4, 4, 3, 2, 1)(x))


@pytest.mark.parametrize("layer", [SubMConv3d(5, 4), SparseConv3d(5, 4), SparseConvTranspose3d(5, 4)])
def test_bad_channels(layer: torch.nn.Module) -> None:
    with pytest.raises(DataError, match=r"channels do not fit; got SparseTensor\(\[20, 4\].*wanted 5 channels"):
        layer(random_tensor(20, 4))


def test_other_device() -> None:
    with pytest.raises(DataError, match="different devices; got features on cpu, wanted meta"):
        SubMConv3d(4, 4).to("meta")(random_tensor(20, 4))


def test_features_of_another_type() -> None:
    with pytest.raises(
        DataError, match=r"features: types differ; got torch.float64, wanted the weight's torch.float32"
    ):
        SubMConv3d(4, 4)(random_tensor(20, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("features", "weight", "message"),
    [
        (torch.ones(20, 3), torch.ones(27, 4, 4), r"channels do not fit; got features \[20, 3\], weight \[27, 4, 4\]"),
        (torch.ones(19, 4), torch.ones(27, 4, 4), "other positions or another window; .*wanted 20 rows and 27 taps"),
        (torch.ones(20, 4), torch.ones(8, 4, 4), "other positions or another window"),
        (torch.ones(20, 4, dtype=torch.int32), torch.ones(27, 4, 4, dtype=torch.int32), "not a floating type"),
        (torch.ones(20, 4, device="meta"), torch.ones(27, 4, 4), "different devices; got features meta, weight cpu"),
    ],
)
def test_bad_call(features: Tensor, weight: Tensor, message: str) -> None:
    kernel_map = random_tensor(20, 1).sites.submanifold_map(Geometry.submanifold(3))
    with pytest.raises(DataError, match=message):
        sparse_convolve(features, weight, kernel_map)


@pytest.mark.parametrize("channels", [0, -1, 2.5, True])
def test_bad_number_of_channels(channels: int) -> None:
    with pytest.raises(UsageError, match=r"out_channels: .*wanted an integer >= 1"):
        SubMConv3d(4, channels)


def test_too_much_output_padding() -> None:
    with pytest.raises(UsageError, match="output_padding: too much padding; got 2, wanted less"):
        SparseConvTranspose3d(4, 4, 3, 2, 1, 2)
