"""Pooling against the slow twin and dense pooling."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.reference.sparse import slow_pool
from tests.vol3d.sparse.scenes import random_tensor
from vol3d.sparse import SparseAvgPool3d, SparseConv3d, SparseMaxPool3d


@pytest.mark.parametrize("rows", [0, 1, 200])
@pytest.mark.parametrize("kind", [SparseMaxPool3d, SparseAvgPool3d])
def test_against_twin(backend: str, rows: int, kind: type) -> None:
    x = random_tensor(rows, 5)
    layer = kind((3, 2, 3), (2, 2, 1), (1, 0, 1))
    features, twin = x.features.clone().requires_grad_(), x.features.clone().requires_grad_()
    out = layer(x.with_features(features))
    wanted = slow_pool(twin, out.sites.origin.map.neighbours, kind is SparseAvgPool3d)
    torch.testing.assert_close(out.features, wanted)
    factors = torch.linspace(-1, 1, wanted.numel()).reshape(wanted.shape)
    found = torch.autograd.grad((out.features * factors).sum(), features)[0]
    expected = torch.autograd.grad((wanted * factors).sum(), twin)[0]
    torch.testing.assert_close(found, expected)


def test_maximum_equals_dense_for_positive_features() -> None:
    x = random_tensor(300, 4)
    x = x.with_features(x.features.abs())
    dense = functional.max_pool3d(x.to_dense(), 3, 2, 1)
    torch.testing.assert_close(SparseMaxPool3d(3, 2, 1)(x).to_dense(), dense)


def test_equal_values_have_one_winner_and_nan_wins() -> None:
    x = random_tensor(300, 2, (6, 6, 6), 1)
    features = torch.ones_like(x.features).requires_grad_()
    pooled = SparseMaxPool3d(2)(x.with_features(features)).features
    pooled.sum().backward()
    assert (
        features.grad is not None
        and features.grad.sum() == pooled.numel()
        and set(features.grad.unique().tolist()) <= {0, 1}
    )
    spoiled = x.features.clone()
    spoiled[0, 0] = float("nan")
    assert SparseMaxPool3d(2)(x.with_features(spoiled)).features.isnan().sum() == 1


def test_minus_infinity_is_a_value() -> None:
    x = random_tensor(30, 2)
    low = x.with_features(torch.full_like(x.features, -torch.inf))
    assert (SparseMaxPool3d(2)(low).features == -torch.inf).all()


def test_shares_the_positions_of_a_convolution() -> None:
    x = random_tensor(100, 4)
    made = SparseConv3d(4, 4, 3, 2, 1)(x)
    assert SparseMaxPool3d(3, 2, 1)(x).sites is made.sites
