"""Average precision of boxes over a set of scenes, at several IoU thresholds at once and with its uncertainty.

The rule is that of VoteNet's and 3DETR's evaluation (utils/eval_det.py): class by class, detections of all scenes are
taken from the best score down; each is compared with the annotated box of its class and scene that it overlaps most
(IoU in space, rotated; the first of equals) and is a hit if that IoU is above the threshold and the box not hit before.
AP is the area under precision as a function of recall, precision being the best one at this or a higher recall.

Which box a detection is compared with does not depend on what was hit before. So one pass over the scenes finds all
pairs, and the hits of any threshold are the first detections of each box. Precision need be known at the hits only.
Equal scores are taken in the order of the scenes, then of the detections within the scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pointcloud.metrics.matches import SceneMatches, hits, number_truths
from vol3d.errors import DataError, UsageError

RECALLS = np.linspace(0, 1, 101)
"""Where `AveragePrecision.curves` gives the precision."""
WithoutTruth = Literal["zero", "skip"]


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Scores at one IoU threshold; arrays have one entry per class.

    Args:
        iou: the threshold; a hit overlaps by more.
        ap, recall: (C,) in [0, 1]; a class without annotated boxes has 0 or NaN, as was asked for.
        curves: (C, 101) precision at `RECALLS`, NaN beyond the recall that is reached.
        counted: (C,) which classes enter the means.
        mean_ap, mean_recall: means over the counted classes (mAP, AR), NaN where there is none.
        interval: 95 % interval of `mean_ap` by resampling scenes, NaN where it was not asked for.
    """

    iou: float
    ap: np.ndarray
    recall: np.ndarray
    curves: np.ndarray
    counted: np.ndarray
    mean_ap: float
    mean_recall: float
    interval: tuple[float, float]


def average_precision(
    scenes: Sequence[SceneMatches],
    classes: int,
    iou_thresholds: Sequence[float] = (0.25, 0.5),
    without_truth: WithoutTruth = "zero",
    draws: int = 0,
) -> list[AveragePrecision]:
    """AP, recall and precision-recall curves, one result per threshold.

    Args:
        scenes: of `match_scene`, in a fixed order.
        classes: number of classes.
        iou_thresholds: an overlap equal to one is no hit.
        without_truth: a class that is detected but annotated nowhere counts in the means as 0 (`zero`, as in
            3DETR's and VoteNet's code), or is left out of them (`skip`). One that is neither is always left out.
        draws: number of bootstrap samples of the scenes for the interval of the mean; 0 for none. A class whose
            annotated boxes are all outside a sample is left out of this sample's mean.

    Raises:
        UsageError: a threshold outside 0 to 1, an unknown option.
        DataError: no scenes, a score that is NaN.
    """
    _check(scenes, iou_thresholds, without_truth)
    every = _join(scenes)
    rng = np.random.default_rng(0)
    samples = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), draws).T.astype(np.float64)
    weights = np.concatenate([np.ones((len(scenes), 1)), samples], axis=1)  # the first column is the set itself
    return [_at(every, classes, iou, without_truth, weights) for iou in iou_thresholds]


class _Ranked(NamedTuple):
    """Detections of all scenes by class, best first, and where each class begins; boxes are numbered throughout."""

    starts: np.ndarray
    scenes: np.ndarray
    ious: np.ndarray
    truths: np.ndarray
    truth_scenes: np.ndarray
    truth_labels: np.ndarray


def _check(scenes: Sequence[SceneMatches], iou_thresholds: Sequence[float], without_truth: str) -> None:
    if not scenes:
        raise DataError("there is no scene to evaluate", do="Check that the split has labelled scenes.")
    if not all(0 <= iou < 1 for iou in iou_thresholds):
        raise UsageError("not IoU thresholds", got=tuple(iou_thresholds), wanted="0 or more, below 1")
    if without_truth not in ("zero", "skip"):
        raise UsageError("unknown option", where="without_truth", got=without_truth, wanted="zero or skip")
    for index, scene in enumerate(scenes):
        if np.isnan(scene.scores).any():
            raise DataError("a score is NaN", where=f"scene {index}", wanted="numbers")


def _join(scenes: Sequence[SceneMatches]) -> _Ranked:
    labels = np.concatenate([scene.labels for scene in scenes])
    scores = np.concatenate([scene.scores for scene in scenes])
    order = np.lexsort((-scores, labels))  # stable
    numbers = np.arange(len(scenes))
    return _Ranked(
        starts=np.searchsorted(labels[order], np.arange(int(labels.max(initial=-1)) + 2)),
        scenes=np.repeat(numbers, [len(scene.labels) for scene in scenes])[order],
        ious=np.concatenate([scene.ious for scene in scenes])[order],
        truths=number_truths(scenes)[order],
        truth_scenes=np.repeat(numbers, [len(scene.truth_labels) for scene in scenes]),
        truth_labels=np.concatenate([scene.truth_labels for scene in scenes]),
    )


def _at(every: _Ranked, classes: int, iou: float, without_truth: WithoutTruth, weights: np.ndarray) -> AveragePrecision:
    ap, recall = np.full((classes, weights.shape[1]), math.nan), np.full(classes, math.nan)
    curves, detected = np.full((classes, len(RECALLS)), math.nan), np.zeros(classes, np.bool_)
    for label in range(classes):
        part = slice(*every.starts[label : label + 2]) if label + 1 < len(every.starts) else slice(0, 0)
        truth_scenes = every.truth_scenes[every.truth_labels == label]
        detected[label] = part.stop > part.start
        hit = hits(every.ious[part], every.truths[part], iou)
        ap[label], precision = _class_ap(every.scenes[part], hit, truth_scenes, weights)
        if len(truth_scenes):
            recall[label] = hit.sum() / len(truth_scenes)
            curves[label] = _curve(precision, len(truth_scenes))
    annotated = np.isfinite(recall)
    if without_truth == "zero":
        ap[~annotated & detected, 0] = recall[~annotated & detected] = 0
    counted = annotated | detected if without_truth == "zero" else annotated
    return AveragePrecision(
        iou=iou,
        ap=ap[:, 0],
        recall=recall,
        curves=curves,
        counted=counted,
        mean_ap=float(ap[counted, 0].mean()) if counted.any() else math.nan,
        mean_recall=float(recall[counted].mean()) if counted.any() else math.nan,
        interval=_interval(ap[annotated, 1:], extra=int((counted & ~annotated).sum())),
    )


def _class_ap(
    scenes: np.ndarray, hit: np.ndarray, truth_scenes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AP (draws,) of one class for scenes that count `weights` (S, draws) times, NaN where they have no such object.

    Also the interpolated precision (hits,) for the first column of the weights.
    """
    number = int(hit.sum())
    passed = np.cumsum(hit) - hit  # hits before each detection
    needed = passed < number  # what follows the last hit changes nothing
    counts = csr_array(
        (np.ones(int(needed.sum())), (passed[needed], scenes[needed])), shape=(number, len(weights)), dtype=np.float64
    )
    hit_weights = weights[scenes[hit]]
    detections = (counts @ weights).cumsum(axis=0)  # (hits, draws), all those ranked up to each hit
    precision = np.divide(hit_weights.cumsum(axis=0), detections, out=np.zeros_like(detections), where=detections > 0)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    objects = weights[truth_scenes].sum(axis=0)
    area = (hit_weights * best).sum(axis=0)
    return np.divide(area, objects, out=np.full_like(objects, math.nan), where=objects > 0), best[:, 0]


def _curve(precision: np.ndarray, objects: int) -> np.ndarray:
    """Precision (101,) at `RECALLS` from that at each hit."""
    needed = np.maximum(np.ceil(RECALLS * objects - 1e-9).astype(np.int64), 1)  # hits for this recall
    padded = np.concatenate([precision, np.full(objects, math.nan)])
    return padded[needed - 1]


def _interval(ap: np.ndarray, extra: int) -> tuple[float, float]:
    """Percentile interval of the mean over classes of (classes, draws); `extra` classes are 0 in every draw."""
    known = np.isfinite(ap).sum(axis=0) + extra
    if not known.size or not ap.size or not known.all():
        return math.nan, math.nan
    low, high = np.percentile(np.nansum(ap, axis=0) / known, [2.5, 97.5])
    return float(low), float(high)
