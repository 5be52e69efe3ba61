"""Farthest-point sampling against its twin, the originals' picks, and bad input."""

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
from vol3d.ops import farthest_point_sample, farthest_point_sample_from_distances
from vol3d.ops.sampling_torch import sample_by_rows, usable_points


def cloud(n: int, seed: int = 0, columns: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, n, columns)).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), seed=st.integers(0, 99), lattice=st.booleans(), double=st.booleans(), skip=st.booleans())
def test_picks_equal_the_twin(n: int, seed: int, lattice: bool, double: bool, skip: bool) -> None:
    points = cloud(n, seed)
    points = (points * 2).round() / 2 if lattice else points  # many exact ties and duplicates
    points = points.double() if double else points
    start, k = seed % n, max(1, n - seed % 7)
    picks = farthest_point_sample(points, k, start=start, skip_near_origin=skip)
    assert picks.dtype == torch.int64 and picks.shape == (1, k)
    assert picks[0].tolist() == twin.farthest_points(points[0].numpy(), k, start, skip)
    counts, starts = torch.tensor([n]), torch.tensor([start])
    assert torch.equal(picks, sample_by_rows(points, usable_points(points, counts, skip), starts, k))


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_any_number_of_columns(columns: int) -> None:
    points = cloud(60, 3, columns)
    picks = farthest_point_sample(points, 30, start=4)
    assert picks[0].tolist() == twin.farthest_points(points[0].numpy(), 30, 4)


def test_batches_of_different_sizes_ignore_the_padding() -> None:
    points = torch.cat([cloud(90, 1), cloud(90, 2), cloud(90, 3)])
    counts, starts = [90, 20, 8], torch.tensor([5, 0, 7])
    points[1, 20:], points[2, 8:] = torch.nan, torch.inf
    picks = farthest_point_sample(points, 8, counts=counts, start=starts)
    for i, n in enumerate(counts):
        assert picks[i].tolist() == twin.farthest_points(points[i, :n].numpy(), 8, int(starts[i]))


def test_a_large_cloud_of_many_buckets(data_root: Path) -> None:
    points = torch.from_numpy(np.load(data_root / "ops/benchmark_points.npz")["pc"][::50])[None]
    assert farthest_point_sample(points, 500)[0].tolist() == twin.farthest_points(points[0].numpy(), 500)


@pytest.mark.parametrize("case", ["e1_scannet20000", "e2_sunrgbd2048", "e3_batch2_5000", "e4_near_origin4096"])
def test_picks_of_the_original(oracle_root: Path, case: str) -> None:
    tensors = load_file(oracle_root / "3detr/E_pointops/pointops.safetensors")
    wanted = tensors[f"{case}.fps_inds"].long()
    picks = farthest_point_sample(tensors[f"{case}.xyz"], wanted.shape[1], skip_near_origin=True)
    assert torch.equal(picks, wanted)


def test_duplicates_as_the_original_by_coordinates(oracle_root: Path) -> None:
    tensors = load_file(oracle_root / "3detr/E_pointops/pointops.safetensors")
    points, wanted = tensors["e7_duplicates1000.xyz"][0], tensors["e7_duplicates1000.fps_inds"][0].long()
    picks = farthest_point_sample(points[None], 700, skip_near_origin=True)[0]
    assert torch.equal(points[picks], points[wanted[:700]])


def test_given_distances_as_the_original(data_root: Path) -> None:
    distances = torch.from_numpy(np.load(data_root / "ops/features_for_fps_distance.npy"))
    wanted = torch.from_numpy(np.load(data_root / "ops/fps_idx.npy")).long()
    assert torch.equal(farthest_point_sample_from_distances(distances, 16), wanted)
    usable, starts = torch.ones(2, 64, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)
    assert torch.equal(sample_by_rows(distances, usable, starts, 16, given=True), wanted)
    padded = torch.nn.functional.pad(distances[:1], (0, 5, 0, 5), value=torch.nan)
    assert torch.equal(farthest_point_sample_from_distances(padded, 16, counts=[64]), wanted[:1])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 120), seed=st.integers(0, 99), shift=st.integers(-4, 4))
def test_a_permutation_permutes_and_a_quarter_turn_changes_nothing(n: int, seed: int, shift: int) -> None:
    points = cloud(n, seed)  # no ties
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    picks = farthest_point_sample(points, n // 2 + 1)
    start = int((order == 0).nonzero())
    assert torch.equal(order[farthest_point_sample(points[:, order], n // 2 + 1, start=start)], picks)
    coarse = (points * 64).round() / 64  # exact under the motion
    turned = torch.stack([-coarse[..., 1], coarse[..., 0], coarse[..., 2]], -1) + shift
    # A sum of squares is rounded in the order of its axes: exact only because of the coarse coordinates.
    assert torch.equal(farthest_point_sample(turned, n // 2 + 1), farthest_point_sample(coarse, n // 2 + 1))


def test_equal_points_repeat_the_first() -> None:
    assert farthest_point_sample(torch.ones(1, 100, 3), 3).tolist() == [[0, 0, 0]]


def test_points_near_the_origin_are_skipped_only_on_request() -> None:
    points = torch.tensor([[[0.0, 0, 0], [0.0316, 0, 0], [0.0317, 0, 0], [0, 0.02, 0]]])
    assert farthest_point_sample(points, 4).tolist() == [[0, 2, 3, 1]]
    assert farthest_point_sample(points, 4, skip_near_origin=True).tolist() == [[0, 2, 2, 2]]
    assert farthest_point_sample(points / 2, 3, start=2, skip_near_origin=True).tolist() == [[2, 0, 0]]


def test_nothing_to_pick() -> None:
    assert farthest_point_sample(torch.zeros(2, 0, 3), 0).shape == (2, 0)
    assert farthest_point_sample(torch.zeros(0, 5, 3), 2).shape == (0, 2)


def test_half_precision_and_other_layouts() -> None:
    points = cloud(70, 9)
    wanted = farthest_point_sample(points.half().float(), 20)
    assert torch.equal(farthest_point_sample(points.half(), 20), wanted)
    assert torch.equal(farthest_point_sample(points.transpose(1, 2).contiguous().transpose(1, 2).half(), 20), wanted)
    assert not farthest_point_sample(points.requires_grad_(), 2).requires_grad


@pytest.mark.parametrize(
    ("points", "k", "options", "message"),
    [
        (torch.zeros(5, 3), 1, {}, r"points: wrong shape; got \(5, 3\), wanted \(B, N, C\)"),
        (torch.zeros(1, 5, 3).long(), 1, {}, "points: wrong dtype; got torch.int64"),
        (np.zeros((1, 5, 3)), 1, {}, "points: not a tensor; got ndarray"),
        (torch.zeros(1, 5, 3), 6, {}, "k: more picks than points; got k = 6 and a cloud of 5"),
        (torch.zeros(2, 5, 3), 4, {"counts": [5, 3]}, "k: more picks than points; got k = 4 and a cloud of 3"),
        (torch.zeros(1, 5, 3), -1, {}, "k: out of range; got -1"),
        (torch.zeros(1, 5, 3), 1.5, {}, "k: not a whole number; got 1.5"),
        (torch.zeros(1, 5, 3), 1, {"start": 5}, "start: outside the cloud"),
        (torch.zeros(1, 5, 3), 1, {"start": torch.zeros(3).long()}, "start: wrong start"),
        (torch.zeros(1, 5, 3), 1, {"counts": [6]}, r"counts: out of range; got \[6\], wanted 0 to 5"),
        (torch.zeros(1, 5, 3), 1, {"counts": [-1]}, r"counts: out of range; got \[-1\]"),
        (torch.zeros(1, 5, 3), 1, {"counts": [1.0]}, "counts: wrong counts"),
        (torch.zeros(1, 5, 3), 1, {"counts": [1, 1]}, "counts: wrong counts"),
        (torch.full((1, 5, 3), torch.nan), 1, {}, "points: point 0 of cloud 0 is not finite"),
        (torch.zeros(1, 5, 4), 1, {"skip_near_origin": True}, "skip_near_origin: needs coordinates alone"),
    ],
)
@pytest.mark.bad_input
def test_bad_input_is_named(points: torch.Tensor, k: int, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        farthest_point_sample(points, k, **options)


@pytest.mark.bad_input
def test_a_matrix_that_is_not_square_is_named() -> None:
    with pytest.raises(DataError, match=r"distances: wrong shape; got \(1, 4, 5\)"):
        farthest_point_sample_from_distances(torch.zeros(1, 4, 5), 1)
