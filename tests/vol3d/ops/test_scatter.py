"""Points reduced into groups and voxels laid out as images, against twins in value and gradient, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference import points as twin
from vol3d.errors import DataError
from vol3d.ops import rows, scatter_reduce, scatter_to_bev


@contextmanager
def without_numba(patch: pytest.MonkeyPatch) -> Iterator[None]:
    with patch.context() as context:
        context.setattr(rows, "_compiled", lambda values: False)
        yield


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize(("n", "size"), [(40, 7), (1, 1), (5, 30), (0, 3), (3, 0), (0, 0)])
def test_reductions_equal_the_twin(monkeypatch: pytest.MonkeyPatch, reduce: Any, n: int, size: int) -> None:
    random = torch.Generator().manual_seed(n + size)
    features = torch.randn(n, 3, generator=random, dtype=torch.float64).mul(2).round().requires_grad_()  # ties
    index = torch.randint(-1, max(size, 0), (n,), generator=random)
    fast, slow = scatter_reduce(features, index, size, reduce), twin.scatter(features, index, size, reduce)
    torch.testing.assert_close(fast, slow)
    with without_numba(monkeypatch):
        plain = scatter_reduce(features, index, size, reduce)
    torch.testing.assert_close(plain, slow)
    if n and size and (index >= 0).any():
        weights = torch.randn(size, 3, generator=random, dtype=torch.float64)
        found = [torch.autograd.grad((v * weights).sum(), features)[0] for v in (fast, plain, slow)]
        torch.testing.assert_close(found[0], found[1])
        torch.testing.assert_close(found[0], found[2])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_halves_are_reduced_as_without_numba(monkeypatch: pytest.MonkeyPatch, reduce: Any, kind: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(400, 3, generator=random).to(kind).requires_grad_()
    index = torch.randint(-1, 30, (400,), generator=random)

    def values_and_gradient() -> tuple[Tensor, Tensor]:
        reduced = scatter_reduce(features, index, 30, reduce)
        return reduced, torch.autograd.grad(reduced.float().square().sum(), features)[0]

    fast = values_and_gradient()
    with without_numba(monkeypatch):
        plain = values_and_gradient()
    for one, other in zip(fast, plain, strict=True):
        assert one.dtype == other.dtype == kind
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_gradcheck(monkeypatch: pytest.MonkeyPatch, reduce: Any) -> None:
    features = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    index = torch.tensor([0, 3, -1, 0, 1, 1, 3, 0, -1])
    assert torch.autograd.gradcheck(lambda f: scatter_reduce(f, index, 5, reduce), (features,))
    assert torch.autograd.gradgradcheck(lambda f: scatter_reduce(f, index, 5, reduce), (features,))
    with without_numba(monkeypatch):
        assert torch.autograd.gradcheck(lambda f: scatter_reduce(f, index, 5, reduce), (features,))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_nan_stays_in_its_group(monkeypatch: pytest.MonkeyPatch, reduce: Any) -> None:
    features = torch.tensor([[1.0], [torch.nan], [3.0], [2.0]])
    index = torch.tensor([0, 0, 0, 1])
    for values in (features, features.bfloat16()):
        reduced = scatter_reduce(values, index, 2, reduce)
        assert reduced.dtype == values.dtype and reduced[0].isnan() and reduced[1] == 2
    with without_numba(monkeypatch):
        assert scatter_reduce(features, index, 2, reduce)[0].isnan()


def test_the_number_of_threads_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(30000, 4, generator=random)
    index = torch.randint(-1, 9000, (30000,), generator=random)
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        results.append(scatter_reduce(features, index, 9000, "sum"))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_an_image_has_each_voxel_in_its_place() -> None:
    features = torch.tensor([[1.0, 2], [3, 4], [5, 6]], dtype=torch.float64).requires_grad_()
    coordinates = torch.tensor([[0, 0, 2, 1], [2, 1, 0, 4], [2, 0, 0, 4]], dtype=torch.int32)
    image = scatter_to_bev(features, coordinates, 3, (2, 3, 5))
    assert image.shape == (3, 4, 3, 5) and image.sum().item() == 21 and (image[1] == 0).all()
    assert image[0, :, 2, 1].tolist() == [1, 0, 2, 0]  # channel c of layer z is c * 2 + z
    assert image[2, :, 0, 4].tolist() == [5, 3, 6, 4]
    assert torch.autograd.gradcheck(lambda f: scatter_to_bev(f, coordinates, 3, (2, 3, 5)), (features,))


def test_an_image_of_nothing_is_zero() -> None:
    image = scatter_to_bev(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int32), 2, (1, 3, 5))
    assert image.shape == (2, 4, 3, 5) and (image == 0).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 0, 0, 0], r"coordinates: row 1 is outside; got \[2, 0, 0, 0\]"),
        ([0, 1, 0, 0], "coordinates: row 1 is outside"),
        ([0, 0, 3, 0], "coordinates: row 1 is outside"),
        ([0, 0, 0, -1], "coordinates: row 1 is outside"),
        ([1, 0, 2, 4], r"coordinates: row 1 is there twice; got \[1, 0, 2, 4\]"),
    ],
)
def test_bad_coordinates_are_named(row: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scatter_to_bev(torch.zeros(2, 1), torch.tensor([[1, 0, 2, 4], row]), 2, (1, 3, 5))


@pytest.mark.parametrize(
    ("features", "index", "size", "reduce", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), 1, "sum", "features: wrong shape"),
        (torch.zeros(3, 1).int(), torch.zeros(3).long(), 1, "sum", "features: wrong dtype"),
        (torch.zeros(3, 1), torch.zeros(2).long(), 1, "sum", r"index: wrong shape; got \(2,\), wanted \(3,\)"),
        (torch.zeros(3, 1), torch.zeros(3), 1, "sum", "index: wrong dtype"),
        (torch.zeros(3, 1), torch.ones(3).long(), 1, "sum", "index: index outside; got 1 to 1"),
        (torch.zeros(3, 1), torch.zeros(3).long(), -1, "sum", "size: out of range; got -1"),
        (torch.zeros(3, 1), torch.zeros(3).long(), 1, "median", "reduce: unknown reduction; got 'median'"),
        (torch.zeros(3, 1), torch.zeros(3, device="meta").long(), 1, "sum", "mixed devices"),
    ],
)
@pytest.mark.bad_input
def test_bad_input_is_named(features: Tensor, index: Tensor, size: int, reduce: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scatter_reduce(features, index, size, reduce)


@pytest.mark.bad_input
def test_bad_grids_are_named() -> None:
    features, coordinates = torch.zeros(1, 1), torch.zeros(1, 4).int()
    shapes: list[tuple[Any, str]] = [((1, 3), "shape: not a grid"), ((1, 0, 3), "shape: out of range; got 0")]
    for shape, message in shapes:
        with pytest.raises(DataError, match=message):
            scatter_to_bev(features, coordinates, 1, shape)
    with pytest.raises(DataError, match="batch_size: out of range; got -1"):
        scatter_to_bev(features, coordinates, -1, (1, 1, 1))
    with pytest.raises(DataError, match="coordinates: wrong shape"):
        scatter_to_bev(features, coordinates[:, :3], 1, (1, 1, 1))
