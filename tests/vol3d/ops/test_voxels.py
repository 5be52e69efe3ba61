"""Voxelisation against its twin, the originals' voxels, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from tests.reference import points as twin
from vol3d.errors import DataError, UsageError
from vol3d.ops import VoxelGrid, assign_voxels, voxel_coordinates, voxelize
from vol3d.ops.rows import put_rows
from vol3d.ops.voxels_torch import assign_torch, place_torch

GRID = VoxelGrid((0.5, 0.25, 1.0), (-2.0, -1.0, -1.0, 2.0, 1.0, 1.0))  # 8 x 8 x 2 cells
FINE = VoxelGrid((0.01, 0.01, 0.01), (-2.0, -1.0, -1.0, 2.0, 1.0, 1.0))  # more cells than a plain table may have


def cloud(n: int, seed: int, columns: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, columns)).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=3), seed=st.integers(0, 99), fine=st.booleans(),
    max_points=st.integers(1, 5), max_voxels=st.sampled_from([None, 1, 10]), double=st.booleans(),
)  # fmt: skip
def test_voxels_equal_the_twin(
    sizes: list[int], seed: int, fine: bool, max_points: int, max_voxels: int | None, double: bool
) -> None:
    grid = FINE if fine else GRID
    clouds = [cloud(n, seed + i).to(torch.float64 if double else torch.float32) for i, n in enumerate(sizes)]
    blocks = voxelize(clouds, grid, max_points=max_points, max_voxels=max_voxels)
    coordinates, counts, contents = [], [], []
    for b, points in enumerate(clouds):
        arguments = (grid.voxel_size, grid.point_range[:3], grid.shape, max_points, max_voxels or 1000)
        for cell, rows in twin.voxels(points.numpy(), *arguments).items():
            coordinates.append([b, *cell])
            counts.append(len(rows))
            contents.append(torch.nn.functional.pad(points[rows], (0, 0, 0, max_points - len(rows))))
    assert blocks.coordinates.tolist() == coordinates and blocks.counts.tolist() == counts
    assert blocks.coordinates.dtype == blocks.counts.dtype == torch.int32
    assert torch.equal(blocks.points, torch.stack(contents) if contents else blocks.points.new_zeros(0, max_points, 4))
    dynamic = assign_voxels(clouds, grid, max_voxels=max_voxels)
    plain = assign_torch(dynamic.points, sizes, grid.voxel_size, grid.point_range[:3], grid.shape, max_voxels)
    assert torch.equal(dynamic.voxels, plain.voxels) and torch.equal(dynamic.coordinates, plain.coordinates)
    assert torch.equal(dynamic.counts, plain.counts) and torch.equal(dynamic.left_out, plain.left_out)
    whole = assign_voxels(clouds, grid).coordinates[:, 0].bincount(minlength=len(clouds))
    kept = dynamic.coordinates[:, 0].bincount(minlength=len(clouds))
    assert torch.equal(blocks.left_out, whole - kept) and torch.equal(dynamic.left_out, whole - kept)
    place = place_torch(plain.voxels, max_points)
    filled = put_rows(dynamic.points, place, len(plain.counts) * max_points)
    assert torch.equal(filled.view(-1, max_points, 4), blocks.points)


def test_means_are_differentiable() -> None:
    points = cloud(60, 1).double().requires_grad_()
    dynamic = assign_voxels([points], GRID)
    wanted = twin.scatter(points, dynamic.voxels, len(dynamic.counts), "mean")
    torch.testing.assert_close(dynamic.mean(), wanted)
    torch.testing.assert_close(voxelize([points], GRID, max_points=60).mean(), wanted)
    weights = torch.randn_like(wanted)
    means = (dynamic.mean(), voxelize([points], GRID, max_points=60).mean(), wanted)
    found = [torch.autograd.grad((m * weights).sum(), points)[0] for m in means]
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[2])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 120), seed=st.integers(0, 99), dx=st.integers(-3, 3))
def test_order_and_whole_shifts_do_not_matter(n: int, seed: int, dx: int) -> None:
    points = (cloud(n, seed) * 32).round() / 32  # shifts are exact
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n))
    first, permuted = assign_voxels([points], GRID), assign_voxels([points[order]], GRID)

    def as_set(found: object) -> set[tuple[int, ...]]:
        rows = torch.cat([found.coordinates, found.counts[:, None]], 1)  # type: ignore[attr-defined]
        return {tuple(row) for row in rows.tolist()}

    assert as_set(first) == as_set(permuted)
    moved = VoxelGrid(GRID.voxel_size, (-2.0 + dx, -1.0, -1.0, 2.0 + dx, 1.0, 1.0))
    shifted = assign_voxels([points + torch.tensor([dx, 0, 0, 0])], moved)
    assert torch.equal(shifted.voxels, first.voxels) and torch.equal(shifted.coordinates, first.coordinates)


def test_hard_voxels_of_mmcv(data_root: Path) -> None:
    data = np.load(data_root / "ops/hard_voxelize.npz")
    grid = VoxelGrid((0.5, 0.5, 0.5), (0, -40, -3, 70.4, 40, 1))
    blocks = voxelize([torch.from_numpy(data["points"]).float()], grid, max_points=1000, max_voxels=20000)
    assert np.array_equal(blocks.coordinates[:, 1:], data["voxels"])  # the names are swapped in the file
    assert np.array_equal(blocks.points, data["coors"]) and np.array_equal(blocks.counts, data["num_points_per_voxel"])


@pytest.mark.parametrize(("prefix", "max_points", "max_voxels"), [("", 20, 40000), ("cap.", 5, 4000)])
def test_pillars_of_mmdet3d(oracle_root: Path, prefix: str, max_points: int, max_voxels: int) -> None:
    tensors = load_file(oracle_root / "lidar/pillar_nusc_dgcnn.safetensors")
    grid = VoxelGrid.pillars((0.2, 0.2), (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0))
    assert grid.shape == (1, 512, 512)
    blocks = voxelize([tensors["points"]], grid, max_points=max_points, max_voxels=max_voxels)
    assert torch.equal(blocks.coordinates[:, 1:], tensors[f"{prefix}coors"].int())
    assert torch.equal(blocks.counts, tensors[f"{prefix}num_points"].int())
    sums = blocks.points.double().sum(1)
    if prefix:
        torch.testing.assert_close(sums, tensors["cap.voxel_sum"], rtol=1e-9, atol=1e-9)
    else:
        torch.testing.assert_close(sums[::3].float(), tensors["voxel_sum.sample"])
        assert torch.equal(blocks.points[::97].float(), tensors["voxels.sample"])


def test_voxels_and_their_mean_of_mmdet3d(oracle_root: Path) -> None:
    tensors = load_file(oracle_root / "lidar/sparse_encoder_nusc_dgcnn.safetensors")
    grid = VoxelGrid((0.1, 0.1, 0.2), (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0))
    blocks = voxelize([tensors["points"].float()], grid, max_points=10, max_voxels=120000)
    assert torch.equal(blocks.coordinates[:, 1:], tensors["coors"].int())
    assert torch.equal(blocks.counts, tensors["num_points"].int())
    torch.testing.assert_close(blocks.mean(), tensors["voxel_feat"], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("case", ["hard_voxelnet.", "hard_full."])
def test_voxelnet_input_of_mmdet3d(oracle_root: Path, case: str) -> None:
    tensors = load_file(oracle_root / "lidar/vfe_mmdet3d.safetensors")
    settings = json.loads((oracle_root / "lidar/vfe_mmdet3d.json").read_text())["cases"][case]
    grid = VoxelGrid(tuple(settings["voxel_size"]), tuple(settings["point_cloud_range"]))
    limits = {"max_points": settings["max_num_points"], "max_voxels": settings["max_voxels"]}
    blocks = voxelize([tensors["points"]], grid, **limits)
    assert torch.equal(blocks.coordinates[:, 1:], tensors[f"{case}coors"].int())
    assert torch.equal(blocks.counts, tensors[f"{case}num_points"].int())


def test_dynamic_voxels_of_mmdet3d(oracle_root: Path) -> None:
    tensors = load_file(oracle_root / "lidar/vfe_mmdet3d.safetensors")
    grid = VoxelGrid((0.2, 0.2, 0.4), (0, -40, -3, 70.4, 40, 1))
    assert torch.equal(voxel_coordinates(tensors["points"], grid), tensors["dynamic_coors"].int())
    found = assign_voxels([tensors["points"]], grid)
    _, z, y, x = found.coordinates.long().unbind(1)
    order = ((z * 400 + y) * 352 + x).argsort()  # the original sorts its voxels by coordinates
    assert torch.equal(found.coordinates[order], tensors["dyn_max.coors"].int())
    torch.testing.assert_close(found.mean()[order][::17], tensors["dyn_simple.out.sample"], atol=1e-4, rtol=0)


def test_faces_belong_to_the_voxel_above_and_the_upper_bound_to_none() -> None:
    points = torch.tensor([[-2.0, -1, -1], [-1.5, -1, -1], [2.0, 0, 0], [1.999, 0.999, 0.999], [-2.001, 0, 0]])
    assert voxel_coordinates(points, GRID).tolist() == [[0, 0, 0], [0, 0, 1], [-1] * 3, [1, 7, 7], [-1] * 3]
    assert GRID.centers(torch.tensor([[0, 1, 7, 7]])).tolist() == [[1.75, 0.875, 0.5]]


def test_empty_clouds_and_far_points() -> None:
    blocks = voxelize([torch.zeros(0, 4), torch.full((3, 4), 1e30), torch.zeros(1, 4)], GRID, max_points=2)
    assert blocks.coordinates.tolist() == [[2, 1, 4, 4]] and blocks.counts.tolist() == [1]
    nothing = voxelize([torch.zeros(0, 4)], GRID, max_points=2)
    assert nothing.points.shape == (0, 2, 4) and nothing.mean().shape == (0, 4)
    assert voxel_coordinates(torch.zeros(0, 3), GRID).shape == (0, 3)
    assert voxelize([torch.zeros(9, 4)], GRID, max_points=2).counts.tolist() == [2]


def test_ten_million_points_in_one_voxel() -> None:
    points = torch.full((10_000_000, 3), 0.25)
    blocks = voxelize([points], GRID, max_points=5)
    assert blocks.counts.tolist() == [5] and blocks.points.shape == (1, 5, 3)
    whole = assign_voxels([points], GRID)
    assert len(whole.coordinates) == 1
    torch.testing.assert_close(whole.mean(), points[:1], atol=1e-4, rtol=0)


def test_the_number_of_threads_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    clouds = [cloud(500, seed) for seed in range(6)]
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        results.append(voxelize(clouds, FINE, max_points=3))
    assert torch.equal(results[0].points, results[1].points)
    assert torch.equal(results[0].coordinates, results[1].coordinates)


@pytest.mark.parametrize(
    ("clouds", "options", "message"),
    [
        ([torch.zeros(3, 2)], {}, r"clouds\[0\]: wrong shape; got \(3, 2\), wanted \(N, C >= 3\)"),
        ([torch.zeros(3, 4).int()], {}, r"clouds\[0\]: wrong dtype; got torch.int32"),
        ([torch.zeros(3, 4), torch.zeros(3, 5)], {}, r"clouds\[1\]: clouds differ"),
        ([], {}, "clouds: not a list of clouds"),
        (torch.zeros(3, 4), {}, "clouds: not a list of clouds; got a tensor"),
        ([torch.zeros(3, 4)], {"max_points": 0}, "max_points: out of range; got 0"),
        ([torch.zeros(3, 4)], {"max_points": 2.5}, "max_points: not a whole number"),
        ([torch.zeros(3, 4)], {"max_voxels": -1}, "max_voxels: out of range; got -1"),
        ([torch.zeros(3, 4), torch.tensor([[0, 0, 0.0], [0, torch.nan, 0]])], {}, "clouds differ"),
        (
            [torch.zeros(3, 3), torch.tensor([[0, 0, 0.0], [0, torch.nan, 0]])],
            {},
            r"clouds\[1\]: point 1 is not finite",
        ),
        ([torch.tensor([[0, 0, -torch.inf]])], {}, r"clouds\[0\]: point 0 is not finite"),
    ],
)
@pytest.mark.bad_input
def test_bad_clouds_are_named(clouds: list[Tensor], options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        voxelize(clouds, GRID, **{"max_points": 2, **options})


@pytest.mark.parametrize(
    ("size", "bounds", "message"),
    [
        ((0.0, 1, 1), (0, 0, 0, 1, 1, 1), "voxel_size: no voxel"),
        ((-1.0, 1, 1), (0, 0, 0, 1, 1, 1), "voxel_size: no voxel"),
        ((1.0, 1), (0, 0, 0, 1, 1, 1), "voxel_size: no voxel"),
        ((1.0, 1, 1), (0, 0, 0, 1, 1), "point_range: no range"),
        ((1.0, 1, 1), (0, 0, 5, 1, 1, 1), "point_range: no range"),
        ((1.0, 1, 1), (0, 0, 0, 1, 1, float("nan")), "point_range: no range"),
        ((9.0, 1, 1), (0, 0, 0, 1, 1, 1), "voxel_size: not a usable grid; got 1 x 1 x 0 cells"),
        ((1e-4, 1e-4, 1e-4), (0, 0, 0, 1, 1, 1), "voxel_size: not a usable grid"),
    ],
)
@pytest.mark.bad_input
def test_bad_grids_are_named(size: tuple, bounds: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VoxelGrid(size, bounds)
