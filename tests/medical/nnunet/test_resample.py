"""Resampling against the definition, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medical.nnunet.methods import Resampling
from medical.nnunet.resample import Line, lines, resample, resample_labels, resampled_shape
from tests.reference.nnunet import resized

LENGTH = st.integers(1, 9)
SHAPE = st.tuples(LENGTH, LENGTH, LENGTH)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@given(SHAPE, SHAPE, st.sampled_from([0, 1, 3]))
def test_a_volume_is_a_spline_between_its_faces(shape, target, order):
    voxels = noise(shape)
    got = resample(voxels, target, None, Resampling(order))
    if order:
        np.testing.assert_allclose(got, resized(voxels, target, order), atol=2e-6)
    assert got.shape == target and got.min() >= voxels.min() and got.max() <= voxels.max()


@given(SHAPE, SHAPE, st.integers(0, 2))
def test_an_axis_apart_takes_the_nearest_plane(shape, target, apart):
    voxels = noise(shape)
    got = np.moveaxis(resample(voxels, target, apart, Resampling(3, 0)), apart, 0)
    across = got.shape[1:]
    n, m = shape[apart], target[apart]
    for index, plane in enumerate(got):
        source = np.moveaxis(voxels, apart, 0)[min(int(np.floor((index + 0.5) * n / m)), n - 1)]
        np.testing.assert_allclose(plane, resized(source, across, 3), atol=2e-6)


def test_the_same_shape_is_returned_untouched():
    voxels = noise((3, 4, 5))
    assert resample(voxels, (3, 4, 5), 0, Resampling()) is voxels


@given(SHAPE, SHAPE, st.sampled_from([None, 0, 1, 2]), st.integers(0, 1))
def test_logits_go_axis_by_axis(shape, target, apart, order):
    """What is streamed plane by plane is the same product of three lines."""
    how = Resampling(1, order)
    voxels = noise(shape)
    mixed = torch.from_numpy(voxels)
    for axis, line in enumerate(lines(shape, target, apart, how)):
        mixed = line.mix(mixed, axis)
    np.testing.assert_allclose(mixed.numpy(), resample(voxels, target, apart, how), atol=1e-5)


def test_halves_go_up_along_an_axis_apart():
    assert Line.of(2, 1, 0).upper.tolist() == [1]
    assert Line.of(1, 3, 0).upper.tolist() == [0, 0, 0]
    assert Line.of(4, 2, 0).upper.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("n", "old", "new", "m"), [(5, 1.0, 2.0, 2), (7, 1.0, 2.0, 4), (3, 0.5, 1.0, 2), (35, 1.0, 1.0, 35)]
)
def test_halves_of_a_shape_are_rounded_to_even(n, old, new, m):
    assert resampled_shape((n, n, n), (old,) * 3, (new,) * 3, Resampling()) == (m, m, m)
    assert resampled_shape((n, n, n), (old,) * 3, (new,) * 3, Resampling(is_off=True)) == (n, n, n)


@pytest.mark.parametrize("apart", [None, 0, 2])
def test_labels_take_the_last_one_with_half(apart):
    labels = np.zeros((4, 4, 4), np.int32)
    labels[:, 2:], labels[0, 0, 0] = 3, -1
    got = resample_labels(labels, (8, 8, 8), apart, Resampling(1, 0))
    assert set(np.unique(got)) == {-1, 0, 3}
    # At the boundary, voxel 3 lies 3/4 in label 0 and voxel 4 3/4 in label 3.
    assert (got[4:, :4] == 0).all() and (got[:, 4:] == 3).all()


def test_labels_by_the_largest_share():
    labels = np.array([0, 1, 2], np.int32).reshape(3, 1, 1)
    got = resample_labels(labels, (2, 1, 1), None, Resampling(1, 0, largest_share=True))
    assert got.ravel().tolist() == [0, 2]  # a quarter of 1 and three quarters of the outer ones


@pytest.mark.parametrize(
    ("separate", "now", "then", "axis"),
    [
        (None, (3.1, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        (None, (3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        (None, (1.0, 1.0, 1.0), (1.0, 1.0, 4.0), 2),
        (None, (4.0, 4.0, 1.0), (1.0, 9.0, 1.0), None),
        (False, (9.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        (True, (1.0, 1.5, 1.0), (1.0, 1.0, 1.0), 1),
        (True, (1.0, 1.0, 1.0), (9.0, 1.0, 1.0), None),
    ],
)
def test_which_axis_is_apart(separate, now, then, axis):
    assert Resampling(separate=separate).apart(now, then) == axis
