"""A cloud and its mirror images looked at together, which the papers call test-time flips or double flip.

CenterPoint averages its maps over the views and decodes them once. The boxes that any other detector finds in the views
are mirrored back, and those of one object are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pointcloud.structures.detector import LidarDetector
from pointcloud.structures.similarity import Similarity, wrapped
from vol3d.errors import UsageError
from vol3d.geometry import iou_bev, nms_rotated
from vol3d.geometry.boxes import YAW
from vol3d.scans.results.detections import Detections

Flips = Literal["none", "x", "y", "xy"]
"""Views besides the cloud itself: x -> -x, y -> -y, or both and the two together."""

SAME_OBJECT_IOU = 0.5
_STRAIGHT, _X, _Y, _BOTH = Similarity(), Similarity(flip_x=True), Similarity(flip_y=True), Similarity(True, True)
VIEWS: dict[Flips, tuple[Similarity, ...]] = {
    "none": (_STRAIGHT,),
    "x": (_STRAIGHT, _X),
    "y": (_STRAIGHT, _Y),
    "xy": (_STRAIGHT, _X, _Y, _BOTH),
}


@torch.no_grad()
def detect_flipped(
    detector: LidarDetector[Any], clouds: list[Tensor], flips: Flips = "none", same_iou: float = SAME_OBJECT_IOU
) -> list[Detections]:
    """Objects in each cloud, found in all views together.

    Args:
        detector: in the mode for evaluation.
        clouds: (N, 3 + C) of each sample.
        flips: the views.
        same_iou: boxes of a class that overlap more, seen from above, are one object. Not used where maps are averaged.

    Raises:
        UsageError: the range of the network is not symmetric along an axis that is mirrored.
    """
    views = VIEWS[flips]
    check_symmetric(detector.settings.voxels.point_range_m, flips)
    predictions = [detector(mirrored(clouds, how)) for how in views]
    if len(views) == 1:
        return detector.decode(predictions[0])
    averaged = detector.averaged(predictions, views)
    if averaged is not None:
        return detector.decode(averaged)
    decoded = [
        [replace(one, boxes=how.boxes(one.boxes)) for one in detector.decode(prediction)]
        for prediction, how in zip(predictions, views, strict=True)
    ]
    return [merge_views(list(same), same_iou) for same in zip(*decoded, strict=True)]


def mirrored(clouds: Sequence[Tensor], how: Similarity) -> list[Tensor]:
    """The clouds (N, 3 + C) with x, y or both mirrored, in new tensors."""
    turned = []
    for cloud in clouds:
        signs = cloud.new_ones(cloud.shape[1])
        signs[0], signs[1] = -1.0 if how.flip_x else 1.0, -1.0 if how.flip_y else 1.0
        turned.append(cloud * signs)
    return turned


def merge_views(views: Sequence[Detections], same_iou: float) -> Detections:
    """Detections of several views of one cloud as one list, best first.

    The best box of each view that belongs to an object counts with its score as its weight; the object's score is the
    average over all views, 0 for those that do not see it.
    """
    boxes = np.concatenate([one.boxes for one in views])
    scores, labels = np.concatenate([one.scores for one in views]), np.concatenate([one.labels for one in views])
    view = np.repeat(np.arange(len(views)), [len(one) for one in views])

    owner, leaders = _objects(boxes, scores, labels, same_iou)
    best = np.argsort(-scores, kind="stable")
    _, first = np.unique(owner[best] * len(views) + view[best], return_index=True)
    members = best[first]  # one of each view and object
    owner, weight = owner[members], np.maximum(scores[members], 1e-12).astype(np.float64)
    share = weight / np.bincount(owner, weight, len(leaders))[owner]

    ahead = boxes[leaders, YAW].astype(np.float64)
    turn = boxes[members, YAW] - ahead[owner]
    turn -= np.pi * np.round(turn / np.pi)  # one that looks the other way is the same box
    columns = boxes[members].astype(np.float64)
    columns[:, YAW] = turn
    together = np.stack([np.bincount(owner, share * column, len(leaders)) for column in columns.T], axis=1)
    together[:, YAW] = wrapped(ahead + together[:, YAW])

    sure = (np.bincount(owner, scores[members], len(leaders)) / len(views)).astype(np.float32)
    found = replace(views[0], boxes=together.astype(np.float32), scores=sure, labels=labels[leaders])
    return found.select(np.argsort(-sure, kind="stable"))


def _objects(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, same_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Object of each box (N,), and the box that leads each object (K,): the one with the highest score."""
    table, classes = torch.from_numpy(boxes[:, :7]), torch.from_numpy(labels)
    leaders = nms_rotated(table, torch.from_numpy(scores), same_iou, labels=classes)
    overlap = iou_bev(table[leaders], table).masked_fill(classes[leaders, None] != classes, -1)
    overlap[torch.arange(len(leaders)), leaders] = 2
    owner = overlap.argmax(dim=0) if len(leaders) else torch.zeros(0, dtype=torch.int64)
    return owner.numpy(), leaders.numpy()


def check_symmetric(point_range_m: Sequence[float], flips: Flips) -> None:
    """Raises UsageError if an axis is mirrored along which the range reaches farther to one side."""
    for axis, name in enumerate("xy"):
        low, high = point_range_m[axis], point_range_m[axis + 3]
        if name in flips.replace("none", "") and abs(low + high) > 1e-6 * (high - low):
            do = f"Mirror {'y' if name == 'x' else 'x'} only, or nothing."
            wanted = f"as far to both sides of {name} = 0"
            what = f"{name} cannot be mirrored in this range"
            raise UsageError(what, where="test_flips", got=(low, high), wanted=wanted, do=do)
