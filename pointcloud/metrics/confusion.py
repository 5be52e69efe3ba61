"""Which class is taken for which: detections from a score on against annotated boxes, by the benchmark's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from pointcloud.metrics.matches import SceneMatches, hits
from vol3d.geometry import iou_3d_paired
from vol3d.scans.results.detections import Detections

MISSED, NOTHING = "missed", "of nothing"
"""The column of objects that nothing found, and the row of detections that found no object."""


def rivals(closeness: np.ndarray, labels: np.ndarray, truth_labels: np.ndarray, least: float) -> np.ndarray:
    """Detections and annotated boxes of another class that are as near as a hit must be.

    Args:
        closeness: (D, G) of every detection to every box: an IoU, or a distance with its sign turned.
        labels, truth_labels: (D,) and (G,).
        least: a hit is closer.

    Returns:
        (P, 2) int64 rows of both; those of one detection follow each other, the closest first.
    """
    near = (closeness > least) & (labels[:, None] != truth_labels[None])
    found, box = np.nonzero(near)
    order = np.lexsort((-closeness[found, box], found))
    return np.stack((found[order], box[order]), axis=1)


def rivals_by_overlap(found: Detections, truth: Detections, iou: float) -> np.ndarray:
    """`rivals` by the IoU in space, which is computed only where the circles around two boxes meet."""
    closeness = np.zeros((len(found), len(truth)), np.float32)
    radii = [0.5 * np.hypot(one.boxes[:, 3], one.boxes[:, 4]) for one in (found, truth)]
    apart = np.linalg.norm(found.boxes[:, None, :2] - truth.boxes[None, :, :2], axis=2)
    rows, columns = np.nonzero((apart < radii[0][:, None] + radii[1]) & (found.labels[:, None] != truth.labels))
    if len(rows):
        first, second = (torch.from_numpy(np.asarray(b, np.float32)) for b in (found.boxes, truth.boxes))
        closeness[rows, columns] = iou_3d_paired(first[rows], second[columns]).numpy()
    return rivals(closeness, found.labels, truth.labels, iou)


def confusion(
    scenes: Mapping[str, SceneMatches],
    near: Mapping[str, np.ndarray],
    classes: int,
    iou: float,
    threshold: float,
) -> np.ndarray:
    """How many objects of each class were found as each class.

    First each detection finds the box of its own class that the benchmark gives it, so that the diagonal has the hits
    of the score. Then those without one, the best first, take the closest free box of another class.

    Args:
        scenes: what was matched, by name.
        near: `rivals` of each scene, by the same names.
        classes: number of classes.
        iou: of a hit.
        threshold: detections with a lower score do not count.

    Returns:
        (classes + 1, classes + 1) int64: rows are the true class, the last for detections of nothing; columns the
        detected class, the last for objects that were missed.
    """
    table = np.zeros((classes + 1, classes + 1), np.int64)
    for name, scene in scenes.items():
        order = np.argsort(-scene.scores, kind="stable")
        order = order[scene.scores[order] >= threshold]
        hit = hits(scene.ious[order], scene.truths[order], iou)
        taken = dict(zip(order[hit].tolist(), scene.truths[order][hit].tolist(), strict=True))
        _take_others(taken, order[~hit].tolist(), near[name])
        found, box = (np.array(list(part), np.int64) for part in (taken, taken.values()))
        np.add.at(table, (scene.truth_labels[box], scene.labels[found]), 1)
        np.add.at(table[-1], scene.labels[np.setdiff1d(order, found)], 1)
        np.add.at(table[:, -1], scene.truth_labels[np.setdiff1d(np.arange(len(scene.truth_labels)), box)], 1)
    return table


def _take_others(taken: dict[int, int], rest: Sequence[int], pairs: np.ndarray) -> None:
    """Adds to `taken` what the detections `rest`, best first, find of other classes."""
    free_of: dict[int, list[int]] = {}
    for found, box in pairs.tolist():
        free_of.setdefault(found, []).append(box)
    used = set(taken.values())
    for found in rest:
        box = next((one for one in free_of.get(found, ()) if one not in used), None)
        if box is not None:
            taken[found] = box
            used.add(box)


def confusion_rows(table: np.ndarray, class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The table by the names of the classes, `missed` and `of nothing`; ready for JSON."""
    columns, rows = (*class_names, MISSED), (*class_names, NOTHING)
    return {name: dict(zip(columns, row, strict=True)) for name, row in zip(rows, table.tolist(), strict=True)}
