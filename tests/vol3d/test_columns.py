"""Reductions over tables of few columns, beside NumPy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vol3d.columns import bounds, whole_rows


@given(rows=st.integers(1, 1100), columns=st.integers(1, 6), seed=st.integers(0, 99), wide=st.booleans())
def test_bounds_are_those_of_numpy(rows: int, columns: int, seed: int, wide: bool) -> None:
    table = np.random.default_rng(seed).normal(size=(rows, 2 * columns)).astype(np.float64 if wide else np.float32)
    for part in (table, table[:, ::2], table[::-1]):  # rows that lie apart, or in another order, too
        low, high = bounds(part)
        np.testing.assert_array_equal(low, part.min(axis=0))
        np.testing.assert_array_equal(high, part.max(axis=0))


@pytest.mark.parametrize("row", [0, 255, 256, 300])
def test_a_number_that_is_none_is_a_bound_as_in_numpy(row: int) -> None:
    table = np.zeros((301, 3), np.float32)
    table[row, 1] = np.nan
    for found in bounds(table):
        np.testing.assert_array_equal(found, [0, np.nan, 0])


def test_without_rows_there_are_no_bounds() -> None:
    with pytest.raises(ValueError, match="zero-size"):
        bounds(np.zeros((0, 3)))


@given(rows=st.integers(0, 300), columns=st.integers(0, 5), seed=st.integers(0, 99))
def test_rows_are_whole_where_all_of_their_columns_are(rows: int, columns: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.8
    np.testing.assert_array_equal(whole_rows(mask), mask.all(axis=1))
