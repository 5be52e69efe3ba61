"""Sweeps of a moving scanner taken together in the frame of one of them, the keyframe.

A point of a sweep goes through the world: `p_key = key_from_sweep @ p_sweep`. What moves by itself is not put right;
the column of seconds lets a network see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True, eq=False)
class Sweep:
    """One turn of the scanner before the keyframe.

    Args:
        points: (N, 3 + C) x y z in metres in the scanner's frame at that time, and C further columns.
        key_from_sweep: (4, 4) rigid motion to the keyframe's frame.
        seconds: how long before the keyframe it was taken, positive.
    """

    points: np.ndarray
    key_from_sweep: np.ndarray
    seconds: float


def accumulate(keyframe: np.ndarray, sweeps: Sequence[Sweep], close_m: float = 1.0) -> np.ndarray:
    """Keyframe and sweeps as one cloud (M, 4 + C) float32, in order; the last column is seconds before the keyframe.

    Args:
        keyframe: (N, 3 + C); all its points are kept.
        sweeps: with the same columns.
        close_m: points of a sweep with |x| and |y| below this in its own frame are the car itself and left out.

    Raises:
        ValueError: a sweep has other columns.
    """
    end = len(keyframe)
    table = np.empty((end + sum(len(sweep.points) for sweep in sweeps), keyframe.shape[1] + 1), np.float32)
    table[:end, :-1], table[:end, -1] = keyframe, 0.0
    for sweep in sweeps:
        if sweep.points.shape[1:] != keyframe.shape[1:]:
            raise ValueError(f"sweeps must have {keyframe.shape[1]} columns, got {sweep.points.shape}")
        # float64, since the motion between two places in a city is a difference of numbers in the thousands
        motion = np.ascontiguousarray(sweep.key_from_sweep, np.float64)
        points, close = np.ascontiguousarray(sweep.points), sweep.points.dtype.type(close_m)
        end += _move(points, motion, np.float32(sweep.seconds), close, table[end:])
    return table[:end]


@njit(nogil=True, cache=True)
def _move(points, motion, seconds, close, out):  # type: ignore[no-untyped-def]
    """Writes the points that are not close, moved and timed, into the first rows of `out`; returns how many."""
    kept, columns = 0, points.shape[1]
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        if abs(x) < close and abs(y) < close:
            continue
        for axis in range(3):
            turned = motion[axis, 0] * x + motion[axis, 1] * y + motion[axis, 2] * z
            out[kept, axis] = turned + motion[axis, 3]
        for column in range(3, columns):
            out[kept, column] = points[i, column]
        out[kept, columns] = seconds
        kept += 1
    return kept
