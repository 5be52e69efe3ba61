"""Distortions against slow twins: SciPy's interpolation and filters, and arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from medical.augment import Augment, AugmentSettings, CropSettings, cut
from medical.distortions import GAMMA, Move, blurred, coarse, shade, with_gamma
from vol3d.errors import UsageError

STILL = (False, False, False)
RNG = np.random.default_rng(0)
STRONG = AugmentSettings(affine=1.0, rotate_deg=(40, 30, 60), scale=(0.7, 1.4), shift_voxels=(3, 2, 1))


def slow_window(volume: np.ndarray, matrix: np.ndarray, window: tuple[int, int, int], order: int) -> np.ndarray:
    """(i, j, k) at the matrix's places, by SciPy."""
    centre, middle = (np.array(volume.shape) - 1) / 2, (np.array(window) - 1) / 2
    offset = centre + matrix[:, 3] - matrix[:, :3] @ middle
    return ndimage.affine_transform(
        volume, matrix[:, :3], offset, output_shape=window, order=order, mode="grid-constant", cval=0
    )


@pytest.mark.parametrize("seed", range(4))
def test_moved_windows_equal_scipys(seed: int) -> None:
    matrix = Move.draw(STRONG, np.random.default_rng(seed)).matrix
    assert matrix is not None
    volume = RNG.normal(size=(2, 17, 12, 15)).astype(np.float32)
    got = Move(matrix, STILL, 0)(torch.from_numpy(volume), (9, 10, 7), "bilinear").numpy()
    wanted = np.stack([slow_window(channel, matrix, (9, 10, 7), 1) for channel in volume])
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    labels = (volume[:1] > 0.5).astype(np.uint8)
    nearest = Move(matrix, STILL, 0)(torch.from_numpy(labels), (9, 10, 7), "nearest").numpy()[0]
    assert (nearest == slow_window(labels[0], matrix, (9, 10, 7), 0)).mean() > 0.995, "only ties may differ"


@pytest.mark.parametrize("seed", range(4))
def test_what_is_cut_is_all_that_a_window_sees(seed: int) -> None:
    move = Move.draw(STRONG, np.random.default_rng(seed))
    volume, centre, window = RNG.normal(size=(1, 61, 60, 59)).astype(np.float32), np.array([30, 29, 31]), (12, 9, 8)
    small, large = (
        move(torch.from_numpy(cut(volume, centre, size)), window, "bilinear")
        for size in (move.reach(window), (60, 59, 58))
    )
    torch.testing.assert_close(small, large, atol=1e-4, rtol=0)


def test_without_an_affine_voxels_are_moved_and_never_mixed() -> None:
    volume = torch.arange(2 * 4 * 4 * 3, dtype=torch.float32).reshape(2, 4, 4, 3)
    move = Move(None, (True, False, True), 1)
    assert move.reach((4, 4, 3)) == (4, 4, 3)
    got = move(volume, (4, 4, 3), "bilinear")
    np.testing.assert_array_equal(got, np.rot90(volume.numpy()[:, ::-1, :, ::-1], 1, (1, 2)))
    same = Move(np.eye(3, 4), STILL, 0)(volume, (4, 4, 3), "bilinear")
    torch.testing.assert_close(same, volume, atol=1e-4, rtol=0)


def test_draws_stay_in_their_ranges_and_are_as_frequent_as_asked() -> None:
    settings = STRONG.model_copy(update={"affine": 0.3, "flip": (0.0, 0.5, 1.0), "rotate90": 0.4})
    moves = [Move.draw(settings, np.random.default_rng(seed)) for seed in range(400)]
    matrices = np.stack([move.matrix for move in moves if move.matrix is not None])
    steps = np.linalg.norm(matrices[:, :, :3], axis=1)
    assert steps.min() >= 1 / 1.4 - 1e-9 and steps.max() <= 1 / 0.7 + 1e-9
    assert (np.abs(matrices[:, :, 3]) <= settings.shift_voxels).all()
    assert (np.linalg.det(matrices[:, :, :3]) > 0).all(), "a rotation never mirrors"
    assert 0.2 < len(matrices) / 400 < 0.4
    np.testing.assert_allclose(np.mean([move.flips for move in moves], axis=0), settings.flip, atol=0.1)
    turns = np.bincount([move.quarters for move in moves], minlength=4) / 400
    np.testing.assert_allclose(turns, [0.6, 0.4 / 3, 0.4 / 3, 0.4 / 3], atol=0.1)


def test_intensities_equal_their_formulas() -> None:
    image = torch.from_numpy(RNG.normal(size=(2, 9, 11, 10)).astype(np.float32))
    x = image.numpy()
    filtered = np.stack([ndimage.gaussian_filter(c, (0.6, 0.9, 0.7), truncate=5, mode="nearest") for c in x])
    np.testing.assert_allclose(blurred(image, np.array([0.6, 0.9, 0.7])), filtered, atol=2e-3)
    low, span = x.min(), np.ptp(x)
    np.testing.assert_allclose(with_gamma(image, 1.3), ((x - low) / span) ** 1.3 * span + low, atol=1e-4)
    flat = torch.full((1, 3, 3, 3), 5.0)
    assert torch.equal(with_gamma(flat, 0.7), flat) and torch.allclose(blurred(flat, np.full(3, 0.8)), flat)
    line = torch.tensor([0.0, 1, 2, 3]).reshape(1, 1, 1, 4)
    np.testing.assert_allclose(coarse(line, 0.5).ravel(), [0, 0.5, 1.5, 2])  # voxels 0 and 2, read at -0.25 ... 1.25
    np.testing.assert_array_equal(coarse(image, 1.0), image)


def test_intensities_change_only_when_drawn_and_within_their_ranges() -> None:
    image = torch.from_numpy(RNG.normal(size=(1, 8, 8, 8)).astype(np.float32))
    assert torch.equal(shade(image, AugmentSettings(), np.random.default_rng(0)), image)
    noisy = [shade(image, AugmentSettings(noise=1.0), np.random.default_rng(seed)) - image for seed in range(50)]
    assert 0.08 < max(float(noise.std()) for noise in noisy) < 0.115
    scaled = [
        shade(image, AugmentSettings(scale_intensity=1.0, scale_by=0.3), np.random.default_rng(s)) for s in range(50)
    ]
    factors = [float(one.sum() / image.sum()) for one in scaled]
    assert 0.7 <= min(factors) < 0.75 and 1.25 < max(factors) <= 1.3
    shifts = [
        float(
            (shade(image, AugmentSettings(shift_intensity=1.0, shift_by=0.2), np.random.default_rng(s)) - image).mean()
        )
        for s in range(50)
    ]
    assert -0.2 <= min(shifts) < -0.15 and 0.15 < max(shifts) <= 0.2
    bent = [shade(image, AugmentSettings(gamma=1.0), np.random.default_rng(s)) for s in range(50)]
    ends = [with_gamma(image, gamma) for gamma in GAMMA]
    assert all((one <= ends[0] + 1e-5).all() and (one >= ends[1] - 1e-5).all() for one in bent)


def test_quarter_turns_of_a_window_that_is_not_square_are_refused() -> None:
    with pytest.raises(UsageError, match=r"quarter turns change the shape of the window; got \(8, 12, 8\)"):
        Augment(AugmentSettings(rotate90=0.1), CropSettings(), (8, 12, 8))
