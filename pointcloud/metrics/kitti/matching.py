"""Which detections find an object, at one score and at many: the official kit's assignment, compiled.

Object after object, in the order of the file, takes a detection that overlaps it enough and is still free. To choose
the scores at which precision is read, it takes the one with the best score; to count, the one that overlaps most, an
ignored one only if there is no other (`computeStatistics` of the kit).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

FREE = -1


class Pairs(NamedTuple):
    """All images one after another for one class, metric and difficulty.

    Args:
        truth_states, found_states: (G,) and (D,) of `kitti_rules`.
        truth_starts, found_starts: (F + 1,) where each image begins.
        scores: (D,).
        overlaps: (sum of D_f * G_f,) IoU, image after image, detection after detection; starts: (F + 1,).
        excused: (D,) bool: no false alarm if it finds nothing (in a region that was not labelled, or beyond the range).
        similarity: as `overlaps`: (1 + cos of the difference of the headings) / 2.
        min_overlap: an IoU must be above this.
    """

    truth_states: np.ndarray
    found_states: np.ndarray
    truth_starts: np.ndarray
    found_starts: np.ndarray
    scores: np.ndarray
    overlaps: np.ndarray
    starts: np.ndarray
    excused: np.ndarray
    similarity: np.ndarray
    min_overlap: float


def scores_of_hits(pairs: Pairs) -> np.ndarray:
    """Scores of the detections that find an object that counts, all of them taking part; in no order."""
    taken = np.full(len(pairs.scores), FREE)
    _assign(*pairs[:7], pairs.min_overlap, -np.inf, False, taken)
    return pairs.scores[_hits(pairs, taken)]


def count(pairs: Pairs, threshold: float) -> tuple[int, int, float]:
    """Hits, false alarms and the sum of the hits' similarities of the detections with at least this score."""
    taken = assign(pairs, threshold)
    hit = _hits(pairs, taken)
    alarm = (taken == FREE) & (pairs.found_states == 0) & (pairs.scores >= threshold) & ~pairs.excused
    return int(hit.sum()), int(alarm.sum()), float(pairs.similarity[_cells(pairs, hit, taken)].sum())


def assign(pairs: Pairs, threshold: float) -> np.ndarray:
    """(D,) the object that each detection with at least this score is taken by, counted through; -1 for none."""
    taken = np.full(len(pairs.scores), FREE)
    _assign(*pairs[:7], pairs.min_overlap, threshold, True, taken)
    return taken


def _hits(pairs: Pairs, taken: np.ndarray) -> np.ndarray:
    hit = (taken != FREE) & (pairs.found_states == 0)
    hit[hit] = pairs.truth_states[taken[hit]] == 0
    return hit


def _cells(pairs: Pairs, rows: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Where detection and object of each hit stand in `overlaps`."""
    found = np.flatnonzero(rows)
    frame = np.searchsorted(pairs.found_starts, found, side="right") - 1
    width = np.diff(pairs.truth_starts)[frame]
    column = taken[found] - pairs.truth_starts[frame]
    return pairs.starts[frame] + (found - pairs.found_starts[frame]) * width + column


@njit(nogil=True, cache=True)
def _assign(
    truth_states,
    found_states,
    truth_starts,
    found_starts,
    scores,
    overlaps,
    starts,
    min_overlap,
    threshold,
    counting,
    taken,
):
    for frame in range(len(starts) - 1):
        first, last = found_starts[frame], found_starts[frame + 1]
        width = truth_starts[frame + 1] - truth_starts[frame]
        for column in range(width):
            truth = truth_starts[frame] + column
            if truth_states[truth] < 0:
                continue
            choice, best, ignored = -1, 0.0, False
            for found in range(first, last):
                if found_states[found] < 0 or taken[found] >= 0 or scores[found] < threshold:
                    continue
                overlap = overlaps[starts[frame] + (found - first) * width + column]
                if overlap <= min_overlap:
                    continue
                if not counting:
                    if choice < 0 or scores[found] > scores[choice]:
                        choice = found
                elif found_states[found] == 0:
                    if overlap > best or ignored:
                        choice, best, ignored = found, overlap, False
                elif choice < 0:
                    choice, ignored = found, True
            if choice >= 0:
                taken[choice] = truth
