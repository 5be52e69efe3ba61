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
        truth_states, found_states: (G,) and (D,) of `kitti.rules`.
        scores: (D,).
        excused: (D,) bool: no false alarm if it finds nothing (in a region that was not labelled, or beyond the range).
        truth, found: (P,) which object and which detection overlap enough, neither of another class; objects in their
            order, and detections in theirs for each object.
        overlap: (P,) IoU.
        similarity: (P,) (1 + cos of the difference of the headings) / 2.
    """

    truth_states: np.ndarray
    found_states: np.ndarray
    scores: np.ndarray
    excused: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    overlap: np.ndarray
    similarity: np.ndarray


def scores_of_hits(pairs: Pairs) -> np.ndarray:
    """Scores of the detections that find an object that counts, all of them taking part; in no order."""
    taken = _taken(pairs, -np.inf, counting=False)
    hit = (taken != FREE) & (pairs.found_states == 0)
    hit[hit] = pairs.truth_states[pairs.truth[taken[hit]]] == 0
    return pairs.scores[hit]


def count(pairs: Pairs, threshold: float) -> tuple[int, int, float]:
    """Hits, false alarms and the sum of the hits' similarities of the detections with at least this score."""
    taken, similar = _taken(pairs, threshold, counting=True), np.empty(len(pairs.scores))
    states = (pairs.truth_states, pairs.found_states, pairs.scores, pairs.excused)
    hits, alarms = _count(*states, pairs.truth, pairs.similarity, threshold, taken, similar)
    return hits, alarms, float(similar[:hits].sum())


def assign(pairs: Pairs, threshold: float) -> np.ndarray:
    """(D,) the object that each detection with at least this score is taken by, counted through; -1 for none."""
    taken = _taken(pairs, threshold, counting=True)
    return np.append(pairs.truth, FREE)[taken]


def _taken(pairs: Pairs, threshold: float, counting: bool) -> np.ndarray:
    """(D,) the pair by which each detection is taken; -1 for none."""
    taken = np.full(len(pairs.scores), FREE)
    _assign(pairs.truth, pairs.found, pairs.overlap, pairs.found_states, pairs.scores, threshold, counting, taken)
    return taken


@njit(nogil=True, cache=True)
def _assign(truths, founds, overlaps, found_states, scores, threshold, counting, taken):
    pair = 0
    while pair < len(truths):
        truth, choice, best, ignored = truths[pair], -1, 0.0, False
        while pair < len(truths) and truths[pair] == truth:
            found, overlap = founds[pair], overlaps[pair]
            if taken[found] < 0 and scores[found] >= threshold:
                if not counting:
                    if choice < 0 or scores[found] > scores[founds[choice]]:
                        choice = pair
                elif found_states[found] == 0:
                    if overlap > best or ignored:
                        choice, best, ignored = pair, overlap, False
                elif choice < 0:
                    choice, ignored = pair, True
            pair += 1
        if choice >= 0:
            taken[founds[choice]] = choice


@njit(nogil=True, cache=True)
def _count(truth_states, found_states, scores, excused, truths, similarity, threshold, taken, similar):
    """Hits and false alarms; fills `similar` with the hits' similarities, in the order of the detections."""
    hits, alarms = 0, 0
    for found in range(len(scores)):
        if found_states[found] != 0:
            continue
        if taken[found] < 0:
            alarms += scores[found] >= threshold and not excused[found]
        elif truth_states[truths[taken[found]]] == 0:
            similar[hits] = similarity[taken[found]]
            hits += 1
    return hits, alarms
