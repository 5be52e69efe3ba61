"""One sweep by Argoverse 2's rules: which boxes count, and which detection found which object.

Class by class, the 100 best detections and the objects with a point inside count, if they are nearer than 150 m. Each
detection is compared with the object whose centre is nearest in space; of several with the same object only the best
can match it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
RANGE_M, MAX_FOUND = 150.0, 100


class Cuboids(NamedTuple):
    """Boxes of one sweep in the frame of the vehicle.

    Args:
        boxes: (n, 7) float64.
        labels: (n,) int64.
        values: (n,) scores of detections, numbers of points inside annotated boxes.
    """

    boxes: np.ndarray
    labels: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class SweepMatches:
    """The boxes of one sweep that count, class after class.

    Args:
        found_rows, truth_rows: (n,) and (m,) int64 rows of the boxes in the tables that were compared.
        labels, scores: (n,) of the detections, best first within a class.
        truth_labels: (m,) of the annotated boxes.
        truths: (n,) int64 place in `truth_rows` of the object that the detection may find, -1 for none.
        distances_m: (n,) between their centres, infinity for none.
        errors: (n, 3) distance in metres, 1 - IoU of the aligned boxes, angle in radians; NaN for none.
        found_range_m, truth_range_m: (n,) and (m,) distances from the vehicle.
    """

    found_rows: np.ndarray
    truth_rows: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    truth_labels: np.ndarray
    truths: np.ndarray
    distances_m: np.ndarray
    errors: np.ndarray
    found_range_m: np.ndarray
    truth_range_m: np.ndarray

    def hits(self, distance_m: float) -> np.ndarray:
        """(n,) which detections found an object nearer than this."""
        return self.distances_m < distance_m

    def within(self, nearest_m: float, farthest_m: float) -> SweepMatches:
        """What lies between two distances from the vehicle; a detection counts where the object is that it found."""
        objects = np.append(self.truth_range_m, np.nan)[self.truths]
        away = np.where(self.hits(max(DISTANCES_M)), objects, self.found_range_m)
        inside = (away >= nearest_m) & (away < farthest_m)
        there = (self.truth_range_m >= nearest_m) & (self.truth_range_m < farthest_m)
        chosen = ("found_rows", "labels", "scores", "truths", "distances_m", "errors", "found_range_m")
        parts = {name: getattr(self, name)[inside] for name in chosen}
        parts |= {name: getattr(self, name)[there] for name in ("truth_rows", "truth_labels", "truth_range_m")}
        places = np.append(np.where(there, np.cumsum(there) - 1, -1), -1)
        return replace(self, **parts | {"truths": places[parts["truths"]]})


def match_sweep(found: Cuboids, truth: Cuboids) -> SweepMatches:
    """What the detections of a sweep found."""
    found_range, truth_range = (np.linalg.norm(table.boxes[:, :3], axis=1) for table in (found, truth))
    truth_rows = np.flatnonzero((truth_range < RANGE_M) & (truth.values > 0))
    near = found_range < RANGE_M
    rows, truths = [], []
    for label in np.unique(found.labels[near]):
        mine = np.flatnonzero(near & (found.labels == label))
        mine = mine[np.argsort(-found.values[mine], kind="stable")[:MAX_FOUND]]
        there = np.flatnonzero(truth.labels[truth_rows] == label)
        rows.append(mine)
        truths.append(_first_nearest(found.boxes[mine, :3], truth.boxes[truth_rows[there], :3], there))
    found_rows, chosen = (np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (rows, truths))

    errors = np.full((len(found_rows), 3), np.nan)
    paired = chosen >= 0
    errors[paired] = _errors(found.boxes[found_rows[paired]], truth.boxes[truth_rows[chosen[paired]]])
    return SweepMatches(
        found_rows=found_rows,
        truth_rows=truth_rows,
        labels=found.labels[found_rows],
        scores=found.values[found_rows],
        truth_labels=truth.labels[truth_rows],
        truths=chosen,
        distances_m=np.where(paired, errors[:, 0], np.inf),
        errors=errors,
        found_range_m=found_range[found_rows],
        truth_range_m=truth_range[truth_rows],
    )


def _first_nearest(found: np.ndarray, truth: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n,) place of the nearest object of each detection (n, 3), best first; -1 where a better one has it."""
    result = np.full(len(found), -1, np.int64)
    if len(truth):
        away = np.linalg.norm(found[:, None] - truth[None], axis=2)
        objects, first = np.unique(away.argmin(axis=1), return_index=True)
        result[first] = places[objects]
    return result


def _errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, 3) errors of boxes (n, 7) against the objects that they found."""
    common = np.minimum(found[:, 3:6], truth[:, 3:6]).prod(axis=1)
    either = np.maximum(found[:, 3:6], truth[:, 3:6]).prod(axis=1)
    turn = np.abs((found[:, 6] - truth[:, 6] + np.pi) % (2 * np.pi) - np.pi)
    place = np.linalg.norm(found[:, :3] - truth[:, :3], axis=1)
    return np.stack((place, 1 - common / either, turn), axis=1)
