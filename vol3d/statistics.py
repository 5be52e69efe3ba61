"""Means over cases and how sure they are, and whether two measurements of the same cases differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST_EXACT = 50  # pairs up to which Wilcoxon's test is exact
_ROUNDING = 1e-12  # a deviation below this share of the values is that of their last digits


def bootstrap_interval(values: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean over cases, reproducible.

    Args:
        values: (cases,) or (cases, classes), NaN where not counted; then the mean over classes of the means over cases.

    Returns:
        (low, high), NaN with fewer than two cases.
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    table = table[np.isfinite(table).any(axis=1)]
    if len(table) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), draws)  # how often each case is drawn
    counted = np.isfinite(table)
    numbers = times @ counted.astype(np.float64)  # (draws, classes)
    means = np.divide(
        times @ np.where(counted, table, 0.0), numbers, out=np.full_like(numbers, np.nan), where=numbers > 0
    )
    classes = np.maximum((numbers > 0).sum(axis=1), 1)
    low, high = np.percentile(np.nansum(means, axis=1) / classes, [2.5, 97.5])
    return float(low), float(high)


def mean_of_means(table: np.ndarray) -> float:
    """(cases, classes) -> mean over classes of the mean over cases, NaN and classes of nothing but NaN left out."""
    counted = np.isfinite(table)
    columns = counted.any(axis=0)
    if not columns.any():
        return math.nan
    sums = np.where(counted, table, 0.0).sum(axis=0)
    return float((sums[columns] / counted.sum(axis=0)[columns]).mean())


def wilcoxon_p(differences: np.ndarray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test of paired differences (pairs,), NaN left out.

    1 where no pair differs, NaN without a pair. Up to 50 pairs it is exact, with ties too, for which SciPy would go
    through all permutations. Source: Wilcoxon 1945; Pratt 1959 for pairs without a difference, which are ranked.
    """
    from scipy.stats import rankdata, wilcoxon

    counted = differences[np.isfinite(differences)]
    if not len(counted):
        return math.nan
    if not counted.any():
        return 1.0
    if len(counted) > MOST_EXACT:
        return float(wilcoxon(counted, zero_method="pratt", method="asymptotic").pvalue)
    ranks = np.rint(2 * rankdata(np.abs(counted))).astype(np.int64)  # doubled, so that those of ties are whole
    signed = ranks[counted != 0]
    ways = np.zeros(int(signed.sum()) + 1)  # how many of the ways to sign the ranks have this sum of positive ones
    ways[0] = 1
    for rank in signed:
        ways[rank:] = ways[rank:] + ways[:-rank]
    seen = int(ranks[counted > 0].sum())
    tail = min(ways[: seen + 1].sum(), ways[seen:].sum())
    return min(1.0, float(2 * tail / ways.sum()))


def holm(p_values: np.ndarray) -> np.ndarray:
    """p values (tests,) corrected for their number by Holm's step-down rule; NaN are no tests.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p_values), np.nan)
    order = [int(test) for test in np.argsort(p_values) if np.isfinite(p_values[test])]
    highest = 0.0
    for rank, test in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * float(p_values[test])))
        corrected[test] = highest
    return corrected


def paired_t(differences: np.ndarray) -> tuple[tuple[float, float], float]:
    """95 % interval of the mean of paired differences (pairs,), and two-sided p, by Student's t.

    NaN with fewer than two pairs; without any spread the interval is the mean itself.
    """
    from scipy.stats import t

    count = len(differences)
    if count < 2:
        return (math.nan, math.nan), math.nan
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(count)
    if error == 0:
        return (mean, mean), 1.0 if mean == 0 else 0.0
    reach = float(t.ppf(0.975, count - 1)) * error
    return (mean - reach, mean + reach), 2 * float(t.sf(abs(mean) / error, count - 1))


def pairs_needed(mean: float, deviation: float, power: float = 0.8, most: int = 100_000) -> int | None:
    """The number of pairs from which on a paired t-test at 5 % would find a difference with probability `power`.

    Args:
        mean, deviation: of the paired differences.
        most: beyond it, None; and where there is no difference at all.
    """
    if mean == 0 or not math.isfinite(mean + deviation):
        return None
    if deviation == 0:
        return 2
    low, high = 1, 2  # too few, and perhaps enough; power grows with the number of pairs
    while _power(mean / deviation, high) < power:
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(mean / deviation, middle) >= power else (middle, high)
    return high


def _power(effect: float, count: int) -> float:
    """Probability that the paired t-test of `count` pairs finds a mean of `effect` deviations."""
    from scipy.stats import nct, t

    critical, shift = float(t.ppf(0.975, count - 1)), abs(effect) * math.sqrt(count)
    if shift > 100:
        return 1.0
    opposite = float(nct.cdf(-critical, count - 1, shift)) if shift < 5 else 0.0  # beyond, too small to be computed
    return float(nct.sf(critical, count - 1, shift)) + opposite


@dataclass(frozen=True)
class Suspect:
    """One step of the outlier test.

    Args:
        index: of the value that lies farthest from the mean of those still counted.
        statistic, critical: its distance in deviations, and from which distance on it is an outlier at 5 %.
        is_outlier: whether it, or one that a later step removes, is beyond its critical value.
    """

    index: int
    statistic: float
    critical: float
    is_outlier: bool


def outlier_test(values: np.ndarray) -> tuple[Suspect, ...]:
    """Generalised ESD test of (n,) values that are normal but for up to n / 10 outliers, at 5 %; two-sided.

    Below 20 values it is Grubbs' test of the one that lies farthest out. Empty with fewer than three values, or without
    any spread. Source: Rosner 1983, Technometrics 25; Grubbs 1969, Technometrics 11.
    """
    from scipy.stats import t

    left, steps = np.arange(len(values)), []
    for _ in range(max(1, len(values) // 10)):
        count, kept = len(left), values[left]
        deviation = float(kept.std(ddof=1)) if count > 2 else 0.0
        if deviation <= _ROUNDING * float(np.abs(kept).max(initial=0.0)):
            break
        distances = np.abs(kept - kept.mean()) / deviation
        far = int(distances.argmax())
        quantile = float(t.ppf(1 - 0.05 / (2 * count), count - 2))
        critical = (count - 1) * quantile / math.sqrt(count * (count - 2 + quantile**2))
        steps.append((int(left[far]), float(distances[far]), critical))
        left = np.delete(left, far)
    last = max((step for step, (_, distance, critical) in enumerate(steps) if distance > critical), default=-1)
    return tuple(Suspect(*found, is_outlier=step <= last) for step, found in enumerate(steps))


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of (n,) normal values, by Student's t; NaN with fewer than two."""
    return paired_t(np.asarray(values, dtype=np.float64))[0]


def deviation_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the standard deviation of (n,) normal values, by chi-squared; NaN with fewer than two."""
    from scipy.stats import chi2

    free = len(values) - 1
    if free < 1:
        return math.nan, math.nan
    squares = float(np.square(values - np.mean(values)).sum())
    low, high = (math.sqrt(squares / float(chi2.ppf(share, free))) for share in (0.975, 0.025))
    return low, high


def spread_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p that (n,) and (m,) values differ in spread: Brown and Forsythe's test, Levene's around the medians.

    NaN with fewer than three values on a side, or where each lies equally far from its side's median.
    Source: Brown and Forsythe 1974, JASA 69.
    """
    from scipy.stats import f_oneway

    sides = [np.abs(side - np.median(side)) for side in (a, b)]
    if min(map(len, sides)) < 3 or all(np.ptp(side) == 0 for side in sides):
        return math.nan
    return float(f_oneway(*sides).pvalue)
