"""Anchors, their objects and offsets, directions and the loss on them, against a slow twin and by hand."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pointcloud.models.anchors.anchors import (
    AnchorSettings,
    decode_offsets,
    encode_offsets,
    kitti_anchors,
    match_anchors,
    match_sample,
    nuscenes_anchors,
    place_anchors,
)
from pointcloud.models.anchors.head import (
    AnchorHead,
    AnchorHeadSettings,
    AnchorOutputs,
    AnchorPrediction,
    direction,
    facing,
    offset_loss,
)
from pointcloud.models.anchors.point_pillars import PointPillarsSettings
from pointcloud.models.anchors.second import SecondDetectorSettings
from pointcloud.models.anchors.voxel_net import VoxelNetSettings
from pointcloud.structures.map_grid import MapGrid
from pointcloud.structures.targets import BoxTargets
from tests.reference import anchors as slow
from vol3d.errors import UsageError

GRID = MapGrid((0.0, -4.0), (0.5, 0.5), 2, (8, 10))
CAR = AnchorSettings(size_m=(3.9, 1.6, 1.5), z_m=-1.0)
WALKER = AnchorSettings(size_m=(0.8, 0.6, 1.7), z_m=-0.6, positive=0.5, negative=0.35)


def some_boxes(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, generator=generator) * torch.tensor([10.0, 8.0]) - torch.tensor([0.0, 4.0])
    size = torch.tensor([3.9, 1.6, 1.5]) * (0.7 + 0.6 * torch.rand(count, 3, generator=generator))
    yaw = (torch.rand(count, 1, generator=generator) - 0.5) * 6
    return torch.cat([place, -torch.ones(count, 1), size, yaw], dim=1)


@pytest.mark.parametrize("placement", ["centres", "corners"])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_matches_are_those_of_the_slow_twin(count: int, placement: Literal["centres", "corners"]) -> None:
    anchors = place_anchors(GRID, (CAR,), placement)
    boxes = some_boxes(count, seed=count)
    found = match_anchors([anchors], boxes, CAR)
    wanted = slow.matches(anchors.flatten(0, 2), boxes, 0.6, 0.45)
    assert found.object.tolist() == [-1 if k is None else k for k in wanted]
    assert found.background.tolist() == [k == -1 for k in wanted]
    assert bool((found.object >= 0).any())


def test_the_best_anchor_of_an_object_is_positive_unless_it_is_too_far() -> None:
    anchors = place_anchors(GRID, (CAR,), "centres")
    tiny = torch.tensor([[5.2, 0.4, -1.0, 0.5, 0.5, 1.5, 0.0]])
    assert int((match_anchors([anchors], tiny, CAR).object == 0).sum()) >= 1
    assert not bool((match_anchors([anchors], tiny, CAR.model_copy(update={"least": 0.45})).object == 0).any())


def test_an_object_claims_its_best_anchors_from_one_that_they_overlap_more() -> None:
    anchors = place_anchors(GRID, (CAR.model_copy(update={"yaws": (0.0,)}),), "centres")
    near, other = anchors[4, 4, 0].clone(), anchors[4, 4, 0].clone()
    near[0] += 0.1
    other[0] -= 0.3
    boxes = torch.stack([other, near])
    plain, claimed = (match_anchors([anchors], boxes, CAR.model_copy(update={"claim": c})) for c in (False, True))
    at = 4 * 10 + 4  # both objects' best anchor
    assert int(plain.object[at]) == 1 and int(claimed.object[at]) == 1
    plain, claimed = (
        match_anchors([anchors], boxes.flip(0), CAR.model_copy(update={"claim": c})) for c in (False, True)
    )
    assert int(plain.object[at]) == 0 and int(claimed.object[at]) == 1
    assert torch.equal(plain.background, claimed.background)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_shared_anchors_of_two_maps_are_matched_with_every_class_as_one_list(count: int) -> None:
    coarse = MapGrid((0.0, -4.0), (0.5, 0.5), 4, (4, 5))
    levels = [place_anchors(grid, (CAR, WALKER), "centres", scale=s) for grid, s in ((GRID, 1.0), (coarse, 1.5))]
    boxes, labels = some_boxes(count, seed=3), torch.arange(count) % 2
    boxes[labels == 1, 3:6] = torch.tensor([0.9, 0.6, 1.7])
    found = match_sample(levels, BoxTargets(boxes, labels), (CAR, WALKER), shared=True)
    every = torch.cat([level.flatten(0, 2) for level in levels])
    wanted = slow.matches(every, boxes, 0.6, 0.45) if count else [-1] * len(every)
    assert found.object.tolist() == [-1 if k is None else k for k in wanted]
    assert found.background.tolist() == [k == -1 for k in wanted]


def test_anchors_of_classes_on_two_maps_keep_the_order_of_the_outputs() -> None:
    coarse = MapGrid((0.0, -4.0), (0.5, 0.5), 4, (4, 5))
    levels = [place_anchors(grid, (CAR, WALKER), "centres") for grid in (GRID, coarse)]
    boxes = torch.stack([levels[0][4, 6, 1], levels[1][1, 2, 2]])
    found = match_sample(levels, BoxTargets(boxes, torch.tensor([0, 1])), (CAR, WALKER))
    every = torch.cat([level.flatten(0, 2) for level in levels])
    for number in range(2):
        rows = (found.object == number).nonzero()[:, 0]
        assert bool((every[rows] == boxes[number]).all(dim=1).any())
        assert bool((every[rows, 3:6] == boxes[number, 3:6]).all())


def test_classes_are_matched_with_their_own_anchors() -> None:
    anchors = place_anchors(GRID, (CAR, WALKER), "centres")
    rows = [[2.5, 0.5, -0.6, 0.8, 0.6, 1.7, 0], [6.5, 0.5, -1, 3.9, 1.6, 1.5, 0], [5, 5, 5, 0, 0, 0, 0]]
    boxes = torch.tensor(rows)
    found = match_sample([anchors], BoxTargets(boxes, torch.tensor([1, 0, 0])), (CAR, WALKER))
    walker, car = (found.object == 0).view(8, 10, 4), (found.object == 1).view(8, 10, 4)
    assert bool(walker[4, 2, 2]) and not bool(walker[..., :2].any())
    assert bool(car[4, 6, 0]) and not bool(car[..., 2:].any())
    assert not bool((found.object == 2).any())
    nothing = match_sample([anchors], BoxTargets(torch.zeros(0, 9), torch.zeros(0, dtype=torch.int64)), (CAR, WALKER))
    assert bool(nothing.background.all())


def test_anchors_stand_at_centres_or_from_border_to_border() -> None:
    centres, corners = (place_anchors(GRID, (CAR, WALKER), kind) for kind in ("centres", "corners"))
    assert centres.shape == corners.shape == (8, 10, 4, 7)
    assert centres[0, 0, 0].tolist() == pytest.approx([0.5, -3.5, -1.0, 3.9, 1.6, 1.5, 0.0])
    assert centres[7, 9, 3].tolist() == pytest.approx([9.5, 3.5, -0.6, 0.8, 0.6, 1.7, math.pi / 2])
    assert corners[0, 0, 0, :2].tolist() == [0.0, -4.0]
    assert corners[7, 9, 0, :2].tolist() == pytest.approx([10.0, 4.0])


def test_anchors_cover_another_range_and_grow_on_their_feet() -> None:
    far = place_anchors(GRID, (CAR,), "centres", range_m=(-10.0, -4.0, 0.0, 12.0), scale=2.0)
    assert far[0, 0, 0].tolist() == pytest.approx([-9.5, -3.0, -1.0 + 1.5 / 2, 7.8, 3.2, 3.0, 0.0])
    assert far[7, 9, 0, :2].tolist() == pytest.approx([-0.5, 11.0])


def test_a_box_counts_for_every_class_above_the_score() -> None:
    some = {"car": CAR, "van": CAR}
    settings = AnchorHeadSettings(anchors=some, placement="centres", score=0.3, labels="every", nms_classes="apart")
    head = AnchorHead(4, ("car", "van"), settings)
    outputs = head([torch.zeros(1, 4, 8, 10)])
    logits = torch.full_like(outputs.classes, -5.0)
    logits[0, 100] = torch.tensor([2.0, 1.0])
    logits[0, 3] = torch.tensor([-5.0, 0.5])
    outputs = AnchorOutputs(logits, outputs.offsets * 0, outputs.directions)
    (found,) = head.decode(outputs, [GRID])
    assert found.labels.tolist() == [0, 1, 1]
    assert found.scores.tolist() == pytest.approx([torch.tensor(x).sigmoid().item() for x in (2.0, 1.0, 0.5)])
    (best,) = AnchorHead(4, ("car", "van"), settings.model_copy(update={"labels": "best"})).decode(outputs, [GRID])
    assert best.labels.tolist() == [0, 1]
    with pytest.raises(ValidationError, match="labels: every needs nms_classes: apart"):
        AnchorHeadSettings(anchors=some, labels="every")


@given(seed=st.integers(0, 1000))
def test_offsets_lead_back_to_the_boxes(seed: int) -> None:
    boxes, anchors = some_boxes(7, seed), some_boxes(7, seed + 1)
    boxes = torch.cat([boxes, torch.ones(7, 2)], dim=1)
    torch.testing.assert_close(decode_offsets(encode_offsets(boxes, anchors), anchors), boxes, atol=1e-4, rtol=1e-4)


def test_an_offset_by_hand() -> None:
    anchor = torch.tensor([[1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 0.5]])
    box = torch.tensor([[2.0, 4.0, 4.0, 4.0 * math.e, 3.0, 2.0, 1.5]])
    torch.testing.assert_close(encode_offsets(box, anchor), torch.tensor([[0.2, 0.4, 0.5, 1, 0, 0, 1.0]]))


@given(yaw=st.floats(-3.1, 3.1), begin=st.sampled_from([0.0, math.pi / 4, -math.pi / 2]))
def test_a_direction_tells_a_yaw_from_its_opposite(yaw: float, begin: float) -> None:
    true = torch.tensor([yaw], dtype=torch.float64)
    side = direction(true, begin)
    for said in (true, true + math.pi, true - math.pi):
        found = facing(said, side, begin)
        assert float((found - true).sin().abs()) < 1e-6
        # On the border between the halves rounding may take the other one.
        border = abs(math.sin(yaw - begin)) < 1e-6
        assert border or float((found - true).cos()) > 0


def test_the_loss_does_not_see_front_and_back_but_unknown_velocities_are_left_out() -> None:
    settings = AnchorHeadSettings(velocity=True)
    said, true = torch.zeros(1, 9), torch.zeros(1, 9)
    true[:, 6], true[:, 7:] = math.pi, torch.nan
    assert float(offset_loss(said, true, settings).sum()) < 1e-6
    assert float(offset_loss(said, true[:, :7], settings).sum()) < 1e-6
    true[:, 0] = 1.0
    assert float(offset_loss(said, true, settings).sum()) == pytest.approx(1 - 1 / 18)


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_the_loss_of_an_anchor_head_by_hand(per: str) -> None:
    settings = AnchorHeadSettings(anchors={"car": CAR}, placement="centres", per=per)
    head = AnchorHead(4, ("car",), settings)
    boxes = place_anchors(GRID, (CAR,), "centres")[[2, 6], [3, 7], 0]
    truth = [BoxTargets(boxes[:1], torch.tensor([0])), BoxTargets(boxes, torch.tensor([0, 0]))]
    outputs = head([torch.zeros(2, 4, 8, 10)])
    outputs = AnchorOutputs(torch.zeros_like(outputs.classes), outputs.offsets * 0, outputs.directions * 0)
    found = [match_sample(head.anchors([GRID]), target, (CAR,)) for target in truth]
    positives = [int((m.object >= 0).sum()) for m in found]
    negatives = [int(m.background.sum()) for m in found]
    values = [0.25 * math.log(2) * (0.25 * p + 0.75 * n) for p, n in zip(positives, negatives, strict=True)]
    wanted = sum(v / p for v, p in zip(values, positives, strict=True)) / 2
    if per == "batch":
        wanted = sum(values) / sum(positives)
    terms = head.loss(outputs, truth, [GRID])
    assert terms["class"].item() == pytest.approx(wanted, rel=1e-5)
    assert terms["direction"].item() == pytest.approx(0.2 * math.log(2), rel=1e-5)


def test_the_loss_of_voxelnet_by_hand() -> None:
    strict = CAR.model_copy(update={"positive": 0.7})
    model = VoxelNetSettings(
        voxels={"point_range_m": (0, -4, -3, 10, 4, 1), "voxel_size_m": (0.5, 0.5, 0.8), "max_points": 4},
        backbone={"widths": (4,), "layers": (0,), "strides": (2,)},
        neck={"widths": (4,), "upsample": (1,)},
        anchors={"car": strict},
    ).build(("car",))
    box = place_anchors(GRID, (CAR,), "centres")[3, 4, 0].clone()
    box[0] += 0.02 * box[3:5].norm()  # an offset of 0.02
    logits = torch.full((1, 160, 1), 1.0)
    said = AnchorPrediction(
        AnchorOutputs(logits, torch.zeros(1, 160, 7), logits[..., :0]), (torch.zeros(1, 4, 8, 20),), (GRID,), (0,)
    )
    target = BoxTargets(box[None], torch.tensor([0]))
    positive = match_sample([place_anchors(GRID, (strict,), "centres")], target, (strict,)).object >= 0
    terms = model.loss(said, [target])
    assert terms["positive"].item() == pytest.approx(1.5 * math.log(1 + math.exp(-1)), rel=1e-5)
    assert terms["negative"].item() == pytest.approx(math.log(1 + math.e), rel=1e-5)
    assert int(positive.sum()) == 1
    assert terms["box"].item() == pytest.approx(0.5 * 0.02**2 * 9, rel=1e-4)


def test_published_networks_have_their_sizes() -> None:
    assert PointPillarsSettings().voxels.grid.shape == (1, 496, 432)
    assert SecondDetectorSettings().voxels.grid.shape == (40, 1600, 1408)
    assert SecondDetectorSettings().sparse.map_width(40) == 256
    assert VoxelNetSettings().voxels.grid.shape == (10, 400, 352)
    assert VoxelNetSettings().layers() == 2
    assert PointPillarsSettings.nuscenes().strides == (4,)
    model = PointPillarsSettings.nuscenes().build(tuple(nuscenes_anchors()))
    assert model.points.linears[0].weight.shape == (64, 11)
    assert model.head.offsets.weight.shape == (20 * 9, 384, 1, 1)
    assert PointPillarsSettings().build(("Car", "Pedestrian", "Cyclist")).points.linears[0].weight.shape == (64, 10)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="anchors of other classes"):
        AnchorHead(4, ("Car",), AnchorHeadSettings())
    with pytest.raises(ValidationError, match="negative not above positive"):
        AnchorSettings(size_m=(1, 1, 1), z_m=0, positive=0.3, negative=0.4)
    with pytest.raises(ValidationError, match="shared anchors must have the same positive, negative and least"):
        AnchorHeadSettings(shared=True)
    with pytest.raises(ValidationError, match="scales must be positive"):
        AnchorHeadSettings(scales=(0.0,))
    with pytest.raises(ValidationError, match="multiples of 8"):
        PointPillarsSettings(voxels={"point_range_m": (0, 0, -3, 10, 10, 1), "voxel_size_m": (0.2, 0.2, 4)})
    with pytest.raises(ValidationError, match="whole range in z"):
        PointPillarsSettings(voxels={"voxel_size_m": (0.2, 0.2, 4)})
    with pytest.raises(ValidationError, match="too few for the 3D convolutions"):
        VoxelNetSettings(voxels={"voxel_size_m": (0.2, 0.2, 8)})
    assert set(kitti_anchors()) == {"Car", "Pedestrian", "Cyclist"}
