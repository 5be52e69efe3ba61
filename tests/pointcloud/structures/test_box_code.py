"""Boxes and the numbers that networks regress for them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pointcloud.structures.box_code import decode_boxes, encode_boxes
from vol3d.errors import DataError

place = st.floats(-80, 80, width=32)
size = st.floats(0.0625, 30, width=32)


yaw = st.floats(-3, 3, width=32)


@given(st.tuples(place, place, place, size, size, size, yaw, place, place))
def test_a_box_comes_back_from_its_code(row: tuple[float, ...]) -> None:
    box = torch.tensor([row], dtype=torch.float64)
    torch.testing.assert_close(decode_boxes(encode_boxes(box)), box, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(decode_boxes(encode_boxes(box[:, :7])), box[:, :7], atol=1e-6, rtol=1e-6)


def test_a_code_is_read_column_by_column() -> None:
    code = torch.tensor([1.0, 2, 3, math.log(4), math.log(2), math.log(0.5), 1, 0, 7, 8])
    assert decode_boxes(code).tolist() == pytest.approx([1, 2, 3, 4, 2, 0.5, math.pi / 2, 7, 8])


def test_sizes_of_nothing_and_beyond_measure_stay_finite() -> None:
    assert encode_boxes(torch.zeros(1, 7)).isfinite().all()
    assert decode_boxes(torch.full((1, 8), 1e4)).isfinite().all()


def test_no_boxes_have_no_codes() -> None:
    assert encode_boxes(torch.zeros(0, 9)).shape == (0, 10)
    assert decode_boxes(torch.zeros(0, 8)).shape == (0, 7)


def test_what_is_no_box_is_refused() -> None:
    with pytest.raises(DataError, match="not a table of boxes"):
        encode_boxes(torch.zeros(2, 6))
