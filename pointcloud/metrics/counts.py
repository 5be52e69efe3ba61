"""Hits, false alarms and misses once a score is chosen from which on detections count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointcloud.metrics.matches import SceneMatches, hits
from pointcloud.metrics.thresholds import ranked
from vol3d.engine.task import Metric

MEASURED_COUNTS = (
    Metric("best_f1", "best F1", better="higher"),
    Metric("best_f1_from_score", "reached with scores from"),
    Metric("from_score", "from score"),
    Metric("f1", "F1", better="higher"),
    Metric("mean_iou", "mean IoU", better="higher"),
)


class Counts(NamedTuple):
    """One class of one scene; `mean_iou` is that of the hits, NaN without any."""

    ground_truths: int
    hits: int
    false_alarms: int
    missed: int
    mean_iou: float


def best_threshold(scenes: Sequence[SceneMatches], iou: float) -> tuple[float, float]:
    """The score from which on detections of all scenes and classes together have the highest F1, and this F1.

    F1 is 2 hits / (detections + objects). Of equally good scores the highest is taken. Without a hit, (0.5, 0); F1 is
    NaN where there is nothing to find and nothing found.
    """
    every = ranked(scenes, 0, iou)[-1]
    best = every.best()
    if math.isnan(best):
        return 0.5, 0.0 if every.objects or len(every.scores) else math.nan
    return best, every.at(best)[2]


def count_scene(scene: SceneMatches, iou: float, threshold: float) -> dict[int, Counts]:
    """Label -> counts of one scene, for the classes that are annotated or detected in it."""
    order = np.argsort(-scene.scores, kind="stable")
    order = order[scene.scores[order] >= threshold]
    labels, ious = scene.labels[order], scene.ious[order]
    hit = hits(ious, scene.truths[order], iou)
    table = {}
    for label in np.union1d(labels, scene.truth_labels).tolist():
        objects, found = int((scene.truth_labels == label).sum()), int((labels == label).sum())
        mine = ious[hit & (labels == label)]
        mean = float(mine.mean()) if len(mine) else math.nan
        table[label] = Counts(objects, len(mine), found - len(mine), objects - len(mine), mean)
    return table


def count_rows(counts: Mapping[str, Mapping[int, Counts]], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The counts of scenes (name -> label -> counts) as a table: a row for each class of each scene."""
    rows = []
    for name, table in counts.items():
        for label, row in table.items():
            rows.append({"scene": name, "class": class_names[label], **row._asdict()})
    return rows
