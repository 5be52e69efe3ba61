"""Slow twin of `pointcloud.metrics.nuscenes.scores`: one class at one distance, one box after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Box = tuple[int, float, Sequence[float], int]  # sample, score, x y z l w h yaw vx vy, attribute


def slow_nuscenes(found: Sequence[Box], truth: Sequence[Box], limit: float, period: float) -> tuple[float, list[float]]:
    """AP and the five errors of one class; boxes have been filtered."""
    free, hits, scores, errors, grid = list(truth), [], [], [], np.linspace(0, 1, 101)
    for _, row in sorted(((box[1], i) for i, box in enumerate(found)), reverse=True):
        sample, score, box, attribute = found[row]
        near = [(math.dist(box[:2], other[2][:2]), i) for i, other in enumerate(free) if other[0] == sample]
        hits.append(bool(near) and min(near)[0] < limit)
        scores.append(score)
        if hits[-1]:
            _, _, other, wanted = free.pop(min(near)[1])
            common = math.prod(map(min, box[3:6], other[3:6]))
            iou = common / (math.prod(box[3:6]) + math.prod(other[3:6]) - common)
            turn = min(abs(box[6] - other[6] + k * period) for k in range(-9, 10))
            speed = math.dist(box[7:9], other[7:9])
            errors.append(
                (math.dist(box[:2], other[:2]), 1 - iou, turn, speed, math.nan if wanted < 0 else wanted != attribute)
            )
    if not errors:
        return 0.0, [1.0] * 5
    recall, ranks = np.cumsum(hits) / len(truth), np.arange(1, len(hits) + 1)
    precision = np.interp(grid, recall, np.cumsum(hits) / ranks, right=0)
    confidence = np.interp(grid, recall, scores, right=0)
    means = np.array(
        [[_mean([e[k] for e in errors[: n + 1]], errors, k) for n in range(len(errors))] for k in range(5)]
    )
    known = np.array(scores)[np.array(hits)]
    curves = np.array([np.interp(confidence[::-1], known[::-1], mean[::-1])[::-1] for mean in means])
    last = max(np.flatnonzero(confidence), default=0)
    ap = sum(max(p - 0.1, 0) for p in precision[11:]) / 90 / 0.9
    return ap, [float(c[11 : last + 1].mean()) if last >= 11 else 1.0 for c in curves]


def _mean(values: list[float], every: list[tuple[float, ...]], column: int) -> float:
    """Mean of the known values: 0 before the first of them, 1 where there is none at all."""
    finite = [value for value in values if not math.isnan(value)]
    none = all(math.isnan(error[column]) for error in every)
    return 1.0 if none else sum(finite) / len(finite) if finite else 0.0
