"""Overlap and IoU: against shapely, against the originals' exact values, and by properties."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from tests.reference import geometry as reference
from tests.vol3d.geometry.samples import close_pair, random_boxes
from vol3d.errors import DataError
from vol3d.geometry import (
    box_volume,
    iou_3d,
    iou_3d_axis_aligned,
    iou_3d_paired,
    iou_bev,
    iou_bev_axis_aligned,
    iou_bev_paired,
    overlap_bev,
    transform_boxes,
)
from vol3d.geometry.overlap import overlap_bev_paired, overlap_torch

BOTH_PATHS = pytest.mark.parametrize("gradient", [False, True], ids=["compiled", "torch"])
PAIRED = [iou_bev_paired, iou_3d_paired]


def rigid(x: float, y: float, z: float, yaw: float) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = math.cos(yaw)
    matrix[1, 0] = math.sin(yaw)
    matrix[0, 1] = -matrix[1, 0]
    matrix[:3, 3] = torch.tensor([x, y, z])
    return matrix


@BOTH_PATHS
def test_equals_shapely(gradient):
    first, second = random_boxes(60, 1).requires_grad_(gradient), random_boxes(40, 2)
    area = (first[:, 3] * first[:, 4])[:, None] + second[:, 3] * second[:, 4]
    common = reference.overlap_bev(first.detach(), second)
    torch.testing.assert_close(iou_bev(first, second), common / (area - common), rtol=0, atol=1e-12)
    common = reference.overlap_3d(first.detach(), second)
    volume = box_volume(first)[:, None] + box_volume(second)
    torch.testing.assert_close(iou_3d(first, second), common / (volume - common), rtol=0, atol=1e-12)


@BOTH_PATHS
def test_equals_exact_values_of_oracle(oracle_root: Path, gradient):
    stored = load_file(oracle_root / "lidar" / "iou3d_nms.safetensors")
    first, second = stored["boxes_a"].double().requires_grad_(gradient), stored["boxes_b"].double()
    torch.testing.assert_close(iou_bev_paired(first, second), stored["exact_iou_bev"], rtol=0, atol=1e-12)
    torch.testing.assert_close(iou_3d_paired(first, second), stored["exact_iou3d"], rtol=0, atol=1e-12)
    single = iou_3d_paired(stored["boxes_a"].requires_grad_(gradient), stored["boxes_b"])
    assert single.dtype == torch.float32
    assert (single - stored["exact_iou3d"]).abs().max() < 2e-6


@BOTH_PATHS
def test_batches_equal_their_samples(gradient):
    first = torch.stack([random_boxes(7, 1), random_boxes(7, 2)]).requires_grad_(gradient)
    second = torch.stack([random_boxes(5, 3), random_boxes(5, 4)])
    both = iou_3d(first, second)
    assert both.shape == (2, 7, 5)
    for sample in range(2):
        torch.testing.assert_close(both[sample], iou_3d(first[sample], second[sample]))


@BOTH_PATHS
def test_no_boxes_and_one_box(gradient):
    boxes = random_boxes(3, 0).requires_grad_(gradient)
    assert iou_bev(boxes[:0], boxes).shape == (0, 3)
    assert iou_3d(boxes, boxes[:0]).shape == (3, 0)
    assert iou_3d_paired(boxes[:0], boxes[:0]).shape == (0,)
    assert iou_3d(boxes[:1], boxes[:1]).item() == pytest.approx(1)


@settings(deadline=None, max_examples=60)
@given(close_pair(), st.booleans())
def test_symmetric_within_bounds_and_one_with_itself(pair, gradient):
    first, second = (boxes.requires_grad_(gradient) for boxes in pair)
    for iou in PAIRED:
        value = iou(first, second)
        assert -1e-12 <= value.item() <= 1 + 1e-9
        torch.testing.assert_close(value, iou(second, first), rtol=0, atol=1e-9)
        assert iou(first, first).item() == pytest.approx(1, abs=1e-9)
        half_turn = first + torch.tensor([0, 0, 0, 0, 0, 0, math.pi], dtype=torch.float64)
        assert iou(first, half_turn).item() == pytest.approx(1, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(close_pair(), st.tuples(*[st.floats(-30, 30, allow_subnormal=False)] * 4))
def test_moving_both_changes_nothing(pair, motion):
    first, second = pair
    matrix = rigid(*motion)
    for iou in PAIRED:
        moved = iou(transform_boxes(first, matrix), transform_boxes(second, matrix))
        torch.testing.assert_close(moved, iou(first, second), rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(close_pair())
def test_both_paths_agree_with_shapely(pair):
    first, second = pair
    expected = reference.overlap_bev(first, second)
    # Shapely itself is good to about 1e-9 of the area on nearly parallel edges.
    torch.testing.assert_close(overlap_bev(first, second), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(overlap_torch(first[:, None], second[None]), expected, rtol=1e-7, atol=1e-7)


@settings(deadline=None, max_examples=60)
@given(close_pair(st.sampled_from([0.0, 1e-30, 1e-12, 1e-4, 1.0])), st.sampled_from([torch.float32, torch.float64]))
def test_degenerate_boxes_are_finite_with_finite_gradients(pair, dtype):
    first, second = (boxes.to(dtype).requires_grad_() for boxes in pair)
    for iou in PAIRED:
        value = iou(first, second)
        gradients = torch.autograd.grad(value.sum(), (first, second))
        assert value.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_tables_equal_pairs_and_boxes_out_of_reach_share_nothing():
    first, second = random_boxes(40, 1).double(), random_boxes(37, 2).double()
    second[::3, :2] += 500
    table = overlap_bev(first, second)
    one, other = (boxes.flatten(0, 1) for boxes in torch.broadcast_tensors(first[:, None], second[None]))
    torch.testing.assert_close(overlap_bev_paired(one, other).view(40, 37), table, rtol=1e-13, atol=1e-13)
    assert (table[:, ::3] == 0).all() and (table > 0).any()
    same = overlap_bev(first, first).diagonal()
    torch.testing.assert_close(same, first[:, 3] * first[:, 4], rtol=1e-13, atol=0)


def test_two_boxes_without_extent_have_no_overlap():
    point = torch.zeros(1, 7, dtype=torch.float64)
    assert iou_bev(point, point).item() == 0
    assert iou_3d(point, point).item() == 0


@pytest.mark.parametrize("iou", PAIRED)
def test_gradient_is_the_derivative(iou):
    first, second = random_boxes(12, 5, spread=3.0).requires_grad_(), random_boxes(12, 6, spread=3.0).requires_grad_()
    assert torch.autograd.gradcheck(iou, (first, second), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize(("axis_aligned", "general"), [(iou_bev_axis_aligned, iou_bev), (iou_3d_axis_aligned, iou_3d)])
def test_axis_aligned_path_equals_general_one(axis_aligned, general):
    first, second = random_boxes(30, 1), random_boxes(20, 2)
    first[:, 6] = second[:, 6] = 0
    torch.testing.assert_close(axis_aligned(first, second), general(first, second), rtol=0, atol=1e-12)
    with pytest.raises(DataError, match=r"second: boxes are rotated; wanted yaw 0.*nearest_axis_aligned"):
        axis_aligned(first, random_boxes(3, 3))


def test_half_precision_is_computed_in_single():
    boxes = random_boxes(4, 1).half()
    assert iou_3d(boxes, boxes).dtype == torch.float32


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (torch.zeros(2, 5), r"second: not a table of boxes; got \(2, 5\), wanted \(\.\.\., 7 or 9\)"),
        (torch.zeros(2, 7, dtype=torch.int64), r"second: boxes must be floating point; got torch\.int64"),
        (torch.full((2, 7), math.nan), r"second\[0\]: a value is not finite in 2 of 2 boxes; got \[nan"),
        (torch.tensor([[0, 0, 0, 1.0, -1, 1, 0]]), r"second\[0\]: a size is negative in 1 of 1 boxes"),
        (torch.zeros(1, 2, 7), r"first, second: tables of boxes do not fit together; got \(\(1, 7\), \(1, 2, 7\)\)"),
        ([[0.0] * 7], r"second: boxes must be a tensor; got list"),
    ],
)
@pytest.mark.bad_input
def test_bad_boxes_are_refused(second, message):
    with pytest.raises(DataError, match=message):
        iou_3d(torch.ones(1, 7), second)


def test_unknown_velocity_is_allowed():
    boxes = torch.cat((random_boxes(2, 1), torch.full((2, 2), math.nan)), dim=1)
    torch.testing.assert_close(iou_3d(boxes, boxes).diagonal(), torch.ones(2, dtype=torch.float64))


@pytest.mark.bad_input
def test_pairs_must_be_as_many():
    with pytest.raises(DataError, match="as many boxes in both"):
        iou_bev_paired(torch.ones(2, 7), torch.ones(3, 7))
