"""Voxel and pillar networks against the originals' numbers, a slow twin, and clouds of all kinds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.layers.voxel_encoders import (
    MeanEncoder,
    PointStack,
    PointStackSettings,
    VoxelSettings,
    check_clouds,
    encode_voxels,
)
from tests.pointcloud.models.lidar_oracle import Fixture, close, load
from tests.reference import voxel_encoders as slow
from vol3d.errors import DataError
from vol3d.ops import assign_voxels, scatter_to_bev, voxelize

KITTI = (0.0, -40.0, -3.0, 70.4, 40.0, 1.0)
NUSCENES = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
SMALL = VoxelSettings(point_range_m=(-4, -4, -1, 4, 4, 1), voxel_size_m=(1.0, 1.0, 2.0), max_points=4, max_voxels=20)


def renamed(weights: dict[str, Tensor], linear: str, norm: str) -> dict[str, Tensor]:
    """`0.linear.weight` -> `linears.0.weight`."""
    found = {}
    for name, tensor in weights.items():
        layer, part, field = name.split(".")
        found[f"{ {linear: 'linears', norm: 'norms'}[part] }.{layer}.{field}"] = tensor
    return found


def stack(columns: int, weights: dict[str, Tensor], settings: dict[str, Any]) -> PointStack:
    model = PointStack(columns, PointStackSettings(**settings))
    load(model, weights)
    return model


# --- the originals' numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("hard_voxelnet", {"widths": (32, 128), "centre_offset": "none"}),
        ("hard_full", {"widths": (64, 64), "centre_offset": "xyz", "distance": True}),
    ],
)
def test_hard_voxels_of_mmdet3d(oracle_root: Path, case: str, settings: dict[str, Any]) -> None:
    fixture = Fixture(oracle_root, "vfe_mmdet3d")
    config = fixture.facts["cases"][f"{case}."]
    grid = VoxelSettings(point_range_m=KITTI, voxel_size_m=config["voxel_size"]).grid
    voxels = voxelize([fixture["points"]], grid, max_points=config["max_num_points"], max_voxels=config["max_voxels"])
    assert torch.equal(voxels.coordinates[:, 1:], fixture[f"{case}.coors"].int())
    assert torch.equal(voxels.counts, fixture[f"{case}.num_points"].int())
    model = stack(4, renamed(fixture.weights(f"{case}.vfe_layers."), "linear", "norm"), settings)
    close(model(voxels, grid)[::17], fixture[f"{case}.out.sample"], 1e-4)


@pytest.mark.parametrize(("case", "pool"), [("dyn_max", "max"), ("dyn_avg", "mean")])
def test_dynamic_voxels_of_mmdet3d(oracle_root: Path, case: str, pool: str) -> None:
    fixture = Fixture(oracle_root, "vfe_mmdet3d")
    grid = VoxelSettings(point_range_m=KITTI, voxel_size_m=(0.2, 0.2, 0.4)).grid
    voxels = assign_voxels([fixture["points"]], grid)
    settings = {"widths": (64, 64), "centre_offset": "xyz", "pool": pool}
    model = stack(4, renamed(fixture.weights(f"{case}.vfe_layers."), "0", "1"), settings)
    close(model(voxels, grid)[in_order(voxels.coordinates)][::17], fixture[f"{case}.out.sample"], 1e-4)
    assert torch.equal(voxels.coordinates[in_order(voxels.coordinates)], fixture[f"{case}.coors"].int())


def test_mean_of_dynamic_voxels(oracle_root: Path) -> None:
    fixture = Fixture(oracle_root, "vfe_mmdet3d")
    grid = VoxelSettings(point_range_m=KITTI, voxel_size_m=(0.2, 0.2, 0.4)).grid
    voxels = assign_voxels([fixture["points"]], grid)
    means = MeanEncoder(4)(voxels, grid)[in_order(voxels.coordinates)]
    close(means[::17], fixture["dyn_simple.out.sample"], 1e-5)


def in_order(coordinates: Tensor) -> Tensor:
    z, y, x = coordinates[:, 1:].long().unbind(1)
    return ((z * 4096 + y) * 4096 + x).argsort()


@pytest.mark.parametrize(("replace", "name"), [(False, "pillar_feat"), (True, "pillar_feat_legacy")])
def test_pillars_of_object_dgcnn(oracle_root: Path, replace: bool, name: str) -> None:
    fixture = Fixture(oracle_root, "pillar_nusc_dgcnn")
    settings = VoxelSettings(point_range_m=NUSCENES, voxel_size_m=(0.2, 0.2, 8.0), max_points=20, max_voxels=40000)
    weights = renamed(fixture.weights("pts_voxel_encoder.pfn_layers."), "linear", "norm")
    model = stack(5, weights, {"widths": (64,), "centre_offset": "xy", "replace_xyz": replace})
    voxels = encode_voxels([fixture["points"]], settings, ("intensity", "time"), model)
    assert torch.equal(voxels.coordinates[:, 1:], fixture["coors"].int())
    assert voxels.left_out == (0,)
    close(voxels.features[::37], fixture[f"{name}.sample"], 1e-4)
    if not replace:
        bev = scatter_to_bev(voxels.features, voxels.coordinates, 1, settings.grid.shape)
        close(bev[:, ::8, ::8, ::8], fixture["bev.sample"], 1e-4)
        close(bev.double().sum(dim=(0, 2, 3)), fixture["bev.chan_sum"], 1e-2, 1e-5)


# --- a slow twin ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(5,), (4, 6), (3, 4, 5)])
def test_each_voxel_is_what_its_points_say(widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = randomised(PointStack(4, PointStackSettings(widths=widths, centre_offset="xyz")))
    cloud = torch.rand(40, 4) * torch.tensor([8, 8, 2, 1]) - torch.tensor([4, 4, 1, 0])
    grid, blocks = SMALL.grid, voxelize([cloud], SMALL.grid, max_points=4)
    layers = list(zip(model.linears, model.norms, strict=True))
    wanted = [
        slow.voxel(points[:count], 4, centre, 3, layers)
        for points, count, centre in zip(blocks.points, blocks.counts, grid.centers(blocks.coordinates), strict=True)
    ]
    close(model(blocks, grid), torch.stack(wanted), 1e-5)


@pytest.mark.parametrize("padding", ["first", "each"])
@pytest.mark.parametrize("widths", [(5,), (3, 4, 5)])
def test_one_empty_place_stands_for_all_of_a_voxel(widths: tuple[int, ...], padding: Any) -> None:
    """In evaluation; training has them all, since they take part in the batch's statistics."""
    torch.manual_seed(0)
    model = randomised(PointStack(4, PointStackSettings(widths=widths, centre_offset="xyz", padding=padding)))
    cloud = torch.rand(90, 4) * torch.tensor([8, 8, 2, 1]) - torch.tensor([4, 4, 1, 0])
    blocks, found = voxelize([cloud], SMALL.grid, max_points=4), []
    assert {1, 4} <= set(blocks.counts.tolist())
    for dense in (True, False):
        model.train(dense)
        model.norms.eval()  # statistics stay
        model.zero_grad()
        voxels = model(blocks, SMALL.grid)
        (voxels * torch.arange(1.0, 6)).sum().backward()
        found.append([voxels.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-5)


@pytest.mark.parametrize("padding", ["first", "each"])
@pytest.mark.parametrize("training", [True, False])
def test_means_of_hard_voxels_with_room_for_all_points_are_those_of_dynamic_ones(padding: Any, training: bool) -> None:
    torch.manual_seed(0)
    model = randomised(PointStack(4, PointStackSettings(widths=(3, 4, 5), pool="mean", padding=padding)))
    model.train(training)
    model.norms.eval()  # statistics stay
    cloud = torch.rand(90, 4) * torch.tensor([8, 8, 2, 1]) - torch.tensor([4, 4, 1, 0])
    hard, dynamic = (
        encode_voxels([cloud], SMALL.model_copy(update={"max_points": room, "max_voxels": None}), ("intensity",), model)
        for room in (90, None)
    )
    assert torch.equal(hard.coordinates, dynamic.coordinates)
    close(hard.features, dynamic.features.detach(), 1e-5)


def randomised(model: PointStack) -> PointStack:
    for norm in model.norms:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(norm.bias)
    return model.eval()


VARIANTS = [
    {"widths": (5,)},
    {"widths": (3, 70), "centre_offset": "xyz", "distance": True},
    {"widths": (3, 4, 5), "replace_xyz": True, "distance": True},
    {"widths": (16, 32), "centre_offset": "none", "cluster_offset": False},
]


@pytest.mark.parametrize("max_points", [4, None])
@pytest.mark.parametrize("padding", ["first", "each"])
@pytest.mark.parametrize("options", VARIANTS)
def test_compiled_voxels_are_those_of_training(options: dict[str, Any], padding: Any, max_points: int | None) -> None:
    torch.manual_seed(0)
    model = randomised(PointStack(4, PointStackSettings(padding=padding, **options)))
    settings = SMALL.model_copy(update={"max_points": max_points, "max_voxels": 60})
    scale, low = torch.tensor([9, 9, 2, 1]), torch.tensor([4.5, 4.5, 1, 0])  # some lie outside
    clouds = [torch.rand(n, 4) * scale - low for n in (0, 1, 150, 700)]
    plain = encode_voxels(clouds, settings, ("intensity",), model)
    with torch.no_grad():
        assert model.compiled(clouds[0])
        fast = encode_voxels(clouds, settings, ("intensity",), model)
    assert torch.equal(fast.coordinates, plain.coordinates) and fast.left_out == plain.left_out == (0, 0, 0, 4)
    close(fast.features, plain.features.detach(), 1e-5)


def test_compiled_voxels_do_not_depend_on_threads_or_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = randomised(PointStack(4, PointStackSettings(widths=(4, 8))))
    points = torch.rand(3000, 4) * torch.tensor([8, 8, 2, 1]) - torch.tensor([4, 4, 1, 0])
    fine = SMALL.model_copy(update={"voxel_size_m": (0.25, 0.25, 2.0), "max_voxels": None})
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("VOL3D_NUM_THREADS", threads)
        with torch.no_grad():
            found.append(encode_voxels([points], fine, ("intensity",), model).features)
    assert torch.equal(*found) and len(found[0]) > 600


def test_a_network_that_is_not_a_number_shows() -> None:
    model = randomised(PointStack(4, PointStackSettings(widths=(4, 8))))
    model.linears[0].weight.data[1, 2] = torch.nan
    with torch.no_grad():
        assert bool(encode_voxels([torch.rand(9, 4)], SMALL, ("intensity",), model).features.isnan().any())


def test_padding_decides_whether_empty_places_count() -> None:
    torch.manual_seed(0)
    cloud = torch.tensor([[0.5, 0.5, 0.0, 1.0]])
    first = randomised(PointStack(4, PointStackSettings(widths=(4, 8))))
    each = PointStack(4, PointStackSettings(widths=(4, 8), padding="each")).eval()
    each.load_state_dict(first.state_dict())
    one, four = (voxelize([cloud], SMALL.grid, max_points=n) for n in (1, 4))
    assert not torch.allclose(first(one, SMALL.grid), first(four, SMALL.grid))
    # Without bias in a norm a place that counts would still be relu(norm(0)) in the inner maximum.
    torch.testing.assert_close(first(one, SMALL.grid), each(one, SMALL.grid))
    full = voxelize([cloud.repeat(4, 1)], SMALL.grid, max_points=4)
    torch.testing.assert_close(first(full, SMALL.grid), each(full, SMALL.grid))


def test_full_hard_voxels_are_dynamic_voxels() -> None:
    torch.manual_seed(0)
    model = randomised(PointStack(4, PointStackSettings(widths=(4, 8), centre_offset="xyz")))
    cloud = (torch.rand(3, 4) * torch.tensor([8.0, 8, 2, 1]) - torch.tensor([4.0, 4, 1, 0])).repeat_interleave(5, dim=0)
    hard = model(voxelize([cloud], SMALL.grid, max_points=5), SMALL.grid)
    torch.testing.assert_close(model(assign_voxels([cloud], SMALL.grid), SMALL.grid), hard)


@pytest.mark.parametrize(
    ("columns", "settings", "inputs"),
    [
        (4, {}, 9),
        (4, {"centre_offset": "xyz"}, 10),
        (5, {}, 10),
        (5, {"centre_offset": "xyz"}, 11),
        (4, {"centre_offset": "none"}, 7),
    ],
)
def test_inputs_of_the_published_variants(columns: int, settings: dict[str, Any], inputs: int) -> None:
    assert PointStack(columns, PointStackSettings(**settings)).linears[0].in_features == inputs


# --- clouds of all kinds --------------------------------------------------------------------------------------------


def test_numbers_whose_sum_overflows_are_finite() -> None:
    check_clouds([torch.full((9, 4), 3e38)], ("intensity",))


@pytest.mark.parametrize("max_points", [4, None])
@pytest.mark.parametrize("train", [True, False])
def test_clouds_without_points_in_range(max_points: int | None, train: bool) -> None:
    settings = SMALL.model_copy(update={"max_points": max_points})
    model = PointStack(4, PointStackSettings(widths=(4, 8))).train(train)
    far = torch.tensor([[1e9, 0, 0, 0], [-1e30, 5, 5, 5]])
    for clouds in ([torch.zeros(0, 4)], [far], [far, torch.zeros(0, 4), torch.rand(9, 4)], [torch.rand(9, 4), far]):
        voxels = encode_voxels(clouds, settings, ("intensity",), model)
        bev = scatter_to_bev(voxels.features, voxels.coordinates, voxels.samples, settings.grid.shape)
        assert bev.shape == (len(clouds), 8, 8, 8)
        assert bool(bev.isfinite().all())
        assert [bool(image.any()) for image in bev] <= [bool(len(c)) and bool((c < 9).all()) for c in clouds]
        (bev.sum() + 0 * sum(p.sum() for p in model.parameters())).backward()


def test_voxels_beyond_the_limit_are_told_and_the_first_ones_kept() -> None:
    model = MeanEncoder(3)
    cloud = torch.stack([torch.arange(40) % 8 - 3.5, torch.arange(40) // 8 - 3.5, torch.zeros(40)], dim=1)
    with pytest.warns(UserWarning, match="beyond max_voxels 20"):
        voxels = encode_voxels([cloud[:7], cloud], SMALL, (), model)
    assert voxels.left_out == (0, 20)
    torch.testing.assert_close(voxels.features, torch.cat([cloud[:7], cloud[:20]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encode_voxels([cloud[:20]], SMALL, (), model).left_out == (0,)


def test_bfloat16_autocast(recwarn: Any) -> None:
    model = PointStack(4, PointStackSettings(widths=(4, 8)))
    for max_points, train in ((4, True), (4, False), (None, True)):
        model.train(train)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            settings = SMALL.model_copy(update={"max_points": max_points})
            voxels = encode_voxels([torch.rand(30, 4)], settings, ("intensity",), model)
        voxels.features.sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "not a list of clouds"),
        (torch.rand(9, 4), "not a list of clouds"),
        ([torch.rand(9, 3)], r"clouds\[0\]: wrong columns; got \(9, 3\), wanted \(N, 4\): x y z, intensity"),
        ([torch.rand(9, 4), torch.full((3, 4), torch.nan)], r"clouds\[1\]\[0\]: .* 3 of 3 points"),
        ([torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, torch.inf]])], r"clouds\[0\]\[1\]: .* 1 of 2 points"),
        ([torch.tensor([[0, 0, 0, -torch.inf], [0, 0, 0, torch.inf]])], r"clouds\[0\]\[0\]: .* 2 of 2 points"),
    ],
)
@pytest.mark.bad_input
def test_what_is_no_cloud_is_refused(clouds: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_voxels(clouds, SMALL, ("intensity",), MeanEncoder(4))


def test_a_grid_without_cells_is_refused() -> None:
    with pytest.raises(ValidationError, match="not a usable grid"):
        VoxelSettings(voxel_size_m=(1000, 1, 1))
