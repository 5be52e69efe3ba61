"""Lesions as connected components: counted and matched as a slow twin does it, whatever their shape."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medical.lesions import count_lesions
from tests.reference.metrics import slow_lesions, slow_pieces

masks = arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8)))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_equals_the_slow_twin(data: st.DataObject) -> None:
    a = data.draw(masks)
    b = data.draw(arrays(bool, a.shape))
    assume(max(len(slow_pieces(a)), len(slow_pieces(b))) <= 5)
    iou = data.draw(st.sampled_from([0.01, 0.1, 0.5, 1.0]))
    assert astuple(count_lesions(a, b, iou)) == slow_lesions(a, b, iou)


@pytest.mark.parametrize("shape", [(0, 0, 0), (2, 2, 2)])
def test_nothing_in_nothing(shape: tuple[int, int, int]) -> None:
    empty = np.zeros(shape, bool)
    assert astuple(count_lesions(empty, empty)) == (0, 0, 0)


def test_one_side_only() -> None:
    empty, one = np.zeros((1, 1, 5), bool), np.zeros((1, 1, 5), bool)
    one[..., [0, 2, 4]] = True
    assert astuple(count_lesions(empty, one)) == (3, 0, 0)
    assert astuple(count_lesions(one, empty)) == (0, 0, 3)


def test_as_many_as_possible_are_matched() -> None:
    # One predicted piece lies over two lesions, another over the first of them only: both are detected.
    truth, prediction = np.zeros((3, 3, 12), bool), np.zeros((3, 3, 12), bool)
    truth[0, 0, :6] = truth[0, 0, 7:10] = True
    prediction[0, 0, 3:10] = True
    prediction[0, 0, :2] = True
    assert astuple(count_lesions(prediction, truth, 0.1)) == (2, 2, 0)


def test_many_specks_take_no_time() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((40, 40, 40)) < 0.02, rng.random((40, 40, 40)) < 0.02
    counts = count_lesions(a, b, 0.2)
    assert counts.lesions > 500 and 0 < counts.lesions_found < counts.lesions
