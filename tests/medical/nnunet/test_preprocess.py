"""Cropping and normalisation of scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medical.nnunet.plans import Intensities, Plans, read_plans
from medical.nnunet.preprocess import prepare, spacing_of, turned
from tests.medical.nnunet.made import configuration, plans_of
from tests.medical.nnunet.test_plans import FILE
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid, Volume


def plans(channels: int = 1, **changes) -> Plans:
    read = read_plans(plans_of({"a": configuration(channels=channels)}), FILE, "a", channels)
    return replace(read, **changes)


def scan(array: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> Volume:
    array = array if array.ndim == 4 else array[None]
    return Volume(array.astype(np.float32), Grid(array.shape[1:], np.diag([*spacing, 1.0])))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_axes_and_the_place_of_the_crop(transpose):
    array = np.zeros((7, 8, 9), np.float32)
    array[1:4, 2:7, 3:8] = noise(3, 5, 5)
    wanted = plans(schemes=("NoNormalization",), transpose=transpose)
    volume = scan(array)
    before = volume.array.copy()
    ready = prepare(volume, wanted)
    inside = tuple(slice(s, s + n) for s, n in zip(ready.start, ready.cropped, strict=True))
    np.testing.assert_array_equal(turned(array, wanted)[inside], ready.image[0])
    np.testing.assert_array_equal(turned(array, wanted), array.transpose(2, 1, 0).transpose(transpose))
    assert ready.image.size == 75 and np.array_equal(volume.array, before)


def test_a_scan_of_zeros_is_whole():
    assert prepare(scan(np.zeros((3, 4, 5))), plans()).image.shape == (1, 5, 4, 3)


def test_zscore_with_a_mask_fills_holes_and_leaves_the_outside():
    array = np.zeros((6, 6, 6), np.float32)
    array[1:6, 1:6, 1:6] = noise(5, 5, 5)
    array[3, 3, 3] = 0  # a hole
    array[1, 1, 1] = 0  # outside, within the box
    image = prepare(scan(array), plans(masked=(True,))).image[0].transpose(2, 1, 0)
    inside = np.ones((5, 5, 5), bool)
    inside[0, 0, 0] = False
    assert image[0, 0, 0] == 0 and image[2, 2, 2] < 0
    assert image[inside].mean() == pytest.approx(0, abs=1e-5) and image[inside].std() == pytest.approx(1, abs=1e-5)


def test_each_channel_has_its_scheme():
    array = np.stack([noise(4, 4, 4), noise(4, 4, 4) * 20, noise(4, 4, 4)])
    known = Intensities(mean=4.0, std=2.0, percentile_00_5=3.0, percentile_99_5=6.0)
    schemes = ("CTNormalization", "RescaleTo01Normalization", "ZScoreNormalization")
    image = prepare(scan(array), plans(3, schemes=schemes, intensities=(known, None, None))).image
    assert image[0].min() == -0.5 and image[0].max() == 1.0
    assert image[1].min() == 0 and image[1].max() == 1
    assert image[2].std() == pytest.approx(1, abs=1e-5)
    picture = prepare(scan(np.full((2, 2, 2), 51.0)), plans(schemes=("RGBTo01Normalization",)))
    assert picture.image.max() == pytest.approx(0.2)


@pytest.mark.bad_input
def test_a_picture_has_intensities_to_255():
    with pytest.raises(DataError, match="intensities of no picture; got 256 to 256, wanted 0 to 255"):
        prepare(scan(np.full((2, 2, 2), 256.0)), plans(schemes=("RGBTo01Normalization",)))


def test_spacing_is_that_of_the_file():
    exact = np.array([1, 1.2999999523162842, 0.85, 1.1, 0, 0, 0, 0, 0, 0])
    grid = Grid((2, 2, 2), np.diag([1.3000001, 0.85, 1.1, 1]), qform=exact)
    assert spacing_of(grid) == (1.2999999523162842, 0.85, 1.1)
    elsewhere = Grid((2, 2, 2), np.diag([2.0, 0.85, 1.1, 1]), qform=exact)
    assert spacing_of(elsewhere) == (2.0, 0.85, 1.1)


def test_a_previous_stage_adds_a_channel_for_each_label():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[2:] = 2
    ready = prepare(scan(noise(4, 4, 4)), plans(spacing_mm=(0.5, 0.5, 0.5)), labels, (1, 2))
    assert ready.image.shape == (3, 8, 8, 8)
    assert not ready.image[1].any() and np.array_equal(ready.image[2], np.arange(8) >= 4 + np.zeros((8, 8, 8), int))
