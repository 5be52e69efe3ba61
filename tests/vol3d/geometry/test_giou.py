"""Generalised IoU: 3DETR's numbers, the hull against shapely, properties."""

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
from tests.vol3d.geometry.test_iou import rigid
from vol3d.errors import UsageError
from vol3d.geometry import giou_3d, giou_3d_paired, iou_3d_paired, transform_boxes
from vol3d.geometry.hull import hull_area


def boxes_of_corners(corners: Tensor) -> Tensor:
    """3DETR's eight corners (camera frame x, -z, y) as our boxes in float64: its numbers belong to the corners."""
    corners = corners.double()
    centre = corners.mean(1)[:, [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    along, across, up = corners[:, 0] - corners[:, 3], corners[:, 0] - corners[:, 1], corners[:, 0] - corners[:, 4]
    size = torch.stack([edge.norm(dim=1) for edge in (along, across, up)], dim=1)
    return torch.cat((centre, size, torch.atan2(along[:, 2], along[:, 0])[:, None]), dim=1)


@pytest.fixture(scope="module")
def pairs(oracle_root: Path) -> dict[str, Tensor]:
    return load_file(oracle_root / "3detr" / "C_giou" / "pairs_first100.safetensors")


@pytest.fixture(scope="module")
def boxes(pairs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return boxes_of_corners(pairs["corners1"]), boxes_of_corners(pairs["corners2"])


@pytest.mark.parametrize("gradient", [False, True])
def test_exact_values_of_oracle(pairs, boxes, gradient):
    first, second = boxes[0].clone().requires_grad_(gradient), boxes[1]
    torch.testing.assert_close(giou_3d_paired(first, second), pairs["exact_giou"], rtol=0, atol=1e-6)
    torch.testing.assert_close(iou_3d_paired(first, second), pairs["exact_iou"], rtol=0, atol=1e-6)
    torch.testing.assert_close(giou_3d(first, second).diagonal(), pairs["exact_giou"], rtol=0, atol=1e-6)


def test_shortcut_of_3detr(pairs, boxes):
    ours = giou_3d_paired(*boxes, intersection="3detr")
    good = pairs["official_giou_well_conditioned"]
    official = pairs["official_giou_rotated_torchscript"].double()
    assert (ours - official)[good].abs().max() < 5e-6
    assert (ours - pairs["formula_giou_exact_intersection"]).abs().max() < 5e-6
    wrong = pairs["shortcut_zeroed"]
    assert wrong.sum() == 41
    assert (giou_3d_paired(*boxes) - ours)[wrong].min() > 0


def test_unrotated_formula_of_3detr(pairs, boxes):
    ours = giou_3d(*boxes, intersection="3detr_unrotated").diagonal()
    assert (ours - pairs["official_giou_not_rotated"]).abs().max() < 2e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_union_of_unrotated_formula_is_clamped_as_in_3detr(dtype):
    """The spans of this box overlap by 1.955 m^3, more than both volumes of 0.6 m^3: the original's union is 1e-8."""
    box = torch.tensor([[0, 0, 0, 2, 0.3, 1, math.pi / 4]], dtype=dtype)
    for giou in (
        giou_3d(box, box, intersection="3detr_unrotated")[0],
        giou_3d_paired(box, box, intersection="3detr_unrotated"),
    ):
        assert giou.item() == pytest.approx(1.955e8, rel=1e-4)
    for intersection in ("exact", "3detr"):
        body = (0.5 * 2.3**2) * 1  # the axis-aligned box round it
        assert giou_3d(box, box, intersection=intersection).item() == pytest.approx(1 - (body - 0.6) / body, rel=1e-5)


@settings(deadline=None, max_examples=60)
@given(close_pair())
def test_hull_equals_shapely(pair):
    torch.testing.assert_close(hull_area(*pair), reference.hull_area(*pair), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(close_pair(), st.tuples(*[st.floats(-30, 30, allow_subnormal=False)] * 4))
def test_hull_variant_does_not_depend_on_the_frame(pair, motion):
    matrix = rigid(*motion)
    moved = giou_3d_paired(*(transform_boxes(boxes, matrix) for boxes in pair), enclosing="convex_hull")
    torch.testing.assert_close(moved, giou_3d_paired(*pair, enclosing="convex_hull"), rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(close_pair(), st.sampled_from(["axis_aligned", "convex_hull"]))
def test_symmetric_bounded_and_at_most_iou(pair, enclosing):
    value = giou_3d_paired(*pair, enclosing=enclosing)
    torch.testing.assert_close(value, giou_3d_paired(pair[1], pair[0], enclosing=enclosing), rtol=0, atol=1e-9)
    assert -1 - 1e-9 <= value.item() <= iou_3d_paired(*pair).item() + 1e-9


@pytest.mark.parametrize("enclosing", ["axis_aligned", "convex_hull"])
def test_gradient_is_the_derivative(enclosing):
    first, second = random_boxes(10, 3, spread=3.0).requires_grad_(), random_boxes(10, 4, spread=3.0).requires_grad_()

    def giou(a: Tensor, b: Tensor) -> Tensor:
        return giou_3d_paired(a, b, enclosing=enclosing)

    assert torch.autograd.gradcheck(giou, (first, second), eps=1e-7, atol=1e-5)


def test_distant_boxes_are_pulled_together():
    first = torch.tensor([[0.0, 0, 0, 1, 1, 1, 0]], requires_grad=True)
    second = torch.tensor([[10.0, 0, 0, 1, 1, 1, 0.3]])
    giou_3d_paired(first, second).sum().backward()
    assert first.grad[0, 0] > 0


@pytest.mark.parametrize("size", [0.0, 1e-20])
def test_degenerate_boxes_are_finite_with_finite_gradients(size):
    boxes = torch.tensor([[0.0, 0, 0, size, size, size, 0], [0, 0, 0, 1, size, 1, 1]], requires_grad=True)
    for enclosing in ("axis_aligned", "convex_hull"):
        value = giou_3d(boxes, boxes, enclosing=enclosing)
        (gradient,) = torch.autograd.grad(value.sum(), boxes)
        assert value.isfinite().all() and gradient.isfinite().all()


@pytest.mark.bad_input
def test_unknown_options_are_refused():
    boxes = torch.ones(1, 7)
    with pytest.raises(UsageError, match="enclosing: unknown enclosing body; got sphere"):
        giou_3d(boxes, boxes, enclosing="sphere")
    with pytest.raises(UsageError, match="intersection: unknown intersection; got fast"):
        giou_3d(boxes, boxes, intersection="fast")
