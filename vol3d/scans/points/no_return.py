"""Measurements without a return: programs that have no NaN write (0, 0, 0) for them, or a number that no scan reaches.

One point at the origin may be real, and so may be several in a cloud of rounded coordinates. Points without a return
are recognised by their number: far more of them share one place, or one outlying number, than real points do.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from vol3d.columns import whole_rows
from vol3d.notes import Note

_FEWEST = 4  # points at one place that are no chance
_CLEAR = 3  # times as many at the origin as at any other place
_SAMPLE = 50_000
# The sensor's place after a change of frame, where it is not the origin any more.
_SHARE, _CLEARLY = 0.01, 20
# Written instead of a coordinate: nines, powers of ten, and the ends of 16-bit depths (in mm and m) and of float32.
_NO_DATA = (9999, 99999, 999999, 1e4, 1e5, 1e6, 1e9, 1e10, 1e20, 1e30, 1e38, 32767, 32768, 65535, 65.535, 3.4028235e38)


def returned(xyz: np.ndarray) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Which of the finite points (N, 3) were measured (N,), and what the others are."""
    keep, notes = np.ones(len(xyz), bool), list[Note]()
    for of_kind in (_no_data, _at_origin, _at_one_place):
        points = xyz[keep] if notes else xyz
        lost, note = of_kind(points)
        if note is not None:
            keep[np.flatnonzero(keep)[lost]] = False
            notes.append(note)
    return keep, tuple(notes)


_Lost = tuple[np.ndarray, Note | None]


def _at_origin(xyz: np.ndarray) -> _Lost:
    lost = whole_rows(xyz == 0)
    count = int(lost.sum())
    if count < _FEWEST or count <= _CLEAR * _crowd(xyz[~lost])[0]:
        return lost, None
    text = "{left_out} of {points} points are at exactly (0, 0, 0), which means no return, and were left out"
    return lost, Note("no-return", text, value="zeros", numbers={"left_out": count, "points": len(xyz)})


def _at_one_place(xyz: np.ndarray) -> _Lost:
    sample = xyz[:: max(1, len(xyz) // _SAMPLE)]
    count, second, place = _crowd(sample)
    if count < max(_FEWEST, _SHARE * len(sample)) or not 0 < second * _CLEARLY < count:
        return np.zeros(len(xyz), bool), None
    lost = whole_rows(xyz == place)
    text = "{left_out} of {points} points are at exactly ({x:.4g}, {y:.4g}, {z:.4g}), which means no return where the "
    text += "sensor stood there, and were left out"
    numbers = {"left_out": int(lost.sum()), "points": len(xyz), **dict(zip("xyz", place.tolist(), strict=True))}
    return lost, Note("no-return", text, value="one place", numbers=numbers)


def _no_data(xyz: np.ndarray) -> _Lost:
    """Points with a coordinate at a number that stands for none, apart from all others by more than their extent."""
    lost, numbers = np.zeros(len(xyz), bool), list[float]()
    for axis, end in product(range(3), (np.min, np.max)):
        values = xyz[:, axis]
        number = float(end(values, where=~lost, initial=0))
        of_number = values == number
        rest = values[~lost & ~of_number]
        if not len(rest) or of_number.sum() < _FEWEST or not np.isclose(abs(number), _NO_DATA, 1e-6, 0).any():
            continue
        low, high = float(rest.min()), float(rest.max())
        if min(abs(number - low), abs(number - high)) > high - low:
            lost |= of_number
            numbers.append(number)
    if not numbers:
        return lost, None
    text = "{left_out} of {points} points have a coordinate of exactly {number:g}, which means no return, "
    text += "and were left out"
    facts = {"left_out": int(lost.sum()), "points": len(xyz), "number": numbers[0]}
    return lost, Note("no-return", text, value="no-data number", numbers=facts)


def _crowd(xyz: np.ndarray) -> tuple[int, int, np.ndarray]:
    """How many points the fullest place has, how many the next, and where it is: (3,)."""
    if not len(xyz):
        return 0, 0, np.zeros(3)
    bits = np.ascontiguousarray(xyz + 0.0).view(f"u{xyz.itemsize}").astype(np.uint64)  # -0.0 is 0.0
    keys = (bits * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)).sum(axis=1)
    order = np.argsort(keys)
    starts = np.flatnonzero(np.diff(keys[order], prepend=~keys[order[:1]]))
    counts = np.diff(np.append(starts, len(keys)))
    fullest = int(counts.argmax())
    second = int(np.delete(counts, fullest).max(initial=0))
    return int(counts[fullest]), second, xyz[order[starts[fullest]]]
