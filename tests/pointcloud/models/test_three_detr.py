"""3DETR and 3DETR-m as detectors: the contract, scenes of all kinds, bad input, training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pointcloud.models.three_detr.loss import SUN_RGBD
from pointcloud.models.three_detr.model import (
    RELEASED_RADII_M,
    ThreeDetr,
    ThreeDetrMaskedSettings,
    ThreeDetrSettings,
    within,
)
from pointcloud.structures.features import width
from pointcloud.structures.targets import BoxTargets
from tests.pointcloud.models.small import CLASSES, MASKED, MODELS, PLAIN, STARTED, TURNING, scene
from vol3d.errors import DataError
from vol3d.ops import farthest_point_sample

NO_BOXES = BoxTargets(torch.zeros(0, 7), torch.zeros(0, dtype=torch.int64))


def build(settings: Any, seed: int = 0) -> ThreeDetr:
    torch.manual_seed(seed)
    return settings.build(CLASSES)


def scenes(settings: Any, *sizes: tuple[int, int]) -> tuple[list[Tensor], list[BoxTargets]]:
    made = [
        scene(points, boxes, columns=width(settings.features), turn=settings.angle_bins > 1, seed=seed)
        for seed, (points, boxes) in enumerate(sizes)
    ]
    return [cloud for cloud, _ in made], [targets for _, targets in made]


@pytest.fixture(params=sorted(MODELS))
def settings(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


# --- the contract ---------------------------------------------------------------------------------------------------


def test_forward_loss_backward_decode(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    prediction = model(clouds)
    assert prediction.boxes.shape == (2, 2, 8, 7)
    assert prediction.class_probability.shape == (2, 2, 8, 3)
    terms = model.loss(prediction, targets)
    assert {name.split("/")[0] for name in terms} >= {"class", "center", "size", "giou"}
    assert sum("/layer0" in name for name in terms) == len(terms) / 2
    sum(terms.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    found = model.decode(prediction)
    assert [len(boxes) for boxes in found] == [8, 8]
    assert found[0].class_names == CLASSES
    probability, objectness = prediction.class_probability[-1, 1], prediction.objectness[-1, 1]
    best = (probability * objectness[:, None]).max(dim=1)
    torch.testing.assert_close(torch.from_numpy(found[1].scores), best.values.detach())
    assert found[1].labels.tolist() == best.indices.tolist()


def test_proposals_hold_what_postprocessing_needs(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (200, 3), (90, 2))
    prediction = model(clouds)
    proposals = model.proposals(prediction)
    for scan, cloud in zip(proposals, clouds, strict=True):
        assert torch.equal(scan.points, cloud[:, :3])
        assert scan.boxes.shape == (8, 7)
        assert not scan.boxes.requires_grad
        torch.testing.assert_close(scan.class_probability.sum(1), scan.objectness)


def test_saved_weights_give_the_same_boxes(settings: Any, tmp_path: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (150, 2))
    torch.save(model.state_dict(), tmp_path / "a.pt")
    other = build(settings, seed=1).eval()
    other.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    assert torch.equal(model(clouds).boxes, other(clouds).boxes)


def test_a_scan_is_the_same_alone_and_in_a_batch(settings: Any) -> None:
    model = build(settings).eval()
    clouds, _ = scenes(settings, (200, 3), (90, 2), (20, 1))
    together = model(clouds)
    for index, cloud in enumerate(clouds):
        torch.testing.assert_close(model([cloud]).boxes[:, 0], together.boxes[:, index], rtol=1e-4, atol=1e-5)


def test_what_is_returned_does_not_depend_on_the_mode(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (120, 2), (90, 2))
    trained = model.train()(clouds)
    evaluated = model.eval()(clouds)
    assert trained.boxes.shape == evaluated.boxes.shape
    assert set(model.loss(trained, targets)) == set(model.loss(evaluated, targets))


def test_bfloat16_autocast_trains_and_matches_in_float32(settings: Any) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, (200, 3), (90, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(clouds)
        terms = model.loss(prediction, targets)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert prediction.boxes.dtype == torch.float32
    sum(terms.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_float32_and_bfloat16_agree() -> None:
    model = build(PLAIN).eval()
    clouds, _ = scenes(PLAIN, (200, 3))
    exact = model(clouds)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(clouds)
    assert torch.equal(rough.query_xyz, exact.query_xyz)
    torch.testing.assert_close(rough.boxes, exact.boxes, rtol=0.05, atol=0.05)


# --- scenes of all kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(0,), (0, 0), (3, 0)])
def test_scenes_without_boxes(settings: Any, counts: tuple[int, ...]) -> None:
    model = build(settings)
    clouds, targets = scenes(settings, *((150, 3) for _ in counts))
    targets = [target if count else NO_BOXES for target, count in zip(targets, counts, strict=True)]
    terms = model.loss(model(clouds), targets)
    if not any(counts):
        assert {name for name, term in terms.items() if term != 0} == {"class", "class/layer0"}
    sum(terms.values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


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


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ([], "not a list of clouds"),
        ([torch.rand(9, 3), torch.rand(0, 3)], r"clouds\[1\]: no points"),
        ([torch.rand(9, 4)], r"wrong columns; got \(9, 4\), wanted \(N, 3\): x y z"),
        ([torch.rand(9)], "wrong columns"),
        ([torch.rand(9, 3).long()], "clouds"),
        (
            [torch.rand(9, 3), torch.rand(9, 3).index_fill(0, torch.tensor([4]), torch.nan)],
            r"clouds\[1\]\[4\]: .*1 of 9",
        ),
        ([torch.rand(9, 3).index_fill(0, torch.tensor([2, 5]), torch.inf)], r"clouds\[0\]\[2\]: .*2 of 9"),
    ],
)
def test_clouds_that_are_none_are_refused(clouds: list[Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(PLAIN)(clouds)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (BoxTargets(torch.ones(1, 7) * 0.5, torch.tensor([3])), r"does not have; got 3 to 3, wanted 0 to 2"),
        (BoxTargets(torch.ones(1, 7) * 0.5, torch.tensor([-1])), "a class that the model does not have"),
        (BoxTargets(torch.ones(1, 7) * 0.5, torch.tensor([0])), "boxes turn"),
        (BoxTargets(torch.tensor([[0, 0, torch.nan, 1, 1, 1, 0]]), torch.tensor([0])), "not finite"),
    ],
)
def test_targets_that_make_no_sense_are_refused(target: BoxTargets, message: str) -> None:
    model = build(PLAIN)
    clouds, _ = scenes(PLAIN, (60, 1))
    with pytest.raises(DataError, match=message):
        model.loss(model(clouds), [target])


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
