"""Windows: deterministic, image and label moved alike, and never more than what was asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medical.augment import Augment, AugmentSettings, CropSettings, cut
from medical.datasets.cases import IGNORED

EVERYTHING = AugmentSettings(
    flip=(0.5, 0.5, 0.5), rotate90=0.5, affine=1.0, shift_voxels=(2, 2, 2), noise=1.0, blur=1.0,
    low_resolution=1.0, gamma=1.0, scale_intensity=1.0, shift_intensity=1.0,
)  # fmt: skip
WINDOW = (12, 12, 8)


def ball(shape=(20, 24, 16), centre=(9, 12, 8), radius=4):
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    label = (np.linalg.norm(grid - np.reshape(centre, (3, 1, 1, 1)), axis=0) <= radius).astype(np.uint8)
    return label[None].astype(np.float32), label[None]


def test_a_sample_is_a_function_of_its_generator():
    image, label = ball()
    augment = Augment(EVERYTHING, CropSettings(), WINDOW)
    first = augment(image, label, np.random.default_rng([0, 3, 7]))
    augment(image, label, np.random.default_rng([0, 3, 8]))
    again = augment(image, label, np.random.default_rng([0, 3, 7]))
    other = augment(image, label, np.random.default_rng([0, 4, 7]))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("shape", [(20, 24, 16), (5, 30, 3), (1, 1, 1), (12, 12, 8)])
def test_shapes_and_types(shape):
    image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    label = np.ones((1, *shape), dtype=np.uint8)
    moved, target = Augment(EVERYTHING, CropSettings(), WINDOW)(image, label, np.random.default_rng(0))
    assert type(moved) is type(target) is torch.Tensor
    assert moved.shape == (2, *WINDOW) and moved.dtype == torch.float32 and torch.isfinite(moved).all()
    assert target.shape == (1, *WINDOW) and target.dtype == torch.int64 and set(target.unique().tolist()) <= {0, 1}


def test_image_and_label_move_together():
    image, label = ball()
    spatial = AugmentSettings(
        flip=(0.5,) * 3, rotate90=0.5, affine=1.0, rotate_deg=(40, 40, 40), shift_voxels=(2, 2, 2)
    )
    augment = Augment(spatial, CropSettings(foreground=1.0), WINDOW)
    for seed in range(20):
        moved, target = augment(image, label, np.random.default_rng(seed))
        sure = (moved < 0.05) | (moved > 0.95)  # away from the ball's rim both interpolations must agree
        assert ((moved > 0.5) == (target == 1))[sure].all()
        assert target.sum() > 0


def test_magnification_has_the_right_sign():
    image, label = ball()
    sizes = []
    for scale in [(0.5, 0.5000001), (2.0, 2.0000001)]:
        still = AugmentSettings(affine=1.0, rotate_deg=(0, 0, 0), scale=scale)
        augment = Augment(still, CropSettings(foreground=0.0), (20, 24, 16))
        sizes.append(int(augment(image, label, np.random.default_rng(0))[1].sum()))
    assert sizes[0] < int(label.sum()) / 4 and sizes[1] > int(label.sum()) * 4  # a cube of the factor, on a coarse grid


def test_nothing_on_changes_nothing():
    image, label = ball()
    moved, target = Augment(AugmentSettings(), CropSettings(), (20, 24, 16))(image, label, np.random.default_rng(0))
    np.testing.assert_array_equal(moved.numpy(), image)
    np.testing.assert_array_equal(target.numpy(), label)


def test_foreground_windows_hold_the_class_that_was_drawn():
    label = np.zeros((1, 40, 40, 40), dtype=np.uint8)
    label[0, 2, 2, 2], label[0, 30:38, 30:38, 30:38] = 1, 2
    image = label.astype(np.float32)
    rng = np.random.default_rng(0)
    drawn = Augment(AugmentSettings(), CropSettings(foreground=1.0, balance="classes"), (8, 8, 8))
    rare = sum(1 in drawn(image, label, rng)[1] for _ in range(60))
    assert 15 < rare < 45  # one voxel against 512, but one class of two
    assert all(drawn(image, label, rng)[1].sum() > 0 for _ in range(20))
    voxels = Augment(AugmentSettings(), CropSettings(foreground=1.0, balance="voxels"), (8, 8, 8))
    assert sum(1 in voxels(image, label, rng)[1] for _ in range(60)) < 5


def test_no_foreground_falls_back_to_any_place():
    empty = np.zeros((1, 20, 20, 20), dtype=np.uint8)
    augment = Augment(AugmentSettings(), CropSettings(foreground=1.0), (8, 8, 8))
    assert augment(empty.astype(np.float32), empty, np.random.default_rng(0))[1].sum() == 0


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 9)] * 3), st.data())
def test_cut_is_padding_then_slicing(shape, size, data):
    centre = np.array([data.draw(st.integers(0, n - 1)) for n in shape])
    array = np.arange(1, np.prod(shape) + 1, dtype=float).reshape(1, *shape)
    padded = np.pad(array, [(0, 0)] + [(10, 10)] * 3)
    start = centre - np.array(size) // 2 + 10
    expected = padded[(slice(None), *[slice(a, a + n) for a, n in zip(start, size, strict=True)])]
    np.testing.assert_array_equal(cut(array, centre, size), expected)


def test_ignored_voxels_are_never_a_centre():
    label = np.full((1, 30, 30, 30), IGNORED, dtype=np.uint8)
    label[0, 20, 20, 20] = 1
    for balance in ("classes", "voxels"):
        augment = Augment(AugmentSettings(), CropSettings(foreground=1.0, balance=balance), (5, 5, 5))
        for seed in range(5):
            target = augment(label.astype(np.float32), label, np.random.default_rng(seed))[1]
            assert target[0, 2, 2, 2] == 1, "the window's centre is the only voxel of a class"
            assert set(target.unique().tolist()) == {1, IGNORED}
