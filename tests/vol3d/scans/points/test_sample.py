"""Samples of points: as many as asked for, the same whatever the order."""

from __future__ import annotations

import numpy as np
import pytest

from vol3d.scans.points.sample import some_points, value_keys


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sample_is_the_same_in_any_order(kind: type) -> None:
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(5000, 3)).astype(kind)
    sample = some_points(xyz, 1000)
    other = some_points(xyz[rng.permutation(len(xyz))], 1000)
    assert len(sample) == 1000
    assert set(map(tuple, sample.tolist())) == set(map(tuple, other.tolist()))
    assert np.abs(sample.mean(axis=0)).max() < 0.15  # from everywhere


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_points_are_all_taken(count: int) -> None:
    xyz = np.arange(3.0 * count).reshape(count, 3)
    assert some_points(xyz, 3) is xyz


def test_equal_rows_have_equal_keys_and_zeros_no_sign() -> None:
    keys = value_keys(np.float32([[0, 1, 2], [-0.0, 1, 2], [1, 0, 2]]))
    assert keys[0] == keys[1] != keys[2]
