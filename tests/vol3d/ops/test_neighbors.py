"""Ball query and nearest neighbours against their twins, the originals' indices, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.reference import points as twin
from vol3d.errors import DataError
from vol3d.ops import ball_query, group_around, knn, neighbors_torch
from vol3d.ops.grouping import gather

CASES = ["e1_scannet20000", "e2_sunrgbd2048", "e3_batch2_5000", "e4_near_origin4096", "e5_free_centers3000"]


def clouds(n: int, m: int, seed: int, lattice: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    points = random.normal(size=(n, 3))
    queries = random.normal(size=(m, 3)) * random.choice([0.1, 1, 100])
    if n > 2 and seed % 3 == 0:
        points[0] = 1e6  # an outlier must not cost memory or change an answer
    first, second = (torch.from_numpy(a.astype(np.float32))[None] for a in (points, queries))
    return (first.round(), second.round()) if lattice else (first, second)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 200), m=st.integers(0, 30), k=st.integers(0, 20), seed=st.integers(0, 99),
    radius=st.sampled_from([1e-3, 0.3, 1.0, 50.0]), lattice=st.booleans(),
)  # fmt: skip
def test_balls_equal_the_twin(n: int, m: int, k: int, seed: int, radius: float, lattice: bool) -> None:
    points, centers = clouds(n, m, seed, lattice)
    found = ball_query(points, centers, radius, k)
    indices, hits = twin.ball(points[0].numpy(), centers[0].numpy(), radius, k)
    assert np.array_equal(found.indices[0], indices) and np.array_equal(found.hits[0], hits)
    sizes = torch.tensor([n]), torch.tensor([m])
    plain = neighbors_torch.ball(points, centers, *sizes, float(torch.tensor(radius) ** 2), k)
    assert torch.equal(plain[0], found.indices) and torch.equal(plain[1], found.hits)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 200), m=st.integers(0, 30), k=st.integers(0, 40), seed=st.integers(0, 99), lattice=st.booleans()
)
def test_nearest_equal_the_twin(n: int, m: int, k: int, seed: int, lattice: bool) -> None:
    points, queries = clouds(n, m, seed, lattice)
    found = knn(points, queries, k)
    distances, indices = twin.nearest(points[0].numpy(), queries[0].numpy(), k)
    assert np.array_equal(found.indices[0], indices)
    np.testing.assert_allclose(found.distances[0], distances, rtol=3e-7)  # torch's square root may be one unit off
    plain = neighbors_torch.nearest(points, queries, torch.tensor([n]), torch.tensor([m]), k)
    assert torch.equal(plain[1], found.indices)
    torch.testing.assert_close(plain[0], found.distances, rtol=3e-7, atol=0)


def test_other_columns_and_float64() -> None:
    random = np.random.default_rng(0)
    for columns, dtype in ((2, np.float32), (3, np.float64), (7, np.float64)):
        points, queries = (random.normal(size=(1, n, columns)).astype(dtype) for n in (50, 9))
        found = knn(torch.from_numpy(points), torch.from_numpy(queries), 5)
        distances, indices = twin.nearest(points[0], queries[0], 5)
        assert np.array_equal(found.indices[0], indices)
        np.testing.assert_allclose(found.distances[0], distances, rtol=3e-7)


def test_blocks_of_pairs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    points, queries = clouds(40, 13, 1)
    sizes = torch.tensor([40]), torch.tensor([13])
    whole = neighbors_torch.nearest(points, queries, *sizes, 4), neighbors_torch.ball(points, queries, *sizes, 0.5, 4)
    monkeypatch.setattr(neighbors_torch, "_PAIRS", 100)
    parts = neighbors_torch.nearest(points, queries, *sizes, 4), neighbors_torch.ball(points, queries, *sizes, 0.5, 4)
    assert all(torch.equal(a, b) for x, y in zip(whole, parts, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_balls_and_groups_of_the_original(oracle_root: Path, case: str) -> None:
    tensors = load_file(oracle_root / "3detr/E_pointops/pointops.safetensors")
    radius, k = {"e1": (0.2, 64), "e2": (0.4, 32), "e3": (0.3, 16), "e4": (0.2, 32), "e5": (0.15, 32)}[case[:2]]
    points = tensors[f"{case}.xyz"]
    centers = tensors.get(f"{case}.centers")
    if centers is None:
        centers = gather(points, tensors[f"{case}.fps_inds"].long())
    found = ball_query(points, centers, radius, k, padding="first")
    assert torch.equal(found.indices, tensors[f"{case}.ball_inds"].long())
    assert torch.equal(found.hits, tensors[f"{case}.ball_num_hits"].long())
    features = tensors[f"{case}.features4_fp16"].float().transpose(1, 2)
    grouped = group_around(points, centers[:, :16], found.indices[:, :16], features, radius=radius)
    torch.testing.assert_close(grouped.permute(0, 3, 1, 2), tensors[f"{case}.grouped_first16"], atol=1e-6, rtol=0)


def test_three_nearest_of_the_original(oracle_root: Path) -> None:
    tensors = load_file(oracle_root / "3detr/E_pointops/pointops.safetensors")
    found = knn(tensors["e8_three_nn.known"], tensors["e8_three_nn.unknown"], 3)
    assert torch.equal(found.indices, tensors["e8_three_nn.idx"].long())
    torch.testing.assert_close(found.distances, tensors["e8_three_nn.dist"], atol=1e-6, rtol=0)


def test_clouds_of_different_sizes_ignore_the_padding() -> None:
    points, queries = (torch.cat(pair) for pair in zip(clouds(50, 8, 1), clouds(50, 8, 2), strict=True))
    points[1, 20:], queries[1, 3:] = torch.nan, torch.nan
    balls = ball_query(points, queries, 1.0, 4, counts=[50, 20], center_counts=[8, 3])
    near = knn(points, queries, 4, counts=[50, 20], query_counts=[8, 3])
    alone = ball_query(points[1:, :20], queries[1:, :3], 1.0, 4), knn(points[1:, :20], queries[1:, :3], 4)
    assert torch.equal(balls.indices[1, :3], alone[0].indices[0]) and torch.equal(
        near.indices[1, :3], alone[1].indices[0]
    )
    assert (balls.indices[1, 3:] == -1).all() and (balls.hits[1, 3:] == 0).all()
    assert (near.indices[1, 3:] == -1).all() and near.distances[1, 3:].isinf().all()


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 100), seed=st.integers(0, 99), shift=st.integers(-4, 4))
def test_a_rigid_motion_changes_nothing_and_a_permutation_permutes(n: int, seed: int, shift: int) -> None:
    points, queries = clouds(n, 6, 3 * seed + 1)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    near, permuted = knn(points, queries, 5), knn(points[:, order], queries, 5)
    torch.testing.assert_close(near.distances, permuted.distances, rtol=3e-7, atol=0)
    assert torch.equal(torch.where(permuted.indices < 0, -1, order[permuted.indices]), near.indices)
    coarse, targets = (points * 64).round() / 64, (queries * 64).round() / 64
    new, there = (torch.stack([-a[..., 1], a[..., 0], a[..., 2]], -1) + shift for a in (coarse, targets))
    assert torch.equal(ball_query(new, there, 0.7, 5).indices, ball_query(coarse, targets, 0.7, 5).indices)
    assert torch.equal(knn(new, there, 5).indices, knn(coarse, targets, 5).indices)


def test_a_radius_is_strict_and_padding_is_a_choice() -> None:
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0]]])
    centers = torch.tensor([[[0.0, 0, 0], [9, 9, 9]]])
    assert ball_query(points, centers, 1.0, 4).indices.tolist() == [[[0, 2, -1, -1], [-1] * 4]]
    assert ball_query(points, centers, 1.0, 4, padding="first").indices.tolist() == [[[0, 2, 0, 0], [0] * 4]]
    assert ball_query(points, centers, 1.0, 1).hits.tolist() == [[2, 0]]


def test_equal_points_and_more_than_a_buffer_of_hits() -> None:
    points = torch.ones(1, 9000, 3)
    assert ball_query(points, points[:, :1], 0.1, 3).hits.tolist() == [[9000]]
    assert knn(points, points[:, :1], 3).indices.tolist() == [[[0, 1, 2]]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": torch.zeros(4, 3)}, r"points: wrong shape; got \(4, 3\)"),
        ({"points": torch.zeros(1, 4, 2)}, r"points: wrong shape; got \(1, 4, 2\), wanted \(B, N, 3\)"),
        ({"centers": torch.zeros(2, 4, 3)}, "centers: does not fit points"),
        ({"centers": torch.zeros(1, 4, 3).double()}, "centers: does not fit points"),
        ({"centers": torch.full((1, 4, 3), torch.inf)}, "centers: point 0 of cloud 0 is not finite"),
        ({"centers": torch.zeros(1, 4, 3, device="meta")}, "points and centers: mixed devices"),
        ({"center_counts": [5]}, "center_counts: out of range"),
        ({"radius": 0.0}, "radius: out of range; got 0.0"),
        ({"radius": -1.0}, "radius: out of range; got -1.0"),
        ({"radius": float("nan")}, "radius: out of range; got nan"),
        ({"k": -1}, "k: out of range; got -1"),
        ({"k": True}, "k: out of range; got True"),
        ({"padding": "zero"}, "padding: unknown padding; got 'zero'"),
    ],
)
@pytest.mark.bad_input
def test_bad_input_is_named(change: dict, message: str) -> None:
    arguments = {"points": torch.zeros(1, 4, 3), "centers": torch.zeros(1, 4, 3), "radius": 1.0, "k": 2, **change}
    with pytest.raises(DataError, match=message):
        ball_query(**arguments)


@pytest.mark.bad_input
def test_bad_queries_are_named() -> None:
    with pytest.raises(DataError, match="queries: does not fit points"):
        knn(torch.zeros(1, 4, 3), torch.zeros(1, 4, 2), 1)
    with pytest.raises(DataError, match="query_counts: out of range"):
        knn(torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), 1, query_counts=[7])
