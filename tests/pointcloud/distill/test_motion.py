"""Codes of boxes that are moved are the codes of the moved boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointcloud.distill.motion import moved_boxes, moved_code, moved_velocity
from pointcloud.structures.box_code import encode_boxes
from pointcloud.structures.similarity import UNMOVED, Similarity
from vol3d.geometry import enclosing_axis_aligned

MOTIONS = [
    UNMOVED,
    Similarity(flip_x=True),
    Similarity(flip_y=True, angle=-2.0),
    Similarity(True, True, 0.7, 1.3, (2.0, -1.0, 0.5)),
]


def some_boxes(count: int, turn: bool = True) -> torch.Tensor:
    rng = np.random.default_rng(count)
    low, high = [-9, -9, -1, 0.3, 0.3, 0.3, -3.1, -5, -5], [9, 9, 1, 4, 2, 2, 3.1, 5, 5]
    boxes = rng.uniform(low, high, (count, 9)).astype(np.float32)
    boxes[:, 6] *= turn
    return torch.from_numpy(boxes)


@pytest.mark.parametrize("how", MOTIONS)
@pytest.mark.parametrize("count", [0, 1, 20])
def test_codes_move_as_boxes_do(how: Similarity, count: int) -> None:
    boxes = some_boxes(count)
    code, wanted = encode_boxes(boxes), encode_boxes(torch.from_numpy(how.boxes(boxes.numpy())))
    torch.testing.assert_close(moved_code(code[:, :8], how, turns=True), wanted[:, :8], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_velocity(code[:, 8:], how), wanted[:, 8:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_boxes(boxes, how, turns=True), torch.from_numpy(how.boxes(boxes.numpy())))


@pytest.mark.parametrize("how", MOTIONS)
def test_boxes_that_do_not_turn_grow_as_annotated_ones(how: Similarity) -> None:
    boxes = some_boxes(7, turn=False)[:, :7]
    wanted = enclosing_axis_aligned(torch.from_numpy(how.boxes(boxes.numpy())))
    torch.testing.assert_close(moved_boxes(boxes, how, turns=False), wanted)
    moved = moved_code(encode_boxes(boxes), how, turns=False)
    torch.testing.assert_close(moved, encode_boxes(wanted), atol=1e-5, rtol=1e-5)


def test_a_direction_that_is_not_sure_stays_so() -> None:
    code = encode_boxes(some_boxes(3)[:, :7])
    code[:, 6:] *= 0.25
    moved = moved_code(code, Similarity(True, False, 1.0, 1.2), turns=True)
    torch.testing.assert_close(moved[:, 6:].norm(dim=1), torch.full((3,), 0.25))
