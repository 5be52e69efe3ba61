"""Paired tests, corrections and sample sizes: against enumerations, SciPy and published tables."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, ttest_rel, wilcoxon

from vol3d.statistics import holm, paired_t, pairs_needed, wilcoxon_p


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
