"""Suppression: against the originals' lists and against a greedy loop over shapely's IoU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.reference import geometry as reference
from tests.vol3d.geometry.samples import random_boxes
from vol3d.errors import DataError, UsageError
from vol3d.geometry import (
    enclosing_axis_aligned,
    iou_3d,
    iou_bev,
    nms_axis_aligned,
    nms_by_class,
    nms_circle,
    nms_rotated,
)
from vol3d.geometry.nms import greedy

THRESHOLDS = [0.01, 0.1, 0.2, 0.5, 0.7]


def scored_boxes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 20, (count,), generator=generator) / 20  # many ties
    return random_boxes(count, seed), scores, torch.randint(0, 3, (count,), generator=generator)


@pytest.mark.parametrize("case", ["nms0", "nms1"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_rotated_keeps_the_lists_of_the_oracle(oracle_root: Path, case, threshold):
    stored = load_file(oracle_root / "lidar" / "iou3d_nms.safetensors")
    kept = nms_rotated(stored[f"{case}.boxes"], stored[f"{case}.scores"], threshold)
    assert kept.tolist() == stored[f"{case}.keep_exact.{threshold}"].tolist()


@pytest.mark.parametrize("radius", ["0.175", "0.85", "4", "12"])
def test_circle_keeps_the_lists_of_centerpoint(oracle_root: Path, radius):
    stored = load_file(oracle_root / "lidar" / "centerpoint_orig_parts.safetensors")
    detections = stored["circle.dets"]
    boxes = torch.cat((detections[:, :2], torch.ones(len(detections), 5)), dim=1)
    expected = stored[f"circle.keep.{radius}"].tolist()
    kept = nms_circle(boxes, detections[:, 2], float(radius), compare="squared_distance")
    assert kept.tolist() == expected
    assert nms_circle(boxes, detections[:, 2], float(radius) ** 0.5).tolist() == expected


@pytest.mark.parametrize("space", ["bev", "3d"])
@pytest.mark.parametrize("by_label", [False, True])
def test_equals_the_greedy_loop_and_the_device_path(space, by_label):
    boxes, scores, labels = scored_boxes(120, 3)
    straight = enclosing_axis_aligned(boxes)
    chosen = labels if by_label else None
    for function, table in ((nms_rotated, boxes), (nms_axis_aligned, straight)):
        iou = (iou_3d if space == "3d" else iou_bev)(table, table)
        judged = torch.where(labels[:, None] == labels, iou, 0) if by_label else iou
        expected = reference.greedy_nms(judged, scores, 0.2)
        kept = function(table, scores, 0.2, space=space, labels=chosen)
        assert kept.tolist() == expected
        assert 0 < len(expected) < 120
        order = scores.argsort(descending=True, stable=True)
        ranked = labels[order] if by_label else torch.zeros_like(order)
        assert order[greedy(iou[order][:, order] > 0.2, ranked)].tolist() == expected


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(0, 80), spread=st.sampled_from([0.0, 3.0, 60.0, 1e6]), seed=st.integers(0, 99),
    huge=st.booleans(), line=st.booleans(), space=st.sampled_from(["bev", "3d"]),
)  # fmt: skip
def test_cells_leave_no_pair_out(count: int, spread: float, seed: int, huge: bool, line: bool, space: str) -> None:
    boxes, scores, labels = scored_boxes(count, seed)
    generator = torch.Generator().manual_seed(seed)
    boxes[:, :2] = spread * torch.rand(count, 2, generator=generator) - 7
    boxes[:, 0] *= 0 if line else 1
    boxes[:1, 3:5] *= 1000 if huge else 0  # all in one cell; a box without extent
    iou = (iou_3d if space == "3d" else iou_bev)(boxes.double(), boxes.double())
    order = scores.argsort(descending=True, stable=True)
    wanted = order[greedy(iou[order][:, order] > 0.1, labels[order])]
    assert torch.equal(nms_rotated(boxes.double(), scores, 0.1, space=space, labels=labels), wanted)


def test_equal_scores_go_by_index():
    boxes = torch.tensor([[0.0, 0, 0, 2, 2, 2, 0.1]]).repeat(4, 1)
    boxes[3, 0] = 50
    scores = torch.full((4,), 0.5)
    assert nms_rotated(boxes, scores, 0.5).tolist() == [0, 3]
    assert nms_circle(boxes, scores, 1.0).tolist() == [0, 3]


def test_candidates_are_limited_to_the_best():
    boxes, scores, _ = scored_boxes(50, 1)
    kept = nms_rotated(boxes, scores, 1.0, max_candidates=7)
    assert kept.tolist() == scores.argsort(descending=True, stable=True)[:7].tolist()


def test_a_rule_for_each_class():
    boxes, scores, labels = scored_boxes(80, 2)
    radius = {0: 0.5, 1: 4.0, 2: 0.0}
    kept = nms_by_class(boxes, scores, labels, lambda b, s, label: nms_circle(b, s, radius[label]))
    alone = [nms_circle(boxes, scores, radius[label], labels=labels).tolist() for label in range(3)]
    expected = {i for label in range(3) for i in alone[label] if int(labels[i]) == label}
    assert set(kept.tolist()) == expected
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)


def test_no_boxes():
    boxes, scores, labels = random_boxes(0, 0), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    for kept in (
        nms_rotated(boxes, scores, 0.1),
        nms_axis_aligned(boxes, scores, 0.1),
        nms_circle(boxes, scores, 1.0),
        nms_by_class(boxes, scores, labels, lambda b, s, label: nms_rotated(b, s, 0.1)),
    ):
        assert kept.shape == (0,) and kept.dtype == torch.int64


@pytest.mark.bad_input
def test_bad_input_is_refused():
    boxes, scores = random_boxes(3, 0), torch.tensor([0.1, float("nan"), 0.3])
    with pytest.raises(DataError, match="scores: a score is NaN; got 1 NaN"):
        nms_rotated(boxes, scores, 0.5)
    with pytest.raises(DataError, match=r"scores: not one value per box; got \(2,\), wanted \(3,\)"):
        nms_rotated(boxes, scores[:2], 0.5)
    with pytest.raises(DataError, match=r"labels: not one value per box; got \(1,\)"):
        nms_circle(boxes, scores.nan_to_num(), 1.0, labels=torch.zeros(1, dtype=torch.int64))
    with pytest.raises(DataError, match=r"iou_threshold: not an IoU threshold; got 1\.5, wanted 0 to 1"):
        nms_rotated(boxes, scores.nan_to_num(), 1.5)
    with pytest.raises(DataError, match="boxes are rotated"):
        nms_axis_aligned(boxes, scores.nan_to_num(), 0.5)
    with pytest.raises(UsageError, match="space: unknown space; got 4d"):
        nms_rotated(boxes, scores.nan_to_num(), 0.5, space="4d")
