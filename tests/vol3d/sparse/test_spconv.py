"""spconv as a peer: its CPU wheel, with one thread (with more it is wrong), and the backend that calls it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.vol3d.sparse.scenes import random_coordinates, random_tensor
from vol3d.sparse import Geometry, SparseConv3d, SparseInverseConv3d, SparseTensor, SubMConv3d, to_spconv
from vol3d.sparse.backends import torch_backend

pytestmark = pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="spconv is not installed")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, and no question for the CUDA stream, which fails without CUDA."""
    import spconv.pytorch.ops

    monkeypatch.setattr(spconv.pytorch.ops, "get_current_stream", lambda: 0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def by_position(coordinates: Tensor, features: Tensor) -> dict[tuple[int, ...], Tensor]:
    return {tuple(c): f for c, f in zip(coordinates.tolist(), features, strict=True)}


def test_network_equals_spconv() -> None:
    import spconv.pytorch as peer

    coordinates, features = random_coordinates(300, (9, 10, 11), 2), torch.randn(300, 6)
    ours = [
        SubMConv3d(6, 8, bias=False),
        SparseConv3d(8, 10, 3, 2, 1, bias=False),
        SparseInverseConv3d(10, 4, bias=False),
    ]
    theirs = [
        peer.SubMConv3d(6, 8, 3, bias=False),
        peer.SparseConv3d(8, 10, 3, 2, 1, bias=False, indice_key="down"),
        peer.SparseInverseConv3d(10, 4, 3, bias=False, indice_key="down"),
    ]
    x = SparseTensor(coordinates, features, (9, 10, 11), 2)
    y = peer.SparseConvTensor(features, coordinates, [9, 10, 11], 2)
    with torch.no_grad():
        for layer, other in zip(ours, theirs, strict=True):
            other.weight.copy_(to_spconv(layer.weight, 2))
            x, y = layer(x), other(y)
            found, wanted = by_position(x.coordinates, x.features), by_position(y.indices, y.features)
            assert found.keys() == wanted.keys()
            for position, row in wanted.items():
                torch.testing.assert_close(found[position], row, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["submanifold", "strided", "inverse"])
def test_backend_on_the_cpu_wheel(kind: str) -> None:
    """The calls are the same on CUDA; here they run, with one thread, on the CPU."""
    from vol3d.sparse.backends import spconv_backend

    x = random_tensor(200, 1)
    table = x.sites.submanifold_map(Geometry.submanifold(3))
    if kind != "submanifold":
        origin = x.sites.coarser(Geometry.of((3, 2, 3), 2, 1)).origin
        assert origin is not None
        table = origin.map if kind == "strided" else origin.map.transposed()
    features, weight = torch.randn(table.inputs, 5), torch.randn(table.taps, 5, 7)
    grad = torch.randn(table.outputs, 7)
    wanted = torch_backend.convolve(features, weight, table)
    torch.testing.assert_close(spconv_backend.convolve(features, weight, table), wanted, atol=1e-4, rtol=1e-4)
    wanted = torch_backend.weight_gradient(features, grad, table)
    torch.testing.assert_close(spconv_backend.weight_gradient(features, grad, table), wanted, atol=1e-4, rtol=1e-4)
    assert spconv_backend.unfit(torch.device("cpu"), torch.float32) == "for CUDA, not cpu"
