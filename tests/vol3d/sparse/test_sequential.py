"""Chains, norms and activations on features."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.vol3d.sparse.scenes import random_tensor
from vol3d.errors import UsageError
from vol3d.sparse import SparseBatchNorm, SparseConv3d, SparseSequential, SubMConv3d


def test_norm_and_activation_see_the_features() -> None:
    x = random_tensor(200, 4)
    net = SparseSequential(SubMConv3d(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3), nn.GELU())
    with torch.no_grad():
        wanted = net[4](net[3](net[2](net[1](net[0](x).features))))
        assert torch.equal(net(x).features, wanted)


def test_chains_nest() -> None:
    x = random_tensor(100, 4)
    net = SparseSequential(SparseSequential(SubMConv3d(4, 8), nn.ReLU()), SparseConv3d(8, 8, 3, 2, 1))
    assert net(x).spatial_shape == (5, 5, 6)


@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_of_fewer_than_two_rows(rows: int) -> None:
    norm = SparseBatchNorm(3)
    x = torch.randn(rows, 3, requires_grad=True)
    out = norm(x)
    torch.testing.assert_close(out, x / (1 + norm.eps) ** 0.5)
    out.sum().backward()
    assert norm.num_batches_tracked == 0 and not norm.running_mean.any()


def test_batch_norm_is_torchs_own_otherwise() -> None:
    ours, theirs, x = SparseBatchNorm(3), nn.BatchNorm1d(3), torch.randn(10, 3)
    for _ in range(2):
        assert torch.equal(ours(x), theirs(x))
        assert all(
            torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
        )
        ours.eval(), theirs.eval()


def test_training_on_empty_and_single(backend: str) -> None:
    net = SparseSequential(SubMConv3d(4, 8, bias=False), SparseBatchNorm(8), nn.ReLU(), SparseConv3d(8, 8, 3, 2, 1))
    for rows in (0, 1):
        net.zero_grad()
        net(random_tensor(rows, 4)).features.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_not_a_sparse_layer() -> None:
    net = SparseSequential(nn.Flatten(0))
    net[0].forward = lambda x: x.features  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="got Flatten that returns Tensor, wanted a SparseTensor"):
        net(random_tensor(10, 4))
