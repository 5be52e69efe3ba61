"""RegNetX on a map: the published widths, its blocks by hand, strides, settings that cannot be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from pointcloud.models.layers.bev_backbones import FpnSettings, SecondFpnSettings, SecondSettings
from pointcloud.models.layers.reg_net import RegNet, RegNetSettings, XBlock
from vol3d.config import load_task
from vol3d.errors import UsageError


def test_the_published_networks_have_the_widths_and_depths_of_the_paper() -> None:
    assert RegNetSettings().stages == [(32, 1), (64, 2), (160, 7), (384, 12)]
    middling = RegNetSettings(first_width=80, slope=34.01, step=2.25, depth=18, group_width=24)
    assert middling.stages == [(72, 2), (168, 4), (408, 10), (912, 2)]  # RegNetX-1.6GF
    large = RegNetSettings(first_width=88, slope=26.31, step=2.25, depth=25, group_width=48)
    assert large.stages == [(96, 2), (192, 6), (432, 15), (1008, 2)]  # RegNetX-3.2GF
    with torch.device("meta"):
        assert sum(p.numel() for p in RegNet(64, RegNetSettings()).parameters()) == 4_773_632


def slow_block(block: XBlock, x: Tensor) -> Tensor:
    """Figure 4, group by group."""

    def normed(x: Tensor, norm: nn.Module) -> Tensor:
        return norm(x)  # type: ignore[no-any-return]

    reduce, grouped, restore = block.reduce[0], block.grouped[0], block.restore[0]
    h = normed(F.conv2d(x, reduce.weight), block.reduce[1]).relu()
    width = grouped.weight.shape[1]
    parts = [
        F.conv2d(one, weight, stride=grouped.stride, padding=1)
        for one, weight in zip(h.split(width, 1), grouped.weight.split(width), strict=True)
    ]
    h = normed(F.conv2d(normed(torch.cat(parts, 1), block.grouped[1]).relu(), restore.weight), block.restore[1])
    side = x
    if isinstance(block.shortcut, nn.Sequential):
        step = block.shortcut[0].stride[0]
        side = normed(F.conv2d(x[:, :, ::step, ::step], block.shortcut[0].weight), block.shortcut[1])
    return (h + side).relu()


@pytest.mark.parametrize(("channels", "stride"), [(8, 1), (8, 2), (4, 1)])
def test_a_block_is_that_of_the_slow_twin_in_value_and_gradient(channels: int, stride: int) -> None:
    torch.manual_seed(0)
    block = XBlock(channels, 8, groups=4, stride=stride)
    x = torch.randn(2, channels, 6, 4, requires_grad=True)
    weight = torch.randn(2, 8, 6 // stride, 4 // stride)
    found, wanted = block(x), slow_block(block, x)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad((y * weight).sum(), [x, *block.parameters()]) for y in (found, wanted)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_maps_are_those_of_the_last_stages_and_of_one_cell_too() -> None:
    settings = RegNetSettings(
        first_width=8, slope=8.0, step=2.0, depth=4, group_width=8, strides=(1, 2, 2), first_map=1
    )
    assert settings.stages == [(8, 1), (16, 1), (32, 2)]
    assert (settings.widths, settings.map_strides, settings.stride) == ((16, 32), (2, 4), 4)
    net = RegNet(3, settings).eval()
    assert [tuple(x.shape) for x in net(torch.rand(2, 3, 8, 4))] == [(2, 16, 4, 2), (2, 32, 2, 1)]
    assert [tuple(x.shape) for x in net(torch.rand(0, 3, 4, 4))] == [(0, 16, 2, 2), (0, 32, 1, 1)]


@given(
    first=st.integers(1, 12), slope=st.floats(0, 60), step=st.floats(1.5, 3), depth=st.integers(1, 30),
    group=st.sampled_from([1, 8, 16, 24, 48]),
)  # fmt: skip
def test_widths_rise_fit_their_groups_and_use_every_block(
    first: int, slope: float, step: float, depth: int, group: int
) -> None:
    settings = RegNetSettings.model_construct(
        first_width=8 * first, slope=slope, step=step, depth=depth, group_width=group
    )
    widths = [width for width, _ in settings.stages]
    assert widths == sorted(widths) and sum(blocks for _, blocks in settings.stages) == depth
    assert all(width % min(group, width) == 0 for width in widths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 3}, "these widths make 2 stages, so strides must be 2 positive numbers"),
        ({"strides": (1, 2, 2, 0)}, "4 positive numbers"),
        ({"first_map": 4}, "first_map must be below the number of stages, 4"),
        ({"first_width": 20}, "multiple of 8"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RegNetSettings(**changes)


def test_a_detector_takes_it_by_its_kind_and_refuses_what_does_not_fit() -> None:
    word = "model.backbone={kind: regnet}"
    task = load_task("pointpillars_nuscenes", [word, "model.neck={upsample: [1, 2, 4]}"])
    assert task.settings.model.backbone == RegNetSettings()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"'model.backbone.kind' cannot be 'regnets'; did you mean 'regnet'\?"):
        load_task("pointpillars_nuscenes", ["model.backbone={kind: regnets}"])
    with pytest.raises(UsageError, match=r"'model\.backbone\.dept'; did you mean 'model\.backbone\.depth'\?"):
        load_task("pointpillars_nuscenes", ["model.backbone={kind: regnet, dept: 3}"])
    with pytest.raises(UsageError, match=r"neck\.upsample must bring all maps to one size"):
        load_task("pointpillars_nuscenes", [word, "model.neck={upsample: [1, 2, 2]}"])
    with pytest.raises(ValidationError, match=r"neck\.levels must be 3 at most"):
        PointPillarsSettings(neck=FpnSettings(levels=4))
    with pytest.raises(ValidationError, match=r"head\.scales must be as many as the neck has maps, 3"):
        PointPillarsSettings(neck=FpnSettings(levels=3))


def test_settings_of_a_checkpoint_without_kinds_are_those_of_second() -> None:
    old = PointPillarsSettings().model_dump()
    del old["backbone"]["kind"], old["neck"]["kind"]
    settings = PointPillarsSettings.model_validate(old)
    assert isinstance(settings.backbone, SecondSettings) and isinstance(settings.neck, SecondFpnSettings)
