"""A sparse tensor sorts, checks, goes to dense and back."""

from __future__ import annotations

import pytest
import torch

from tests.vol3d.sparse.scenes import random_coordinates, random_tensor
from vol3d.errors import DataError, UsageError
from vol3d.sparse import SparseTensor

SHAPE = (4, 5, 6)


def test_rows_are_sorted_whatever_order_they_came_in(backend: str) -> None:
    coordinates = random_coordinates(200, (9, 10, 11), 3)
    features = torch.randn(len(coordinates), 2)
    x = SparseTensor(coordinates, features, (9, 10, 11), 3)
    rows = x.coordinates.tolist()
    assert rows == sorted(rows)
    assert torch.equal(x.features_as_given(), features)
    shuffle = torch.randperm(len(coordinates))
    y = SparseTensor(coordinates[shuffle], features[shuffle], (9, 10, 11), 3)
    assert torch.equal(x.coordinates, y.coordinates) and torch.equal(x.features, y.features)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integer_types(dtype: torch.dtype) -> None:
    x = SparseTensor(torch.tensor([[0, 1, 2, 3], [0, 0, 1, 1]], dtype=dtype), torch.ones(2, 1), SHAPE, 1)
    assert x.coordinates.dtype == torch.int32
    assert x.coordinates.tolist() == [[0, 0, 1, 1], [0, 1, 2, 3]]


def test_non_contiguous_coordinates() -> None:
    wide = torch.zeros(3, 8, dtype=torch.int64)
    wide[:, 6] = torch.tensor([2, 0, 1])
    x = SparseTensor(wide[:, ::2], torch.tensor([[2.0], [0.0], [1.0]]), SHAPE, 1)
    assert x.coordinates.is_contiguous() and x.features.squeeze(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("n", [0, 1, 50])
def test_dense_and_back(n: int) -> None:
    x = random_tensor(n, 3, batch=3)
    dense = x.to_dense()
    assert dense.shape == (3, 3, 9, 10, 11)
    for (b, z, y, w), row in zip(x.coordinates.tolist(), x.features, strict=True):
        assert torch.equal(dense[b, :, z, y, w], row)
    back = SparseTensor.from_dense(dense)
    assert torch.equal(back.coordinates, x.coordinates) and torch.equal(back.features, x.features)
    assert (back.spatial_shape, back.batch_size) == (x.spatial_shape, 3)


def test_from_dense_with_a_mask_keeps_zeros() -> None:
    active = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    active[0, 1, 0, 1] = True
    x = SparseTensor.from_dense(torch.zeros(1, 4, 2, 2, 2), active)
    assert x.coordinates.tolist() == [[0, 1, 0, 1]] and x.features.shape == (1, 4)


def test_dense_is_differentiable() -> None:
    x = random_tensor(5, 2, (2, 2, 3), dtype=torch.float64)
    features = x.features.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: x.with_features(f).to_dense(), features)
    dense = torch.randn(1, 2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: SparseTensor.from_dense(d).features, dense)


def test_to_the_same_device_keeps_maps() -> None:
    x = random_tensor(20, 2)
    assert x.to("cpu").sites is x.sites


def test_residual_sum() -> None:
    x = random_tensor(20, 2)
    assert torch.equal((x + x.with_features(2 * x.features)).features, 3 * x.features)
    with pytest.raises(DataError, match=r"positions differ; got SparseTensor\(\[20, 2\].* wanted .*share"):
        x + random_tensor(20, 2)


def good() -> dict:
    return {
        "coordinates": torch.tensor([[0, 1, 2, 3], [1, 0, 4, 5]]),
        "features": torch.ones(2, 3),
        "spatial_shape": SHAPE,
        "batch_size": 2,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"coordinates": torch.tensor([[0, 1, 2, 6], [0, 1, 2, 3]])},
            r"coordinates: .*got x 3 to 6 \(first at row 0\), wanted 0 to 5",
        ),
        (
            {"coordinates": torch.tensor([[0, 1, 2, 3], [0, -1, 2, 3]])},
            r"coordinates: .*got z -1 to 1 \(first at row 1\), wanted 0 to 3",
        ),
        (
            {"coordinates": torch.tensor([[0, 1, 2, 3], [2, 1, 2, 3]])},
            r"coordinates: .*got batch 0 to 2 .* wanted 0 to 1",
        ),
        (
            {"coordinates": torch.tensor([[1, 1, 2, 3], [1, 1, 2, 3]])},
            r"coordinates: duplicate .*got 1 repeated, the first \[1, 1, 2, 3\]",
        ),
        ({"coordinates": torch.zeros(2, 4)}, r"coordinates: wrong type; got torch.float32, wanted integers"),
        ({"coordinates": torch.zeros(2, 3, dtype=torch.int64)}, r"coordinates: .*got \[2, 3\], wanted \[n, 4\]"),
        ({"features": torch.ones(3, 3)}, r"features: .*got \[3, 3\], wanted \[2, channels\]"),
        ({"features": torch.ones(2)}, r"features: .*got \[2\], wanted \[2, channels\]"),
        ({"features": torch.ones(2, 3, dtype=torch.int32)}, r"features: wrong type; got torch.int32"),
        ({"features": torch.ones(2, 3, device="meta")}, r"features: .*different devices; got meta, wanted cpu"),
        ({"batch_size": -1}, r"batch_size: .*got -1, wanted an integer >= 0"),
        ({"spatial_shape": (4, 5, -6)}, r"spatial_shape: .*got \(4, 5, -6\), wanted one or three integers >= 1"),
        ({"spatial_shape": (2**40, 2**20, 2**20)}, r"spatial_shape: .*too many positions.*wanted < 2\*\*60"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        SparseTensor(**{**good(), **change})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_features_on_request(value: float) -> None:
    bad = good()
    bad["features"][1, 2] = value
    SparseTensor(**bad)
    with pytest.raises(DataError, match=r"features: NaN or infinite .*got 1 rows, first row 1, wanted finite"):
        SparseTensor(**bad, check_finite=True)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(3, 1), r"got \[3, 1\], wanted \[20, channels\]"),
        (torch.ones(20, 1, device="meta"), "got meta, wanted cpu"),
    ],
)
def test_features_for_other_positions(features: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        random_tensor(20, 2).with_features(features)


@pytest.mark.parametrize(
    ("dense", "active", "message"),
    [
        (torch.ones(2, 3, 4), None, r"dense: .*got \[2, 3, 4\]"),
        (torch.ones(1, 2, 2, 2, 2), torch.ones(1, 2, 2, 2), r"active: .*got torch.float32"),
        (torch.ones(1, 2, 2, 2, 2), torch.ones(1, 2, 2, 3) > 0, r"active: .*got torch.bool \[1, 2, 2, 3\]"),
    ],
)
def test_bad_dense(dense: torch.Tensor, active: torch.Tensor | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SparseTensor.from_dense(dense, active)
