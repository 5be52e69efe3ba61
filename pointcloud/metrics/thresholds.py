"""Precision, recall and F1 by the score from which on detections count: which score to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointcloud.metrics.confusion import confusion, confusion_rows
from pointcloud.metrics.matches import SceneMatches, hits, number_truths

SCORES = np.round(np.linspace(0, 1, 21), 2)
"""Where precision, recall and F1 are listed."""
ALL = "all classes"


class Ranked(NamedTuple):
    """Detections of one class or of all, best first.

    Args:
        scores: (D,) falling.
        hit: (D,) which found an object.
        objects: how many there are to be found.
    """

    scores: np.ndarray
    hit: np.ndarray
    objects: int

    def at(self, score: float) -> tuple[float, float, float]:
        """Precision, recall and F1 of the detections with this score or a higher one; NaN for 0 of 0."""
        found = int((self.scores >= score).sum())
        right = int(self.hit[:found].sum())
        return _share(right, found), _share(right, self.objects), _share(2 * right, found + self.objects)

    def best(self) -> float:
        """The score from which on F1 is highest, of equals the highest; NaN without a hit."""
        if not self.hit.any():
            return math.nan
        f1 = 2 * np.cumsum(self.hit) / (np.arange(1, len(self.hit) + 1) + self.objects)
        f1[:-1][self.scores[1:] == self.scores[:-1]] = 0  # equal scores count together
        return float(self.scores[int(f1.argmax())])


def ranked(scenes: Sequence[SceneMatches], classes: int, iou: float) -> list[Ranked]:
    """Of each class, and at last of all together."""
    scores, labels = (np.concatenate([getattr(scene, key) for scene in scenes]) for key in ("scores", "labels"))
    truths = np.concatenate([scene.truth_labels for scene in scenes])
    order = np.argsort(-scores, kind="stable")
    hit = hits(np.concatenate([scene.ious for scene in scenes])[order], number_truths(scenes)[order], iou)
    scores, labels = scores[order], labels[order]
    of_class = [labels == label for label in range(classes)]
    each = [Ranked(scores[mine], hit[mine], int((truths == label).sum())) for label, mine in enumerate(of_class)]
    return [*each, Ranked(scores, hit, len(truths))]


def score_helpers(
    scenes: Mapping[str, SceneMatches],
    near: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    iou: float,
    threshold: float,
) -> dict[str, Any]:
    """What a report shows beside the benchmark's scores, ready for JSON.

    Args:
        scenes, near, iou, threshold: as of `confusion`.

    Returns:
        `score_thresholds`: of each class and of all the score of the highest F1, with precision, recall and F1 there;
        `by_score`: `scores`, and of each class precision, recall and F1 at them; `confusion`: true class -> detected
        class -> objects, at the threshold.
    """
    listed = ranked(list(scenes.values()), len(class_names), iou)
    curves: dict[str, Any] = {"scores": SCORES.tolist(), "precision": {}, "recall": {}, "f1": {}}
    best = {}
    for name, one in zip((*class_names, ALL), listed, strict=True):
        values = np.round([one.at(score) for score in SCORES], 4)
        for column, key in enumerate(("precision", "recall", "f1")):
            curves[key][name] = values[:, column].tolist()
        best[name] = _at_best(one)
    table = confusion(scenes, near, len(class_names), iou, threshold)
    return {"score_thresholds": best, "by_score": curves, "confusion": confusion_rows(table, class_names)}


def _at_best(one: Ranked) -> dict[str, float]:
    score = one.best()
    precision, recall, f1 = one.at(score)
    return {"from_score": score, "precision": precision, "recall": recall, "f1": f1, "ground_truths": one.objects}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
