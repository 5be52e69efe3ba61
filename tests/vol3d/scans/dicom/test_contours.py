"""Outlines of masks fill to the same masks again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vol3d.scans.dicom.contours import inside, outlines

pytest.importorskip("skimage")


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.booleans()))
def test_there_and_back(plane: np.ndarray) -> None:
    assert np.array_equal(inside(outlines(plane), plane.shape), plane)


def test_a_ring_has_two_outlines() -> None:
    i, j = np.indices((40, 50))
    distance = np.hypot(i - 20, j - 25)
    lines = outlines((distance < 15) & (distance > 7))
    assert len(lines) == 2
    for line, radius in zip(lines, (15, 7), strict=True):
        assert np.abs(np.hypot(line[:, 0] - 20, line[:, 1] - 25) - radius).max() < 1


def test_nothing_has_none() -> None:
    assert outlines(np.zeros((5, 6), bool)) == []
    assert not inside([], (5, 6)).any()
