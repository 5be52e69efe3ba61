"""Argoverse 2's detection benchmark: mean AP over distances, three errors of what was found, and CDS from both.

The rules are those of Wilson et al., "Argoverse 2", NeurIPS 2021 Datasets and Benchmarks, section 4.1, as the public
evaluation applies them. The region of interest, which needs the map, is not looked at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointcloud.metrics.argoverse2.matching import DISTANCES_M, SweepMatches

RECALLS = np.linspace(0, 1, 101)
"""Where the curves of `Argoverse2Scores` are given."""
ERRORS_AT = DISTANCES_M.index(2.0)
WORST = np.array([2.0, 1.0, np.pi])
"""Errors of a class of which nothing was found: metres, 1 - IoU, radians. They also bring the errors to one scale."""


@dataclass(frozen=True, eq=False)
class Argoverse2Scores:
    """Scores of all classes.

    Args:
        ap: (C, 4) average precision at `DISTANCES_M`; 0 for a class without annotated objects.
        errors: (C, 3) means of ATE in metres, ASE, AOE in radians over the objects found within 2 m.
        precision: (C, 4, 101) at `RECALLS`.
        objects, detections: (C,) how many count.
    """

    ap: np.ndarray
    errors: np.ndarray
    precision: np.ndarray
    objects: np.ndarray
    detections: np.ndarray

    @property
    def class_cds(self) -> np.ndarray:
        """(C,) composite detection score: mean AP times the mean of 1 - error, the errors brought to one scale."""
        return self.ap.mean(axis=1) * (1 - self.errors / WORST).mean(axis=1)

    @property
    def cds(self) -> float:
        """Mean over the classes, those that are annotated nowhere among them."""
        return float(self.class_cds.mean())

    @property
    def mean_ap(self) -> float:
        """Mean over classes and distances."""
        return float(self.ap.mean())

    @property
    def mean_errors(self) -> np.ndarray:
        """(3,) means over the classes."""
        return self.errors.mean(axis=0)


def argoverse2_scores(sweeps: Sequence[SweepMatches], classes: int) -> Argoverse2Scores:
    """Scores of a split; detections of equal score count in the order of the sweeps.

    Args:
        classes: number of classes that the mean is taken over.
    """
    labels, scores, truth_labels = (
        np.concatenate([np.zeros(0), *(getattr(sweep, name) for sweep in sweeps)])
        for name in ("labels", "scores", "truth_labels")
    )
    hits = np.concatenate([np.zeros((0, len(DISTANCES_M)), np.bool_), *(_hits(sweep) for sweep in sweeps)])
    errors = np.concatenate([np.zeros((0, len(WORST))), *(sweep.errors for sweep in sweeps)])
    objects, detections = (np.bincount(column.astype(np.int64), minlength=classes) for column in (truth_labels, labels))

    precision = np.zeros((classes, len(DISTANCES_M), len(RECALLS)))
    means = np.tile(WORST, (classes, 1))
    for label in np.flatnonzero((objects > 0) & (detections > 0)):
        mine = np.flatnonzero(labels == label)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        for column in range(len(DISTANCES_M)):
            precision[label, column] = _curve(hits[mine, column], int(objects[label]))
        found = mine[hits[mine, ERRORS_AT]]
        if len(found):
            means[label] = errors[found].mean(axis=0)
    return Argoverse2Scores(precision.mean(axis=2), means, precision, objects, detections)


def _hits(sweep: SweepMatches) -> np.ndarray:
    return np.stack([sweep.hits(distance) for distance in DISTANCES_M], axis=1)


def _curve(hits: np.ndarray, objects: int) -> np.ndarray:
    """(101,) precision at `RECALLS` of hits (n,), best first: the best at this recall or a higher one."""
    found = hits.cumsum()
    precision = found / (np.arange(1, len(hits) + 1) + sys.float_info.epsilon)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.interp(RECALLS, found / objects, best, right=0)
