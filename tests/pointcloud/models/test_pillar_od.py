"""Pillar-OD: statistics, interpolation, targets and loss against slow twins, sizes of the authors' networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.pillar_od.head import (
    PillarHead,
    PillarHeadSettings,
    PillarOutputs,
    PriorSettings,
    decode,
    encode,
    pillar_owners,
)
from pointcloud.models.pillar_od.layers import Conv, Upsample
from pointcloud.models.pillar_od.model import PillarBackboneSettings, PillarOdSettings
from pointcloud.models.pillar_od.views import Align, CylinderSettings, ViewPoints, cylindrical
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small_lidar import CLASSES, MODELS
from tests.reference import pillar_od as slow
from vol3d.errors import UsageError
from vol3d.ops import VoxelGrid, assign_voxels

GRID = VoxelGrid((1.0, 2.0, 4.0), (0.0, 0.0, 0.0, 6.0, 8.0, 4.0))
MAP = MapGrid((0.0, -4.0), (0.5, 0.5), 2, (8, 10))
PRIORS = {"car": PriorSettings(size_m=(3.9, 1.6, 1.5), z_m=-1.0), "pedestrian": PriorSettings(size_m=(0.8, 0.6, 1.7))}
HEAD = PillarHeadSettings(priors=PRIORS, width=8, layers=1)


def a_view(*counts: int, seed: int = 0) -> ViewPoints:
    """Clouds of points, some of them outside the grid."""
    generator = torch.Generator().manual_seed(seed)
    clouds = [torch.rand(n, 3, generator=generator) * torch.tensor([7.0, 9.0, 4.4]) - 0.2 for n in counts]
    return ViewPoints(assign_voxels(clouds, GRID), GRID, counts)


@pytest.mark.parametrize("counts", [(1,), (30,), (20, 0, 12)])
def test_statistics_are_those_of_the_slow_twin(counts: tuple[int, ...]) -> None:
    view = a_view(*counts)
    found, begin = view.statistics(), 0
    assert found.shape == (sum(counts), 22)
    for n in counts:
        rows = slice(begin, begin + n)
        own = view.voxels.voxels[rows].tolist()
        centres = {row: GRID.centers(view.voxels.coordinates[row : row + 1])[0] for row in own if row >= 0}
        if n:
            torch.testing.assert_close(found[rows], slow.statistics(view.voxels.points[rows], own, centres))
        begin += n


@pytest.mark.parametrize("align", ["centres", "corners"])
@pytest.mark.parametrize("counts", [(1,), (20, 0, 12)])
def test_interpolation_is_that_of_the_slow_twin_in_value_and_gradient(align: Align, counts: tuple[int, ...]) -> None:
    view, maps = a_view(*counts), torch.randn(len(counts), 3, 4, 6, requires_grad=True)
    found = view.from_map(maps, align)
    twin = []
    for sample, cloud in enumerate(view.voxels.points.split(list(counts))):
        for x, y, _ in cloud.tolist():
            half = 0.5 if align == "centres" else 0.0
            twin.append(slow.interpolate(maps[sample], x / 1.0 - half, y / 2.0 - half))
    torch.testing.assert_close(found, torch.stack(twin), rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(found)
    (ours,) = torch.autograd.grad((found * weights).sum(), maps)
    (theirs,) = torch.autograd.grad((torch.stack(twin) * weights).sum(), maps)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_map_of_a_plane_is_the_plane_at_the_points() -> None:
    """A value that rises evenly over the cells is met exactly at every point between the outer cells' centres."""
    view = a_view(200)
    x, y = torch.arange(6) + 0.5, torch.arange(4) * 2 + 1.0
    plane = (3 * x[None, :] - 2 * y[:, None])[None, None]
    points = view.voxels.points
    between = (points[:, 0] > 0.5) & (points[:, 0] < 5.5) & (points[:, 1] > 1) & (points[:, 1] < 7)
    wanted = 3 * points[between, 0] - 2 * points[between, 1]
    assert int(between.sum()) > 50
    torch.testing.assert_close(view.from_map(plane)[between, 0], wanted, rtol=1e-4, atol=1e-4)


def test_a_map_has_the_largest_of_its_points_and_nothing_elsewhere() -> None:
    view = a_view(40)
    features = torch.rand(40, 2) + 1
    found = view.to_map(features)
    wanted = torch.zeros(1, 2, 4, 6)
    for point, row in zip(view.voxels.points, features, strict=True):
        x, y = int((point[0] / 1).floor()), int((point[1] / 2).floor())
        if 0 <= x < 6 and 0 <= y < 4 and 0 <= point[2] < 4:
            wanted[0, :, y, x] = torch.maximum(wanted[0, :, y, x], row)
    torch.testing.assert_close(found, wanted)


def test_a_turn_of_the_cloud_shifts_its_azimuths_alone() -> None:
    xyz = torch.randn(50, 3) * 10
    cos, sin = math.cos(0.3), math.sin(0.3)
    turned = torch.stack([cos * xyz[:, 0] - sin * xyz[:, 1], sin * xyz[:, 0] + cos * xyz[:, 1], xyz[:, 2]], dim=1)
    one, two = cylindrical(xyz), cylindrical(turned)
    torch.testing.assert_close(one[:, 1:], two[:, 1:], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close((two[:, 0] - one[:, 0] - 0.3).sin(), torch.zeros(50), rtol=0, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_upsampling_is_the_transpose_of_the_convolution(stride: int) -> None:
    """<conv(x), y> = <x, upsample(y)> with the same weights, as TensorFlow defines its transposed convolution."""
    conv, up = Conv(3, 5, stride), Upsample(5, 3, stride)
    with torch.no_grad():
        up.weight.copy_(conv.weight)
    for layer in (conv, up):
        torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    x, y = torch.randn(2, 3, 4 * stride, 6 * stride), torch.randn(2, 5, 4, 6)
    assert conv(x).shape == y.shape and up(y).shape == x.shape
    torch.testing.assert_close((conv(x) * y).sum(), (x * up(y)).sum(), rtol=1e-4, atol=1e-4)


def some_boxes() -> Tensor:
    return torch.tensor(
        [
            [2.0, -1.0, -0.8, 4.0, 2.0, 1.6, 0.4],
            [3.0, -1.0, -0.8, 4.0, 2.0, 1.6, 1.9],  # overlaps the first
            [7.1, 1.9, -0.5, 1.6, 1.5, 1.7, -2.0],
        ]
    )


@pytest.mark.parametrize("labels", [(), (0,), (0, 0, 1), (1, 1, 1)])
def test_the_loss_is_that_of_the_slow_twin_in_value_and_gradient(labels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    head = PillarHead(4, CLASSES, HEAD)
    classes = torch.randn(1, 2, 8, 10, requires_grad=True)
    codes = torch.randn(1, 2, 7, 8, 10, requires_grad=True)
    boxes, label = some_boxes()[: len(labels)], torch.tensor(labels, dtype=torch.int64)
    terms = head.loss(PillarOutputs(classes, codes), [BoxTargets(boxes, label)], MAP)

    pillars = [(0.5 + x, -3.5 + y) for y in range(8) for x in range(10)]
    priors = [[*PRIORS[name].size_m, PRIORS[name].z_m] for name in CLASSES]
    of_class = [boxes[label == c] for c in range(2)]
    focal, box, positives = slow.losses(classes.flatten(2)[0], codes.flatten(3)[0], of_class, pillars, priors)
    count = max(positives, 1)
    torch.testing.assert_close(terms["class"], focal / count)
    torch.testing.assert_close(terms["box"], box / count)
    ours = torch.autograd.grad(terms["class"] + terms["box"], [classes, codes])
    theirs = torch.autograd.grad((focal + box + 0 * codes.sum()) / count, [classes, codes])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("heading", ["half_turn", "full"])
@pytest.mark.parametrize("velocity", [False, True])
def test_codes_give_their_boxes_back(heading: str, velocity: bool) -> None:
    how = PillarHeadSettings(priors=PRIORS, heading=heading, velocity=velocity)
    boxes = torch.cat([some_boxes(), torch.randn(3, 2)], dim=1)
    pillars, priors = torch.randn(3, 2), torch.tensor([[3.9, 1.6, 1.5, -1.0]]).expand(3, 4)
    code = encode(boxes, pillars, priors, how)
    assert code.shape == (3, how.columns)
    back = decode(code, pillars, priors, how)
    period = 2 * math.pi if heading == "full" else math.pi
    turned = (back[:, 6] - boxes[:, 6] + period / 2) % period - period / 2
    torch.testing.assert_close(turned, torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(back[:, :6], boxes[:, :6])
    torch.testing.assert_close(back[:, 7:], boxes[:, 7:] if velocity else boxes[:, :0])


def test_an_object_too_small_to_hold_a_pillar_has_the_one_it_stands_on() -> None:
    centres = F.pad(MAP.to_metres(torch.cartesian_prod(torch.arange(8.0), torch.arange(10.0)).flip(1) + 0.5), (0, 1))
    small = torch.tensor([[3.1, 0.2, 0.0, 0.2, 0.2, 1.0, 0.0], [99.0, 0.0, 0.0, 0.2, 0.2, 1.0, 0.0]])
    owner = pillar_owners(small, centres, MAP)
    assert (owner >= 0).nonzero()[:, 0].tolist() == [4 * 10 + 3] and int(owner[43]) == 0
    assert bool((pillar_owners(small[:0], centres, MAP) == -1).all())


def test_bad_settings_have_one_clear_error() -> None:
    small: PillarOdSettings = MODELS["pillar od"]
    voxels = small.voxels
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"voxels": voxels.model_copy(update={"max_points": 8})}, "max_points must be null"),
        ({"voxels": voxels.model_copy(update={"voxel_size_m": (0.5, 0.5, 2.0)})}, "pillars must reach over"),
        ({"backbone": PillarBackboneSettings(strides=(2, 3, 2))}, "multiples of 12"),
    ]
    for change, message in wrong:
        with pytest.raises(ValidationError, match=message):
            PillarOdSettings(**{**dict(small), **change})
    with pytest.raises(ValidationError, match="must be as many"):
        PillarBackboneSettings(strides=(2,))
    with pytest.raises(ValidationError, match="multiples of 4"):
        CylinderSettings(heights=30)
    with pytest.raises(ValidationError, match="must rise"):
        CylinderSettings(z_range_m=(3.0, 1.0))
    with pytest.raises(UsageError, match="priors of other classes"):
        small.build(("car", "van"))
