"""Paired tests, corrections and sample sizes: against enumerations, SciPy and published tables."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import levene, rankdata, ttest_rel, wilcoxon

from vol3d.statistics import (
    deviation_interval,
    holm,
    mean_interval,
    outlier_test,
    paired_t,
    pairs_needed,
    spread_p,
    wilcoxon_p,
)


def slow_wilcoxon(differences: np.ndarray, given: np.ndarray | None = None) -> float:
    """All ways to sign the ranks, each as likely as another where nothing differs."""
    ranks = rankdata(np.abs(differences)) if given is None else given
    seen = ranks[differences > 0].sum()
    sums = np.array([ranks[list(signs)].sum() for signs in product([False, True], repeat=len(ranks))])
    middle = ranks.sum() / 2
    return float((np.abs(sums - middle) >= abs(seen - middle) - 1e-9).mean())


@pytest.mark.parametrize("seed", range(5))
def test_wilcoxon_of_few_pairs_is_exact(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.4, 1, 8)
    assert wilcoxon_p(differences) == pytest.approx(slow_wilcoxon(differences))
    assert wilcoxon_p(np.append(differences, math.nan)) == wilcoxon_p(differences)
    tied = np.rint(2 * differences)
    ranks = rankdata(np.abs(tied))
    assert wilcoxon_p(tied) == pytest.approx(
        slow_wilcoxon(ranks[tied != 0] * np.sign(tied[tied != 0]), ranks[tied != 0])
    )


@pytest.mark.parametrize("count", [1, 5, 50, 60])
def test_wilcoxon_equals_scipy(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.2, 1, count)
    assert wilcoxon_p(differences) == pytest.approx(wilcoxon(differences).pvalue)


def test_wilcoxon_of_nothing_and_of_equal_pairs() -> None:
    assert math.isnan(wilcoxon_p(np.array([]))) and math.isnan(wilcoxon_p(np.array([math.nan])))
    assert wilcoxon_p(np.zeros(7)) == 1.0
    assert wilcoxon_p(np.array([1.0])) == 1.0
    shifted = np.full(40, 0.1)
    assert wilcoxon_p(shifted) < 1e-6 < 0.05 < wilcoxon_p(np.concatenate([shifted[:20], -shifted[:20]]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_monotone_and_never_below_the_p_values(values: list[float]) -> None:
    p = np.array(values)
    corrected = holm(p)
    assert (corrected >= p).all() and (corrected <= 1).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_holm_leaves_out_what_is_no_test() -> None:
    corrected = holm(np.array([0.02, math.nan, 0.01]))
    assert corrected[[0, 2]].tolist() == [0.02, 0.02] and math.isnan(corrected[1])


@pytest.mark.parametrize("count", [2, 3, 20])
def test_paired_t_equals_scipy(count: int) -> None:
    a, b = np.random.default_rng(count).normal(size=(2, count))
    wanted = ttest_rel(b, a)
    interval, p = paired_t(b - a)
    assert p == pytest.approx(wanted.pvalue)
    assert interval == pytest.approx(tuple(wanted.confidence_interval(0.95)))


def test_paired_t_without_spread_or_pairs() -> None:
    assert paired_t(np.full(3, 0.5)) == ((0.5, 0.5), 0.0) and paired_t(np.zeros(3)) == ((0.0, 0.0), 1.0)
    interval, p = paired_t(np.array([0.5]))
    assert all(map(math.isnan, (*interval, p)))


@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34)])
def test_pairs_needed(effect: float, pairs: int) -> None:
    assert pairs_needed(effect * 3, 3.0) == pairs  # Cohen's table of paired t-tests, 5 % and 80 %


def test_pairs_needed_at_the_ends() -> None:
    assert pairs_needed(0.0, 1.0) is None and pairs_needed(1e-6, 1.0) is None and pairs_needed(math.nan, 1.0) is None
    assert pairs_needed(1.0, 0.0) == 2 and pairs_needed(1.0, 1e-9) == 2


ROSNER = """-0.25 0.68 0.94 1.15 1.20 1.26 1.26 1.34 1.38 1.43 1.49 1.49 1.55 1.56 1.58 1.65 1.69 1.70 1.76 1.77 1.81
1.91 1.94 1.96 1.99 2.06 2.09 2.10 2.14 2.15 2.23 2.24 2.26 2.35 2.37 2.40 2.47 2.54 2.62 2.64 2.90 2.92 2.92 2.93
3.21 3.26 3.30 3.59 3.68 4.30 4.64 5.34 5.42 6.01"""


def test_outliers_of_the_published_example() -> None:
    """Rosner 1983: three outliers in 54 values, which no single step of Grubbs' test would find."""
    found = outlier_test(np.array([float(word) for word in ROSNER.split()]))
    assert [one.index for one in found] == [53, 52, 51, 50, 0]
    assert [one.is_outlier for one in found] == [True, True, True, False, False]
    assert [one.statistic for one in found[:3]] == pytest.approx([3.118, 2.943, 3.179], abs=1e-3)
    assert [one.critical for one in found[:3]] == pytest.approx([3.159, 3.151, 3.144], abs=1e-3)
    assert found[0].statistic < found[0].critical, "Grubbs' test alone would stop here"


def test_outliers_are_called_so_in_five_percent_of_normal_samples() -> None:
    rng = np.random.default_rng(0)
    called = [outlier_test(rng.normal(0.8, 0.01, 8))[0].is_outlier for _ in range(2000)]
    assert 0.035 < np.mean(called) < 0.065


@given(st.lists(st.floats(-1, 1), min_size=0, max_size=25), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_outliers_do_not_depend_on_the_unit(values: list[float], scale: float, shift: float) -> None:
    values = [round(value, 3) for value in values]
    one, other = outlier_test(np.array(values)), outlier_test(np.array(values) * scale + shift)
    assert len(one) == len(other) <= max(1, len(values) // 10)
    assert [a.statistic for a in one] == pytest.approx([b.statistic for b in other], rel=1e-6)


def test_outliers_of_nothing() -> None:
    assert outlier_test(np.array([])) == outlier_test(np.array([0.1, 0.9])) == outlier_test(np.full(9, 0.1)) == ()


def test_intervals_hold_what_they_say() -> None:
    rng = np.random.default_rng(1)
    draws = [rng.normal(0.8, 0.02, 6) for _ in range(1000)]
    for interval, truth in ((mean_interval, 0.8), (deviation_interval, 0.02)):
        held = [low <= truth <= high for low, high in map(interval, draws)]
        assert 0.93 < np.mean(held) < 0.97
        assert all(map(math.isnan, interval(np.array([0.8]))))


def test_spread_equals_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 9), rng.normal(3, 4, 7)
    assert spread_p(a, b) == pytest.approx(levene(a, b, center="median").pvalue) == spread_p(b, a)
    assert math.isnan(spread_p(a, b[:2])) and math.isnan(spread_p(np.ones(4), np.ones(5)))
