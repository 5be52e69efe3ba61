"""Which annotated box each detection is compared with, the same for every IoU threshold, and which detections hit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from vol3d.geometry import iou_3d_paired
from vol3d.scans.results.detections import Detections


class SceneMatches(NamedTuple):
    """The detections of one scene and what each overlaps most; small enough to be kept for all scenes.

    Args:
        labels, scores: (D,) of the detections.
        ious: (D,) float32 with the annotated box of the same class that is overlapped most; 0 where there is none.
        truths: (D,) int64 index of that box in the scene's annotation; -1 where the class has none.
        truth_labels: (G,) of the annotated boxes.
    """

    labels: np.ndarray
    scores: np.ndarray
    ious: np.ndarray
    truths: np.ndarray
    truth_labels: np.ndarray


def match_scene(found: Detections, truth: Detections) -> SceneMatches:
    """What each detection of a scene overlaps most among the annotated boxes of its class."""
    best, ious = np.full(len(found), -1, np.int64), np.zeros(len(found), np.float32)
    detection, box = np.nonzero(found.labels[:, None] == truth.labels[None])
    if len(detection):
        table = np.full((len(found), len(truth)), -1, np.float32)
        first, second = (torch.from_numpy(np.asarray(b, np.float32)) for b in (found.boxes, truth.boxes))
        table[detection, box] = iou_3d_paired(first[detection], second[box]).numpy()
        rows = np.unique(detection)
        best[rows] = table[rows].argmax(1)
        ious[rows] = table[rows].max(1)
    return SceneMatches(found.labels, found.scores, ious, best, truth.labels)


def hits(ious: np.ndarray, truths: np.ndarray, iou: float) -> np.ndarray:
    """(D,) bool of detections, best first: each annotated box is hit by the first whose IoU with it is above `iou`."""
    candidates = np.flatnonzero(ious > iou)
    result = np.zeros(len(ious), np.bool_)
    result[candidates[np.unique(truths[candidates], return_index=True)[1]]] = True
    return result


def number_truths(scenes: Sequence[SceneMatches]) -> np.ndarray:
    """`truths` of all detections, with the boxes of all scenes numbered throughout; -1 stays."""
    starts = np.cumsum([0] + [len(scene.truth_labels) for scene in scenes])
    parts = [np.where(s.truths < 0, -1, s.truths + start) for s, start in zip(scenes, starts, strict=False)]
    return np.concatenate(parts)
