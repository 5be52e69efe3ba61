"""3DETR and 3DETR-m: what `test_room_detectors` does not ask of every detector; settings, queries, masks, training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.three_detr.loss import SUN_RGBD
from pointcloud.models.three_detr.model import (
    RELEASED_RADII_M,
    ThreeDetrMaskedSettings,
    ThreeDetrSettings,
    within,
)
from pointcloud.structures.bounds import Bounds
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small import INNER, MASKED, PLAIN, STARTED, THREE_DETR, TURNING, build, scene, scenes
from vol3d.errors import DataError
from vol3d.ops import farthest_point_sample


@pytest.fixture(params=sorted(THREE_DETR))
def settings(request: pytest.FixtureRequest) -> Any:
    return THREE_DETR[request.param]


def test_every_layer_has_every_term(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    terms = model.loss(model(clouds), targets)
    assert {name.split("/")[0] for name in terms} >= {"class", "center", "size", "giou"}
    assert sum("/layer0" in name for name in terms) == len(terms) / 2


def test_float32_and_bfloat16_agree() -> None:
    model = build(PLAIN).eval()
    clouds, _ = scenes(PLAIN, (200, 3))
    exact = model(clouds)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(clouds)
    assert torch.equal(rough.query_xyz, exact.query_xyz)
    torch.testing.assert_close(rough.boxes, exact.boxes, rtol=0.05, atol=0.05)


# --- scenes of all kinds --------------------------------------------------------------------------------------------


def test_more_boxes_than_queries_are_refused() -> None:
    model = build(PLAIN)
    clouds, targets = scenes(PLAIN, (200, 2), (200, 9))
    with pytest.raises(DataError, match=r"targets\[1\]: more boxes than queries; got 9, wanted 8 at most"):
        model.loss(model(clouds), targets)


def test_as_many_boxes_as_queries_are_all_matched() -> None:
    model = build(PLAIN)
    clouds, targets = scenes(PLAIN, (400, 8))
    assert sum(model.loss(model(clouds), targets).values()).isfinite()


@pytest.mark.parametrize("points", [1, 2, 5, 31])
def test_fewer_points_than_tokens_are_repeated(settings: Any, points: int) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (points, 1), (100, 1))
    clouds = [cloud + 1 for cloud in clouds]
    prediction = model(clouds)
    sum(model.loss(prediction, targets).values()).backward()
    seen = {tuple(xyz) for xyz in prediction.query_xyz[0].tolist()}
    assert len(seen) == min(points, 8)
    assert seen <= {tuple(xyz) for xyz in clouds[0][:, :3].tolist()}


def test_equal_points(settings: Any) -> None:
    model = build(settings).eval()
    columns = 3 + width(settings.features)
    prediction = model([torch.full((50, columns), 2.5)])
    assert bool(prediction.boxes.isfinite().all())
    assert bool((prediction.boxes[..., 3:6] <= 0.1).all())  # shares of an extent that counts as 0.1 m
    loss = model.loss(prediction, [BoxTargets(torch.tensor([[2.5, 2.5, 2.5, 1, 1, 1, 0]]), torch.tensor([0]))])
    assert sum(loss.values()).isfinite()


def test_kilometres_away(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (100, 2))
    far = clouds[0].clone()
    far[:, :3] = (far[:, :3] * 1000).round() + 5000
    prediction = model([far])
    assert bool(prediction.boxes.isfinite().all())
    assert bool(((prediction.boxes[..., :3] - prediction.query_xyz).abs() <= 0.501).all())


def test_a_stray_point_changes_every_size_unless_bounds_leave_it_out() -> None:
    clouds, _ = scenes(TURNING, (3000, 2))
    stray = torch.cat([clouds[0], clouds[0].new_tensor([[0.0, 40.0, 0.0]])])
    changed = []
    for settings in (TURNING, INNER):
        before, after = (build(settings).eval()([cloud]).bounds.extent[0] for cloud in (clouds[0], stray))
        changed.append((after / before).max().item())
    assert changed[0] > 5 and changed[1] < 1.01


@pytest.mark.parametrize("points", [1, 2, 99, 1000])
def test_inner_bounds_are_percentiles(points: int) -> None:
    cloud = torch.rand(points, 4)
    bounds = Bounds.without_strays([cloud], 1)
    assert bounds.low.shape == (1, 3) and bool((bounds.low <= bounds.high).all())
    inside = ((cloud[:, :3] >= bounds.low) & (cloud[:, :3] <= bounds.high)).sum(dim=0)
    assert inside.tolist() == [points - 2 * (points // 100)] * 3


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (ThreeDetrSettings, {"heads": 5}, "multiple of heads"),
        (ThreeDetrSettings, {"width": 64}, "aggregation.widths must end with width 64"),
        (ThreeDetrSettings, {"queries": 4000}, "picked from 2048 tokens, got 4000"),
        (ThreeDetrSettings, {"encoder": "pointnet2", "queries": 1025}, "picked from 1024 tokens"),
        (ThreeDetrSettings, {"mask_radii_m": (1.0,)}, "mask_radii_m"),
        (ThreeDetrMaskedSettings, {"queries": 1025}, "picked from 1024 tokens"),
        (ThreeDetrMaskedSettings, {"mask_radii_m": (0.4, 0.0)}, "must be positive"),
        (ThreeDetrMaskedSettings, {"interim": {"points": 4096, "widths": (256,)}}, "interim must keep some"),
    ],
)
def test_settings_that_cannot_be_are_refused(kind: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**change)


# --- the parts ------------------------------------------------------------------------------------------------------


def test_queries_are_the_farthest_samples_of_the_tokens(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (200, 3))
    tokens = model.encoder(model.aggregate(clouds[0][None, :, :3].contiguous(), _features(clouds[0])))
    picks = farthest_point_sample(tokens.xyz, 8)
    assert torch.equal(model(clouds).query_xyz[0], tokens.xyz[0, picks[0]])
    assert torch.equal(clouds[0][tokens.picks[0], :3], tokens.xyz[0])


def test_queries_can_start_as_what_their_tokens_hold() -> None:
    zeros, tokens = build(PLAIN).eval(), build(STARTED).eval()
    clouds, _ = scenes(PLAIN, (200, 3))
    assert zeros.state_dict().keys() == tokens.state_dict().keys()
    assert torch.equal(zeros(clouds).query_xyz, tokens(clouds).query_xyz)
    assert not torch.allclose(zeros(clouds).boxes, tokens(clouds).boxes)
    for layer in tokens.decoder.layers:  # without attention what is left is the start and the feed-forward steps
        for attention in (layer.self_attention, layer.cross_attention):
            torch.nn.init.zeros_(attention.out_proj.weight)
    assert tokens(clouds).boxes[-1, 0].std(dim=0)[:6].min() > 1e-4


def _features(cloud: Tensor) -> Tensor | None:
    return cloud[None, :, 3:].contiguous() if cloud.shape[1] > 3 else None


def test_masks_hide_what_is_not_near() -> None:
    xyz = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0], [0.4, 0, 0], [5, 5, 5]]])
    expected = [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    assert within(xyz, 0.4).int()[0].tolist() == expected


def test_released_radii_are_an_option() -> None:
    assert ThreeDetrMaskedSettings().mask_radii_m == (0.4, 0.8, 1.2)
    assert tuple(radius**2 for radius in (0.4, 0.8, 1.2)) == pytest.approx(RELEASED_RADII_M)
    clouds, _ = scenes(MASKED, (200, 3))
    other = MASKED.model_copy(update={"mask_radii_m": RELEASED_RADII_M})
    model, released = build(MASKED).eval(), build(other).eval()
    assert not torch.allclose(model(clouds).outputs.center, released(clouds).outputs.center)


def test_skipping_points_near_the_origin_is_an_option() -> None:
    cloud = torch.cat([torch.tensor([[3.0, 3.0, 3.0], [0.01, 0.0, 0.0]]), 2 + torch.rand(60, 3)])
    kept, skipped = (build(PLAIN.model_copy(update={"skip_near_origin": on})).eval()([cloud]) for on in (False, True))
    assert [0.01, 0.0, 0.0] in [[round(v, 6) for v in xyz] for xyz in kept.query_xyz[0].tolist()]
    assert float(skipped.query_xyz.norm(dim=-1).min()) > 1


def test_the_loss_falls_on_one_scene() -> None:
    sizes = TURNING.model_copy(update={"loss": SUN_RGBD, "encoder_dropout": 0.0, "decoder_dropout": 0.0})
    model = build(sizes.model_copy(update={"head_dropout": 0.0}))
    cloud, targets = scene(400, 3, turn=True, seed=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(50):
        loss = sum(model.loss(model([cloud]), [targets]).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
