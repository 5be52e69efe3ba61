"""Sweeps taken together, one NumPy line after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slow_accumulate(keyframe: np.ndarray, sweeps: Sequence[tuple[np.ndarray, np.ndarray, float]], close_m: float):
    """Keyframe (N, 3 + C) and sweeps (points, motion, seconds) as one cloud (M, 4 + C) float32."""
    parts = [np.column_stack([keyframe, np.zeros(len(keyframe))])]
    for points, motion, seconds in sweeps:
        far = points[~(np.abs(points[:, :2]) < close_m).all(axis=1)]
        wide = np.column_stack([far[:, :3].astype(np.float64), np.ones(len(far))])
        xyz = (wide @ motion.T)[:, :3]
        parts.append(np.column_stack([xyz, far[:, 3:], np.full(len(far), seconds)]))
    return np.concatenate(parts).astype(np.float32)
