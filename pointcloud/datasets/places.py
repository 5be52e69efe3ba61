"""Where boxes are: on the ground, or off it; in each other; on points, or where there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from pointcloud.structures.class_sizes import street_size
from vol3d.dataset_tools.fault import Fault, Severity
from vol3d.geometry import iou_bev

ENOUGH_BOXES = 10  # fewer are no evidence
AROUND_M = 3.0  # the ground of an object is looked for so far from it
LOW_PERCENT, FEWEST = 3, 20  # of the points around, and how many it takes
OFF_GROUND_M = 0.4
SAME = 0.8  # overlap from above at which two boxes of a class are one object
MANY_EMPTY, MOST_EMPTY = 0.2, 0.5  # shares of boxes without a point


def above_ground(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(K,) metres by which the bottoms of boxes (K, 7) are above the lowest points around them; NaN where few are."""
    heights = np.full(len(boxes), np.nan)
    for row, box in enumerate(boxes[:, :7].astype(np.float64)):
        away = np.hypot(xyz[:, 0] - box[0], xyz[:, 1] - box[1])
        radius = np.hypot(box[3], box[4]) / 2
        around = xyz[(away > radius) & (away < radius + AROUND_M), 2]
        if len(around) >= FEWEST:
            heights[row] = box[2] - box[5] / 2 - np.percentile(around, LOW_PERCENT)
    return heights


def judge_ground(data_set: str, class_names: Sequence[str], labels: np.ndarray, heights: np.ndarray) -> Iterator[Fault]:
    """Whether objects that stand on the street do; `heights` (K,) as `above_ground` gives them."""
    on_street = np.array([street_size(name) is not None for name in class_names], np.bool_)
    known = heights[on_street[labels] & np.isfinite(heights)]
    if len(known) < ENOUGH_BOXES:
        return
    off = float(np.median(known))
    if abs(off) > OFF_GROUND_M:
        what = f"boxes stand {abs(off):.2f} m {'above' if off > 0 else 'below'} the ground around them"
        do = "Check whether z is of the centre or of the bottom, and from which frame's origin it is measured."
        numbers = {"above_m": off, "boxes": len(known)}
        yield Fault(data_set, "warning", what, do, code="boxes-off-the-ground", numbers=numbers)


def judge_empty(data_set: str, points: np.ndarray) -> Iterator[Fault]:
    """Whether a large share of all boxes holds no point at all; `points` (K,) in each."""
    if len(points) < ENOUGH_BOXES:
        return
    empty, share = int((points == 0).sum()), float((points == 0).mean())
    if share > MANY_EMPTY:
        what = f"{empty} of {len(points)} boxes hold no point"
        do = "Check the unit, the axes and the origin of the boxes against those of the points."
        numbers = {"boxes": empty, "of": len(points)}
        severity: Severity = "error" if share > MOST_EMPTY else "warning"
        yield Fault(data_set, severity, what, do, code="empty-boxes", numbers=numbers)


def copies(boxes: np.ndarray, labels: np.ndarray) -> int:
    """How many boxes (K, 7) are those of another one of their class, to the millimetre or nearly so."""
    table = torch.from_numpy(boxes[:, :7].astype(np.float64))
    same = (iou_bev(table, table).numpy() > SAME) & (labels[:, None] == labels)
    middle, half = boxes[:, 2].astype(np.float64), boxes[:, 5].astype(np.float64) / 2
    same &= np.abs(middle[:, None] - middle) <= np.minimum(half[:, None], half)
    return int(np.triu(same, 1).any(axis=0).sum())
