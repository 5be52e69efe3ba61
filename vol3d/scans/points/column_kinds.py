"""What shows that a column without a name holds coordinates, intensities, rings, times, colours or normals.

Many columns of small whole numbers can be anything: labels, rings, intensities, a channel of colours. What is taken
for one of them must show a trait that the others lack; otherwise its name must be asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vol3d.scans.points.raw import COORDINATES

COLOURS, NORMALS = ("red", "green", "blue"), ("nx", "ny", "nz")
_ENOUGH = 20  # rows in which traits show
_HIGHEST_RING, _LONGEST_SECONDS = 255, 10.0
_FEW_VALUES = 64  # that labels and rings have
_ONE_RING = 0.9  # of the variance of elevation lies between the rings of a scanner that turns
_CHANNELS = 6  # times as many values as another channel of the same colours has

# Columns (N, c) of a kind among all of the rows (N, k) -> what contradicts it, empty if nothing does.
Fault = Callable[[np.ndarray, np.ndarray], str]


def is_counter(column: np.ndarray) -> bool:
    """Whether a column (N,) has each whole number between its ends once, or whole numbers that only grow."""
    if len(column) < _ENOUGH or not _is_whole(column):
        return False
    if (np.diff(column) > 0).all():
        return True
    return bool(column.max() - column.min() == len(column) - 1 and len(np.unique(column)) == len(column))


def _grows(column: np.ndarray) -> bool:
    """Whether a column only grows, and not in few steps."""
    steps = np.diff(column)
    return len(column) >= _ENOUGH and bool((steps >= 0).all() and (steps > 0).mean() > 0.01)


def _is_whole(values: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):  # of some NaN
        return bool((values == np.floor(values)).all())


def _coordinates(values: np.ndarray, rows: np.ndarray) -> str:
    bare = rows.shape[1] == 3
    if bare or len(rows) < _ENOUGH:
        return ""
    if not _is_whole(values[:, 1]) and not _is_whole(values[:, 2]) and _is_whole(values[:, 0]):
        return "are no coordinates: the first are whole numbers and the others are not"
    shown = rows.shape[1] == 6 and not (_colours(rows[:, 3:], rows) and _normals(rows[:, 3:], rows))
    return (
        "" if shown or not _grows(values[:, 0]) else "are no coordinates: the first only grow, as indices and times do"
    )


def _intensity(values: np.ndarray, rows: np.ndarray) -> str:
    if values.min() < 0 or values.max() > 65535:
        return "is no intensity"
    if _grows(values[:, 0]):
        return "is no intensity: it only grows, as indices and times do"
    few = len(rows) >= _ENOUGH and _is_whole(values) and len(np.unique(values)) <= _FEW_VALUES
    return "may be intensity, class or ring" if few and values.any() else ""


def can_be_ring(values: np.ndarray) -> bool:
    """Whether all values are small whole numbers."""
    return bool(values.min() >= 0 and values.max() <= _HIGHEST_RING and _is_whole(values))


def _ring(values: np.ndarray, rows: np.ndarray) -> str:
    if not can_be_ring(values):
        return "is no ring"
    distances = np.hypot(rows[:, 0], rows[:, 1])
    far = distances > np.percentile(distances, 10)  # near the scanner, rings are not apart
    ring, elevation = values[far, 0].astype(np.int64), np.arctan2(rows[far, 2], distances[far])
    if not len(ring):
        return "may be ring or class"
    means = np.bincount(ring, elevation) / np.maximum(np.bincount(ring), 1)
    within = float(((elevation - means[ring]) ** 2).mean())
    return "" if within <= (1 - _ONE_RING) * elevation.var() else "may be ring or class"


def _time(values: np.ndarray, rows: np.ndarray) -> str:
    # Several whole numbers are rings; one sweep's lag is 0 throughout.
    lags = not _is_whole(values) or not values.any()
    if not lags or np.abs(values).max() > _LONGEST_SECONDS:
        return "is no age in seconds"
    few = len(np.unique(values)) <= max(1, len(values) // 20)
    return "" if few or _grows(values[:, 0]) or len(rows) < _ENOUGH else "may be an age in seconds or any share"


def _colours(values: np.ndarray, rows: np.ndarray) -> str:
    if values.min() < 0 or values.max() > 255 or not (values.max() <= 1 or _is_whole(values)):
        return "are no colours"
    if values.max() <= 1 and _unit_lengths(values):
        return "are normals rather than colours"
    counts = [len(np.unique(channel)) for channel in values.T if len(np.unique(channel)) > 1]
    uneven = len(rows) >= _ENOUGH and counts and max(counts) > _CHANNELS * min(counts)
    return "are no colours: one has far fewer values than another" if uneven else ""


def _colours_behind(values: np.ndarray, rows: np.ndarray) -> str:
    """Colours behind an intensity, which must not be colours with a label behind them."""
    if rows.shape[1] == 7 and not _colours(rows[:, 3:6], rows):
        return "may be colours, or those before them"
    return _colours(values, rows)


def _normals(values: np.ndarray, rows: np.ndarray) -> str:
    return "" if _unit_lengths(values) and values.min() < 0 else "are no normals"


def _unit_lengths(values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((np.abs(np.linalg.norm(values, axis=1) - 1) < 0.01).mean() > 0.9)


KINDS: tuple[tuple[tuple[str, ...], Fault], ...] = (
    (COORDINATES, _coordinates),
    (("intensity",), _intensity),
    (("ring",), _ring),
    (("time",), _time),
    (COLOURS, _colours_behind),
    (NORMALS, _normals),
)
