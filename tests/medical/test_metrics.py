"""Metrics of one case: MONAI's numbers where both are defined, stated ones where only one side has the organ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

from medical.classes import Classes
from medical.metrics import Measures, diagonal_mm, dice, hd95_mm, nsd, score_case, surface
from tests.reference.metrics import slow_dice, slow_hd95, slow_nsd, slow_surface
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid
from vol3d.statistics import bootstrap_interval, mean_of_means

SPACING = (0.8, 1.5, 3.0)
AFFINE = np.diag([*SPACING, 1.0])
masks = arrays(bool, st.tuples(*[st.integers(1, 6)] * 3))


def grid(shape: tuple[int, int, int]) -> Grid:
    return Grid(shape, AFFINE)


def ball(shape: tuple[int, int, int], centre: tuple[float, ...], radius: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    return ((index - np.array(centre)) ** 2).sum(-1) <= radius**2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equal_slow_twins(data: st.DataObject) -> None:
    a = data.draw(masks)
    b = data.draw(arrays(bool, a.shape))
    assert sorted(map(tuple, np.argwhere(surface(a)))) == slow_surface(a)
    np.testing.assert_allclose(dice(a, b), slow_dice(a, b))
    if a.any() and b.any():
        np.testing.assert_allclose(hd95_mm(a, b, AFFINE), slow_hd95(a, b, SPACING))
        tolerance = data.draw(st.sampled_from([0.0, 0.8, 1.1, 1.5, 3.0, 20.0]))
        np.testing.assert_allclose(nsd(a, b, AFFINE, tolerance), slow_nsd(a, b, SPACING, tolerance + 1e-6))


@pytest.mark.parametrize("seed", range(4))
def test_equals_monai(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (24, 20, 18)
    a = ball(shape, rng.uniform(5, 15, 3), 6) ^ (rng.random(shape) < 0.01)
    b = ball(shape, rng.uniform(5, 15, 3), 5) ^ (rng.random(shape) < 0.01)
    one, two = (torch.from_numpy(m)[None, None].float() for m in (a, b))
    scores = score_case(a.astype(np.uint8), b.astype(np.uint8), grid(shape), {"organ": (1,)})["organ"]
    wanted = compute_hausdorff_distance(one, two, include_background=True, percentile=95, spacing=list(SPACING))
    assert scores.hd95_mm == pytest.approx(float(wanted), rel=1e-5)
    assert scores.dice == pytest.approx(float(compute_dice(one, two)), rel=1e-5)
    for tolerance in (0.0, 1.0, 2.5):
        wanted = compute_surface_dice(one, two, [tolerance], include_background=True, spacing=list(SPACING))
        scores = score_case(a.astype(np.uint8), b.astype(np.uint8), grid(shape), {"organ": (1,)}, Measures(tolerance))[
            "organ"
        ]
        assert scores.nsd == pytest.approx(float(wanted), rel=1e-5)
    assert scores.volume_ml == pytest.approx(a.sum() * 3.6e-3) and scores.truth_ml == pytest.approx(b.sum() * 3.6e-3)


def test_distances_are_millimetres_on_any_grid() -> None:
    a, b = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    a[1, 1, 1] = b[4, 5, 1] = True
    turn = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    assert hd95_mm(a, b, AFFINE) == pytest.approx(math.hypot(3 * 0.8, 4 * 1.5))
    assert hd95_mm(a, b, turn @ AFFINE[:3, :3]) == pytest.approx(math.hypot(3 * 0.8, 4 * 1.5))


def test_an_organ_on_one_side_only_counts_and_is_named() -> None:
    truth, prediction = np.zeros((4, 5, 6), np.uint8), np.zeros((4, 5, 6), np.uint8)
    truth[1, 1, 1], prediction[2, 2, 2] = 1, 2
    scores = score_case(prediction, truth, grid((4, 5, 6)), {"a": (1,), "b": (2,), "c": (3,)})
    longest = math.sqrt((4 * 0.8) ** 2 + (5 * 1.5) ** 2 + (6 * 3.0) ** 2)
    assert [scores[n].outcome for n in "abc"] == ["missed", "false_alarm", "absent"]
    assert scores["a"].dice == scores["b"].dice == 0.0
    assert scores["a"].hd95_mm == scores["b"].hd95_mm == pytest.approx(longest) == diagonal_mm(grid((4, 5, 6)))
    assert scores["a"].nsd == scores["b"].nsd == 0.0
    assert all(map(math.isnan, (scores["c"].dice, scores["c"].hd95_mm, scores["c"].nsd)))


def test_regions_are_scored_as_unions() -> None:
    classes = Classes(("bg", "ed", "core"), {"whole": ("ed", "core"), "core": ("core",)})
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[:2], truth[2] = 1, 2
    prediction = truth.copy()
    prediction[:2] = 2
    scores = score_case(prediction, truth, grid((4, 4, 4)), classes.scored)
    assert scores["whole"].dice == 1.0 and scores["core"].dice == pytest.approx(2 * 16 / (48 + 16))


def test_different_grids_are_refused() -> None:
    with pytest.raises(DataError, match="different grids; got"):
        score_case(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), grid((2, 2, 3)), {"a": (1,)})


def test_means_skip_only_what_is_not_counted() -> None:
    nan = math.nan
    assert mean_of_means(np.array([[1.0, 0.0, nan], [nan, 0.5, nan]])) == pytest.approx((1 + 0.25) / 2)
    assert math.isnan(mean_of_means(np.array([[nan], [nan]])))


def test_bootstrap_is_reproducible_and_narrows() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, 400)
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std(ddof=1) / 20, rel=0.1)
    assert high - low < np.subtract(*bootstrap_interval(values[:40])[::-1])
    assert all(map(math.isnan, bootstrap_interval(np.array([0.5, math.nan]))))
