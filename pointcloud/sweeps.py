"""Sweeps of a moving scanner taken together in the frame of one of them, the keyframe.

A point of a sweep goes through the world: `p_key = key_from_sweep @ p_sweep`. What moves by itself is not put right;
the column of seconds lets a network see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
    """
    parts = [_timed(keyframe[:, :3], keyframe, 0.0)]
    for sweep in sweeps:
        points = sweep.points[~(np.abs(sweep.points[:, :2]) < close_m).all(axis=1)]
        # float64, since the motion between two places in a city is a difference of numbers in the thousands
        motion = np.asarray(sweep.key_from_sweep, np.float64)
        xyz = points[:, :3].astype(np.float64) @ motion[:3, :3].T + motion[:3, 3]
        parts.append(_timed(xyz, points, sweep.seconds))
    return np.concatenate(parts)


def _timed(xyz: np.ndarray, points: np.ndarray, seconds: float) -> np.ndarray:
    table = np.empty((len(points), points.shape[1] + 1), np.float32)
    table[:, :3], table[:, 3:-1], table[:, -1] = xyz, points[:, 3:], seconds
    return table
