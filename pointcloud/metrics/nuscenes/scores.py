"""The nuScenes detection benchmark: mean AP over distances, five errors of what was found, and NDS from both.

The rule is that of Caesar et al., nuScenes, CVPR 2020, section 3.1 and appendix, with the settings of its official
configuration `detection_cvpr_2019`. Class by class detections of all samples are taken from the best score down; each
takes the nearest annotated box that is still free. AP is the mean precision above 10 % at recalls above 10 %; the
errors are running means over the detections that took one within 2 m, read at the same recalls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pointcloud.metrics.nuscenes.boxes import CLASSES, NO_ATTRIBUTE, NuscenesDetections, NuscenesTruth
from pointcloud.metrics.nuscenes.matching import DISTANCES_M, match, rank
from pointcloud.metrics.nuscenes.tables import BoxTable, check_samples, detection_table, truth_table

ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")
RECALLS = np.linspace(0, 1, 101)
"""Where the curves of `NuscenesScores` are given."""
ERRORS_AT = DISTANCES_M.index(2.0)
_FIRST, _MIN_PRECISION, _MAP_WEIGHT = 11, 0.1, 5  # the first recall above 10 % is RECALLS[11]
# A cone has no front, and neither cones nor barriers move.
_UNDEFINED = {"traffic_cone": ("orient_err", "vel_err", "attr_err"), "barrier": ("vel_err", "attr_err")}


@dataclass(frozen=True, eq=False)
class NuscenesScores:
    """Scores of all classes (in the order of `CLASSES`) and what was matched to arrive at them.

    Args:
        ap: (10, 4) average precision at the distances 0.5, 1, 2, 4 m; 0 for a class without annotated objects.
        errors: (10, 5) in the order of `ERRORS`: m, 1 - IoU, rad, m/s, 1 - accuracy; NaN where a class has
            no such error.
        precision, confidence: (10, 4, 101) at `RECALLS`, 0 beyond the recall that is reached.
        error_curves: (10, 5, 101) at `RECALLS`.
        found, truth: the boxes that count; detections from the best down.
        matches: (N, 4) for each row of `found` the row of `truth` that it took at each distance, -1 for none.
        counted: (n,) labels of the classes that the means are over; all of the benchmark's, if it is to be NDS.
    """

    ap: np.ndarray
    errors: np.ndarray
    precision: np.ndarray
    confidence: np.ndarray
    error_curves: np.ndarray
    found: BoxTable
    truth: BoxTable
    matches: np.ndarray
    counted: np.ndarray

    @property
    def mean_ap(self) -> float:
        """Mean over classes and distances."""
        return float(self.ap[self.counted].mean())

    @property
    def mean_errors(self) -> np.ndarray:
        """(5,) mATE, mASE, mAOE, mAVE, mAAE: means over the classes that have the error; NaN where none has."""
        errors = self.errors[self.counted]
        known = np.isfinite(errors).any(axis=0)
        return np.where(known, np.nanmean(np.where(known, errors, 0), axis=0), math.nan)

    @property
    def nds(self) -> float:
        """nuScenes detection score (eq. 3): mean AP five times and 1 - error, not below 0, of each error."""
        errors = self.mean_errors
        kept = np.maximum(0, 1 - errors[np.isfinite(errors)])
        return float((_MAP_WEIGHT * self.mean_ap + kept.sum()) / (_MAP_WEIGHT + len(kept)))


def nuscenes_scores(
    found: Mapping[str, NuscenesDetections], truth: Mapping[str, NuscenesTruth], class_names: Sequence[str] = CLASSES
) -> NuscenesScores:
    """Scores of the detections of a split, token -> boxes; equal scores count in the order of `found`.

    Args:
        class_names: of the benchmark's classes those that the means are over.

    Raises:
        DataError: no sample, samples that are not the same in both, more than 500 boxes in one, values not finite.
    """
    check_samples(found, truth)
    detections, annotated = detection_table(found, truth), truth_table(found, truth)
    detections = detections.select(rank(detections))
    matches = np.full((len(detections.scores), len(DISTANCES_M)), -1)
    precision = np.zeros((len(CLASSES), len(DISTANCES_M), len(RECALLS)))
    confidence, curves = np.zeros_like(precision), np.ones((len(CLASSES), len(ERRORS), len(RECALLS)))
    for label, name in enumerate(CLASSES):
        mine, there = np.flatnonzero(detections.labels == label), np.flatnonzero(annotated.labels == label)
        boxes, others = detections.select(mine), annotated.select(there)
        taken = match(boxes, others)
        for column in range(len(DISTANCES_M)):
            curve = _curve(taken[:, column] >= 0, boxes.scores, len(there))
            precision[label, column], confidence[label, column] = curve
        hit = taken[:, ERRORS_AT] >= 0
        if hit.any():
            errors = _errors(boxes.select(hit), others.select(taken[hit, ERRORS_AT]), name)
            curves[label] = _error_curves(errors, boxes.scores[hit], confidence[label, ERRORS_AT])
        matches[mine] = np.where(taken >= 0, there[taken] if len(there) else -1, -1)
    errors = _mean_errors(curves, confidence[:, ERRORS_AT])
    counted, ap = np.array([CLASSES.index(name) for name in class_names], np.int64), _area(precision)
    return NuscenesScores(ap, errors, precision, confidence, curves, detections, annotated, matches, counted)


def ring_ap(scores: NuscenesScores, nearest_m: float, farthest_m: float) -> tuple[np.ndarray, np.ndarray]:
    """AP (10, 4) and number (10,) of the objects between two distances from the car; AP is NaN without any.

    The matches stay those of all distances: a detection counts where the object is that it took, or where it stands
    itself if it took none.
    """
    taken = np.append(scores.truth.distances, math.nan)[scores.matches]
    away = np.where(scores.matches >= 0, taken, scores.found.distances[:, None])
    inside = (away >= nearest_m) & (away < farthest_m)
    there = (scores.truth.distances >= nearest_m) & (scores.truth.distances < farthest_m)
    objects = np.bincount(scores.truth.labels[there], minlength=len(CLASSES))
    ap = np.full((len(CLASSES), len(DISTANCES_M)), math.nan)
    for label, column in np.ndindex(*ap.shape):
        rows = (scores.found.labels == label) & inside[:, column]
        if objects[label]:
            hit = scores.matches[rows, column] >= 0
            ap[label, column] = _area(_curve(hit, scores.found.scores[rows], objects[label])[0])
    return ap, objects


def _area(precision: np.ndarray) -> np.ndarray:
    """AP of curves (..., 101): the mean above 10 % precision at recalls above 10 %."""
    return np.maximum(precision[..., _FIRST:] - _MIN_PRECISION, 0).mean(axis=-1) / (1 - _MIN_PRECISION)


def _curve(hit: np.ndarray, scores: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and score (101,) at `RECALLS` of detections, best first; linear in between, as in the original."""
    if not hit.any():
        return np.zeros(len(RECALLS)), np.zeros(len(RECALLS))
    hits = np.cumsum(hit)
    recall = hits / objects
    precision = hits / np.arange(1, len(hit) + 1)
    return np.interp(RECALLS, recall, precision, right=0), np.interp(RECALLS, recall, scores, right=0)


def _errors(found: BoxTable, truth: BoxTable, name: str) -> np.ndarray:
    """(N, 5) errors of detections against the annotated boxes that they took; NaN where one is not annotated."""
    away = found.boxes - truth.boxes
    sizes, others = found.boxes[:, 3:6], truth.boxes[:, 3:6]
    common = np.minimum(sizes, others).prod(axis=1)
    scale = 1 - common / (sizes.prod(axis=1) + others.prod(axis=1) - common)
    period = math.pi if name == "barrier" else 2 * math.pi  # a barrier has two equal sides
    turn = np.abs((away[:, 6] + period / 2) % period - period / 2)
    attribute = (found.attributes != truth.attributes).astype(np.float64)
    attribute[truth.attributes == NO_ATTRIBUTE] = math.nan
    place, velocity = (np.sqrt((away[:, columns] ** 2).sum(axis=1)) for columns in (slice(0, 2), slice(7, 9)))
    return np.stack((place, scale, turn, velocity, attribute), axis=1)


def _error_curves(errors: np.ndarray, scores: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(5, 101) running means of the errors (N, 5) of hits, best first, at the scores that belong to `RECALLS`."""
    known = ~np.isnan(errors)
    counts = known.cumsum(axis=0)
    means = np.where(known, errors, 0).cumsum(axis=0) / np.maximum(counts, 1)
    means[:, ~known.any(axis=0)] = 1
    return np.stack([np.interp(confidence[::-1], scores[::-1], mean[::-1])[::-1] for mean in means.T])


def _mean_errors(curves: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(10, 5) means over the recalls above 10 % that are reached; 1 where none is."""
    errors = np.ones((len(CLASSES), len(ERRORS)))
    for label, name in enumerate(CLASSES):
        reached = np.flatnonzero(confidence[label])
        if len(reached) and reached[-1] >= _FIRST:
            errors[label] = curves[label, :, _FIRST : reached[-1] + 1].mean(axis=1)
        errors[label, [ERRORS.index(error) for error in _UNDEFINED.get(name, ())]] = math.nan
    return errors
