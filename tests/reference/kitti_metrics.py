"""Slow twin of `pointcloud.metrics.kitti.scores`: the official kit's rules, one object after the other, without arrays.

Rows are dicts with `type truncated occluded alpha bbox score` and, for pairs, a function that tells the overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
Image = tuple[Sequence[Row], Sequence[Row]]  # objects, detections
LIMITS = ((40, 0, 0.15), (25, 1, 0.3), (25, 2, 0.5))
ALIKE = {"Car": "Van", "Pedestrian": "Person_sitting", "Cyclist": None}


def slow_kitti(
    images: Sequence[Image],
    name: str,
    difficulty: int,
    least: float,
    overlap: Callable[[Row, Row], float],
    in_image: bool,
) -> tuple[list[float], list[float]]:
    """Precision, and precision times similarity of headings, at 41 recalls."""
    states = [([_truth(o, name, difficulty) for o in t], [_found(d, name, difficulty) for d in f]) for t, f in images]
    objects = sum(state.count(0) for state, _ in states)
    hits = [
        s for image, state in zip(images, states, strict=True) for s in _image(image, state, least, overlap, None)[0]
    ]
    precision, orientation, recall = [0.0] * 41, [0.0] * 41, 0.0
    index = 0
    for rank, score in enumerate(sorted(hits, reverse=True)):
        last = rank == len(hits) - 1
        left, right = (rank + 1) / objects, (rank + 1 if last else rank + 2) / objects
        if right - recall < recall - left and not last:
            continue
        told = [_image(i, s, least, overlap, score, in_image) for i, s in zip(images, states, strict=True)]
        found, alarms = sum(len(t[0]) for t in told), sum(t[1] for t in told)
        precision[index] = found / (found + alarms) if found + alarms else 0
        orientation[index] = sum(t[2] for t in told) / (found + alarms) if found + alarms else 0
        recall, index = recall + 1 / 40, index + 1
    return [max(precision[i:]) for i in range(41)], [max(orientation[i:]) for i in range(41)]


def _truth(row: Row, name: str, difficulty: int) -> int:
    height, occluded, truncated = LIMITS[difficulty]
    small = row["bbox"][3] - row["bbox"][1] <= height
    ignore = small or row["occluded"] > occluded or row["truncated"] > truncated
    return int(ignore) if row["type"] == name else 1 if row["type"] == ALIKE[name] else -1


def _found(row: Row, name: str, difficulty: int) -> int:
    small = int(abs(row["bbox"][1] - row["bbox"][3])) < LIMITS[difficulty][0]
    return 1 if small else 0 if row["type"] == name else -1


def _image(
    image: Image,
    states: tuple[list[int], list[int]],
    least: float,
    overlap: Callable,
    score: float | None,
    in_image=False,
) -> tuple[list[float], int, float]:
    """Scores of hits, false alarms and similarity of one image; without `score` as hits are ranked."""
    (truth, found), (truth_states, found_states) = image, states
    low = [score is not None and row["score"] < score for row in found]
    free, hits, similarity = [state >= 0 and not far for state, far in zip(found_states, low, strict=True)], [], 0.0
    for row, state in zip(truth, truth_states, strict=True):
        near = [j for j in range(len(found)) if state >= 0 and free[j] and overlap(found[j], row) > least]
        if score is None:
            order = sorted(near, key=lambda j: (-found[j]["score"], j))
        else:  # an ignored detection only if there is no other, the first one then
            order = sorted(near, key=lambda j: (found_states[j], 0 if found_states[j] else -overlap(found[j], row), j))
        if order:
            free[order[0]] = False
            if state == 0 and found_states[order[0]] == 0:
                hits.append(found[order[0]]["score"])
                similarity += (1 + math.cos(row["alpha"] - found[order[0]]["alpha"])) / 2
    regions = [row["bbox"] for row in truth if row["type"] == "DontCare"] if in_image else []
    alarms = [row for row, open_, state in zip(found, free, found_states, strict=True) if open_ and state == 0]
    return hits, sum(not any(share_2d(r["bbox"], b) > least for b in regions) for r in alarms), similarity


def common_2d(a: Sequence[float], b: Sequence[float]) -> float:
    """Common area of two rectangles."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def share_2d(a: Sequence[float], b: Sequence[float]) -> float:
    """Share of the first rectangle that lies in the second."""
    return common_2d(a, b) / ((a[2] - a[0]) * (a[3] - a[1]))


def iou_2d(a: Row, b: Row) -> float:
    """IoU of the rectangles of two rows."""
    (first, second), common = (a["bbox"], b["bbox"]), common_2d(a["bbox"], b["bbox"])
    return common / (sum((r[2] - r[0]) * (r[3] - r[1]) for r in (first, second)) - common)
