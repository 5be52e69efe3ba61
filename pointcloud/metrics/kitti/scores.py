"""KITTI's object benchmark: AP in the image, from above and in space, for three classes and difficulties.

Precision is read at up to 41 scores, at which recall rises in equal steps, and is the best one at this or a higher
recall (`eval_class` of the official kit; Geiger et al., CVPR 2012). R40 is its mean at the recalls 1/40 to 1, as the
official ranking has it since 2019 (Simonelli et al., ICCV 2019), R11 at 0, 0.1 to 1, as before. AOS is the same mean of
precision times the similarity of the headings in the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.metrics.kitti.matching import Pairs, count, scores_of_hits
from pointcloud.metrics.kitti.rules import (
    CLASSES,
    COUNTED,
    DIFFICULTIES,
    LOOSE_OVERLAP,
    METRICS,
    Frame,
    compare,
)
from pointcloud.metrics.kitti.split import Ring, Split
from vol3d.errors import DataError

RECALLS = np.linspace(0, 1, 41)
"""Where the curves of `KittiScores` are given."""


@dataclass(frozen=True, eq=False)
class KittiScores:
    """Scores by metric (bbox, bev, 3d), class (Car, Pedestrian, Cyclist) and difficulty (easy, moderate, hard).

    Args:
        precision: (3, 3, 3, 41) at `RECALLS`, 0 beyond the recall that is reached.
        loose: (3, 3, 3, 41) the same with `LOOSE_OVERLAP`; NaN in the image, where the field has no looser one.
        orientation: (3, 3, 41) by class and difficulty, the same of precision times similarity in the image.
        objects: (3, 3) by class and difficulty: annotated objects that count.
    """

    precision: np.ndarray
    loose: np.ndarray
    orientation: np.ndarray
    objects: np.ndarray

    @property
    def ap_r40(self) -> np.ndarray:
        """(3, 3, 3) in 0 to 1; NaN where nothing is annotated."""
        return np.where(self.objects > 0, self.precision[..., 1:].mean(axis=-1), math.nan)

    @property
    def loose_ap_r40(self) -> np.ndarray:
        """(3, 3, 3) with the looser overlaps; NaN in the image and where nothing is annotated."""
        return np.where(self.objects > 0, self.loose[..., 1:].mean(axis=-1), math.nan)

    @property
    def ap_r11(self) -> np.ndarray:
        """(3, 3, 3) in 0 to 1; NaN where nothing is annotated."""
        return np.where(self.objects > 0, self.precision[..., ::4].mean(axis=-1), math.nan)

    @property
    def aos_r40(self) -> np.ndarray:
        """(3, 3) by class and difficulty; NaN where nothing is annotated."""
        return np.where(self.objects > 0, self.orientation[..., 1:].mean(axis=-1), math.nan)

    @property
    def aos_r11(self) -> np.ndarray:
        """(3, 3) by class and difficulty; NaN where nothing is annotated."""
        return np.where(self.objects > 0, self.orientation[..., ::4].mean(axis=-1), math.nan)


def compare_checked(name: str, found: KittiObjects, truth: KittiObjects) -> Frame:
    """`compare` for what comes from outside.

    Raises:
        DataError: a value is not finite, an annotated object of a class of the benchmark has no extent.
    """
    for objects, what in ((found, "a detection"), (truth, "an annotated object")):
        columns = (objects.alpha, objects.bbox, objects.dimensions_hwl, objects.location, objects.rotation_y)
        if not all(np.isfinite(values).all() for values in (*columns, objects.scores)):
            raise DataError(f"{what} of frame '{name}' is not finite")
    flat = np.isin(truth.types, CLASSES) & ~(truth.dimensions_hwl > 0).all(axis=1)
    if flat.any():
        got = truth.dimensions_hwl[flat][0].tolist()
        raise DataError(f"an annotated object of frame '{name}' has no extent", got=got, wanted="h w l above 0")
    return compare(found, truth)


def kitti_scores(frames: Sequence[Frame] | Split) -> KittiScores:
    """Scores of the frames of a split, as `compare` made them.

    Raises:
        DataError: there is no frame.
    """
    split = Split.of(frames)
    shape = (len(METRICS), len(CLASSES), len(DIFFICULTIES))
    precision, orientation = np.zeros((*shape, len(RECALLS))), np.zeros((*shape[1:], len(RECALLS)))
    loose = np.full_like(precision, math.nan)
    objects = np.zeros(shape[1:], np.int64)
    for label, difficulty in np.ndindex(*shape[1:]):
        name = CLASSES[label]
        states = split.states(name, difficulty)
        objects[label, difficulty] = (states[0] == COUNTED).sum()
        for metric in range(len(METRICS)):
            precision[metric, label, difficulty], similar = _curves(split.pairs(metric, name, states))
            if metric == 0:
                orientation[label, difficulty] = similar
            else:
                looser = split.pairs(metric, name, states, min_overlap=LOOSE_OVERLAP[name])
                loose[metric, label, difficulty], _ = _curves(looser)
    return KittiScores(precision, loose, orientation, objects)


def ring_scores(
    frames: Sequence[Frame] | Split, ring: Ring, metric: int = 2, difficulty: int = 1
) -> list[tuple[float, int]]:
    """AP (R40) and number of objects of each class, of objects between two distances (m) from the camera.

    Objects elsewhere are ignored, and so are detections elsewhere that find nothing.
    """
    split, found = Split.of(frames), []
    for name in CLASSES:
        states = split.states(name, difficulty, ring)
        objects = int((states[0] == COUNTED).sum())
        table = split.pairs(metric, name, states, ring)
        found.append((float(_curves(table)[0][1:].mean()) if objects else math.nan, objects))
    return found


def _curves(table: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Precision, and precision times similarity, (41,) at `RECALLS`."""
    precision, orientation = np.zeros(len(RECALLS)), np.zeros(len(RECALLS))
    objects = int((table.truth_states == COUNTED).sum())
    for index, threshold in enumerate(thresholds(scores_of_hits(table), objects)):
        hits, alarms, similar = count(table, threshold)
        precision[index], orientation[index] = np.array([hits, similar]) / max(hits + alarms, 1)
    best = (np.maximum.accumulate(curve[::-1])[::-1] for curve in (precision, orientation))
    return next(best), next(best)


def thresholds(scores: np.ndarray, objects: int) -> list[float]:
    """The scores of hits at which recall comes nearest to 0, 1/40 ... 1 (`getThresholds` of the kit), at most 41."""
    chosen: list[float] = []
    recall = 0.0
    ranked = np.sort(scores)[::-1]
    for index, score in enumerate(ranked, start=1):
        left, last = index / objects, index == len(ranked)
        right = left if last else (index + 1) / objects
        if not last and right - recall < recall - left:
            continue
        chosen.append(float(score))
        recall += 1 / (len(RECALLS) - 1)
    return chosen
