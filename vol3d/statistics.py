"""Means over cases and how sure they are, and whether two measurements of the same cases differ."""

from __future__ import annotations

import math

import numpy as np


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
