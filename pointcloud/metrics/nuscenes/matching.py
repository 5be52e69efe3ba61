"""Which annotated box each detection takes: the nearest free one of its class and sample, best score first."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pointcloud.metrics.nuscenes.tables import BoxTable

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)


def rank(found: BoxTable) -> np.ndarray:
    """(N,) order of the detections by falling score; of equal scores the later one comes first, as in the original."""
    return np.lexsort((np.arange(len(found.scores)), found.scores))[::-1]


def match(found: BoxTable, truth: BoxTable) -> np.ndarray:
    """(N, 4) row of `truth` that each detection takes if it may be as far as `DISTANCES_M`; -1 for none.

    Args:
        found: detections of one class, best first.
        truth: annotated boxes of the same class, sample after sample.

    The distance between centres, seen from above, must be below the limit (nuScenes, CVPR 2020, section 3).
    """
    samples = np.arange(int(found.samples.max(initial=-1)) + 2)
    starts = np.searchsorted(truth.samples, samples)
    taken = np.full((len(found.samples), len(DISTANCES_M)), -1)
    for column, limit in enumerate(DISTANCES_M):
        places, others = np.ascontiguousarray(found.boxes[:, :2]), np.ascontiguousarray(truth.boxes[:, :2])
        _take(places, found.samples, others, starts, limit, taken[:, column])
    return taken


@njit(nogil=True, cache=True)
def _take(places, samples, others, starts, limit, out):
    free = np.ones(len(others), np.bool_)
    for row in range(len(places)):
        nearest, best = -1, math.inf
        for other in range(starts[samples[row]], starts[samples[row] + 1]):
            if free[other]:
                x, y = places[row, 0] - others[other, 0], places[row, 1] - others[other, 1]
                distance = math.sqrt(x * x + y * y)
                if distance < best:
                    nearest, best = other, distance
        if best < limit:
            free[nearest] = False
            out[row] = nearest
