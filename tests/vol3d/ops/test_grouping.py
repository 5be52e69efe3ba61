"""Gathering, grouping and interpolation against their twins in value and gradient, and bad input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.reference import points as twin
from vol3d.errors import DataError
from vol3d.ops import gather, group_around, interpolate_nearest, knn, pad_clouds, split_clouds


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(value: Tensor, *inputs: Tensor) -> list[Tensor]:
    weights = random(*value.shape, seed=5)
    return list(torch.autograd.grad((value * weights).sum(), inputs, allow_unused=False))


@pytest.mark.parametrize(("n", "m"), [(7, 12), (1, 3), (5, 0), (0, 2)])
def test_gather_equals_the_twin_in_value_and_gradient(n: int, m: int) -> None:
    features = random(2, n, 3).requires_grad_()
    indices = torch.randint(-1, max(n, 0), (2, m), generator=torch.Generator().manual_seed(1))
    fast, slow = gather(features, indices), twin.gather(features, indices)
    assert fast.shape == (2, m, 3) and torch.equal(fast, slow)
    if m and n:
        torch.testing.assert_close(gradients(fast, features), gradients(slow, features))
    assert torch.equal(gather(features, indices.int()), fast)
    assert torch.equal(gather(features.bfloat16(), indices), fast.bfloat16())


def test_gradcheck() -> None:
    points, features, queries = (random(1, 6, 3), random(1, 6, 2), random(1, 4, 3, seed=2))
    inputs = tuple(t.requires_grad_() for t in (points, features, queries))
    indices = torch.tensor([[[0, 1, -1], [2, 2, 5], [-1, -1, -1], [3, 0, 0]]])
    assert torch.autograd.gradcheck(lambda p, f, q: group_around(p, q, indices, f, radius=0.5), inputs)
    assert torch.autograd.gradcheck(interpolate_nearest, inputs)
    assert torch.autograd.gradcheck(lambda p, f, q: interpolate_nearest(p, f, q, power=1), inputs)
    assert torch.autograd.gradgradcheck(lambda f: gather(f, indices), (features,))


@pytest.mark.parametrize(("k", "power"), [(3, 2), (3, 1), (1, 2), (9, 2)])
def test_interpolation_equals_the_twin(k: int, power: int) -> None:
    points, features, queries = (
        t.requires_grad_() for t in (random(2, 5, 3), random(2, 5, 4), random(2, 8, 3, seed=3))
    )
    fast = interpolate_nearest(points, features, queries, k=k, power=power)
    slow = torch.stack([twin.interpolate(*rows, k, power) for rows in zip(points, features, queries, strict=True)])
    torch.testing.assert_close(fast, slow)
    inputs = (points, features, queries)
    torch.testing.assert_close(gradients(fast, *inputs), gradients(slow, *inputs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("power", [1, 2])
def test_a_query_at_a_point_takes_its_feature_with_finite_gradients(power: int) -> None:
    points = random(1, 5, 3).requires_grad_()
    features = random(1, 5, 2)
    value = interpolate_nearest(points, features, points.detach()[:, :2], power=power)
    torch.testing.assert_close(value, features[:, :2], rtol=1e-6, atol=1e-6)
    assert gradients(value, points)[0].isfinite().all()


def test_interpolation_without_points_is_zero_and_keeps_to_counts() -> None:
    points, features, queries = random(2, 5, 3), random(2, 5, 2), random(2, 4, 3, seed=1)
    value = interpolate_nearest(points, features, queries, counts=[5, 0], query_counts=[3, 4])
    assert (value[1] == 0).all() and (value[0, 3] == 0).all()
    alone = interpolate_nearest(points[:1], features[:1], queries[:1, :3])
    assert torch.equal(value[:1, :3], alone)
    single = interpolate_nearest(points[:, :1], features[:, :1], queries)
    torch.testing.assert_close(single, features[:, :1].expand(2, 4, 2))


def test_constant_features_stay_constant() -> None:
    value = interpolate_nearest(random(1, 30, 3), torch.ones(1, 30, 2).double(), random(1, 9, 3, seed=4))
    torch.testing.assert_close(value, torch.ones(1, 9, 2).double())


def test_groups_of_missing_neighbours_are_zero() -> None:
    points, queries = random(1, 2, 3), random(1, 3, 3, seed=1)
    grouped = group_around(points, queries, knn(points, queries, 4).indices, random(1, 2, 5))
    assert grouped.shape == (1, 3, 4, 8) and (grouped[:, :, 2:] == 0).all() and (grouped[:, :, :2] != 0).all()


def test_clouds_are_padded_and_split_again() -> None:
    clouds = [random(4, 3), random(0, 3), random(2, 3)]
    points, counts = pad_clouds(clouds)
    assert points.shape == (3, 4, 3) and counts.tolist() == [4, 0, 2] and (points[2, 2:] == 0).all()
    assert all(torch.equal(a, b) for a, b in zip(split_clouds(points, counts), clouds, strict=True))


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "clouds: not a list of clouds; got no cloud"),
        (torch.zeros(2, 3), "clouds: not a list of clouds; got a tensor"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], r"clouds\[1\]: clouds differ; got 4 columns"),
        (
            [torch.zeros(2, 3), torch.zeros(2, 3).double()],
            r"clouds\[1\]: clouds differ; got 3 columns of torch.float64",
        ),
        ([torch.zeros(2)], r"clouds\[0\]: wrong shape"),
        ([torch.zeros(2, 3), torch.zeros(2, 3, device="meta")], "mixed devices"),
    ],
)
def test_bad_clouds_are_named(clouds: list[Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pad_clouds(clouds)


@pytest.mark.parametrize(
    ("features", "indices", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 3).long(), "features: wrong shape"),
        (torch.zeros(2, 3, 1), torch.zeros(2, 3), "indices: wrong dtype; got torch.float32"),
        (torch.zeros(2, 3, 1), torch.zeros(3, 3).long(), r"indices: wrong shape; got \(3, 3\)"),
        (torch.zeros(2, 3, 1), torch.zeros(2).long(), r"indices: wrong shape; got \(2,\)"),
        (
            torch.zeros(2, 3, 1),
            torch.full((2, 1), 3),
            r"indices: index outside; got 3 to 3, wanted -1 \(missing\) to 2",
        ),
        (torch.zeros(2, 3, 1), torch.full((2, 1), -2), "indices: index outside; got -2"),
        (torch.zeros(2, 3, 1, device="meta"), torch.zeros(2, 3).long(), "features and indices: mixed devices"),
    ],
)
@pytest.mark.bad_input
def test_bad_indices_are_named(features: Tensor, indices: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        gather(features, indices)


@pytest.mark.bad_input
def test_other_bad_arguments_are_named() -> None:
    points, indices = torch.zeros(1, 4, 3), torch.zeros(1, 4, 2).long()
    with pytest.raises(DataError, match="features: does not fit points"):
        group_around(points, points, indices, torch.zeros(1, 5, 2))
    with pytest.raises(DataError, match="radius: out of range"):
        group_around(points, points, indices, radius=0)
    with pytest.raises(DataError, match="indices: wrong shape"):
        group_around(points, points, indices[:, :3])
    with pytest.raises(DataError, match="features: does not fit points"):
        interpolate_nearest(points, torch.zeros(1, 5, 2), points)
    with pytest.raises(DataError, match="power: unknown power; got 3"):
        interpolate_nearest(points, points, points, power=3)
