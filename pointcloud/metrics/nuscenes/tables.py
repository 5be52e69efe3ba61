"""The boxes of all samples in one table, without those that the benchmark leaves out.

Left out are, annotated or detected: what is as far from the car as the range of its class or farther; bicycles and
motorcycles whose centre lies in an annotated bicycle rack. And annotated boxes without a single LiDAR or radar point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pointcloud.metrics.nuscenes.boxes import CLASSES, MAX_BOXES, NuscenesDetections, NuscenesTruth
from vol3d.errors import DataError

RANGES_M = dict.fromkeys(CLASSES[:5], 50.0) | {
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}
_TWO_WHEELED = [CLASSES.index("motorcycle"), CLASSES.index("bicycle")]


class BoxTable(NamedTuple):
    """Boxes of all samples, sample after sample.

    Args:
        samples: (N,) int64 number of the sample, ascending.
        rows: (N,) int64 place of the box in its sample's arrays.
        boxes: (N, 9) float64, global.
        labels, attributes: (N,) int64.
        scores: (N,) float64; ones for annotated boxes.
        distances: (N,) metres from the car, seen from above.
    """

    samples: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    attributes: np.ndarray
    scores: np.ndarray
    distances: np.ndarray

    def select(self, keep: np.ndarray) -> BoxTable:
        """Those at the indices, or under the boolean mask, `keep`."""
        return BoxTable(*(column[keep] for column in self))


def check_samples(found: Mapping[str, NuscenesDetections], truth: Mapping[str, NuscenesTruth]) -> None:
    """Refuse detections that are not one entry for each annotated sample, or that the benchmark does not allow.

    Raises:
        DataError: no sample, missing or unknown ones, more than 500 boxes in one, values that are not finite.
    """
    if not truth:
        raise DataError("there is no sample to evaluate", do="Check that the split has annotated samples.")
    for here, there, what in ((truth, found, "without detections"), (found, truth, "that are not annotated")):
        if left := [token for token in here if token not in there]:
            do = "Every sample of the split needs an entry, be it an empty one, and no other does."
            raise DataError(f"{len(left)} samples {what}", got=_listed(left), do=do)
    for token, boxes in found.items():
        _check_found(token, boxes)
    for token, annotated in truth.items():
        _check_truth(token, annotated)


def _check_found(token: str, found: NuscenesDetections) -> None:
    if len(found) > MAX_BOXES:
        raise DataError(f"too many boxes in sample '{token}'", got=len(found), wanted=f"at most {MAX_BOXES}")
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise DataError(f"a detection of sample '{token}' is not finite", do="The training may have diverged.")


def _check_truth(token: str, truth: NuscenesTruth) -> None:
    if not np.isfinite(truth.boxes[:, :7]).all() or not (truth.boxes[:, 3:6] > 0).all():
        raise DataError(f"an annotated box of sample '{token}' is invalid", wanted="finite, sizes above 0")


def _listed(tokens: Sequence[str]) -> str:
    return ", ".join(tokens[:3]) + (" ..." if len(tokens) > 3 else "")


def detection_table(found: Mapping[str, NuscenesDetections], truth: Mapping[str, NuscenesTruth]) -> BoxTable:
    """Detections that count, of samples numbered as in `found`; checked before."""
    samples = list(found.values())
    scores = np.concatenate([sample.scores for sample in samples])
    return _counted(_table(samples, [truth[token] for token in found], scores), [truth[token] for token in found])


def truth_table(found: Mapping[str, NuscenesDetections], truth: Mapping[str, NuscenesTruth]) -> BoxTable:
    """Annotated boxes that count, of samples numbered as in `found`; checked before."""
    samples = [truth[token] for token in found]
    points = np.concatenate([sample.points for sample in samples])
    table = _table(samples, samples, np.ones(len(points)))
    return _counted(table.select(points != 0), samples)


def _table(
    samples: Sequence[NuscenesDetections] | Sequence[NuscenesTruth],
    truth: Sequence[NuscenesTruth],
    scores: np.ndarray,
) -> BoxTable:
    counts = [len(sample) for sample in samples]
    numbers = np.repeat(np.arange(len(samples)), counts)
    starts = np.concatenate(([0], np.cumsum(counts)))[:-1]
    boxes = np.concatenate([sample.boxes for sample in samples])
    away = boxes[:, :2] - np.stack([sample.ego_position[:2] for sample in truth])[numbers]
    return BoxTable(
        numbers,
        np.arange(len(numbers)) - np.repeat(starts, counts),
        boxes,
        np.concatenate([sample.labels for sample in samples]),
        np.concatenate([sample.attributes for sample in samples]),
        scores,
        np.sqrt((away**2).sum(axis=1)),
    )


def _counted(table: BoxTable, truth: Sequence[NuscenesTruth]) -> BoxTable:
    reach = np.array([RANGES_M[name] for name in CLASSES])
    table = table.select(table.distances < reach[table.labels])
    candidates = np.flatnonzero(np.isin(table.labels, _TWO_WHEELED))
    parked = np.zeros(len(table.labels), np.bool_)
    for sample in np.unique(table.samples[candidates]):
        racks = truth[sample].bicycle_racks
        if len(racks):
            rows = candidates[table.samples[candidates] == sample]
            parked[rows] = _inside(table.boxes[rows, :3], racks)
    return table.select(~parked)


def _inside(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(P,) bool: in any of the boxes (R, 7), the faces included."""
    away = points[:, None] - boxes[None, :, :3]
    cos, sin = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    along, across = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    local = np.stack((along, across, away[..., 2]), axis=-1)
    return (np.abs(local) <= 0.5 * boxes[:, 3:6]).all(axis=-1).any(axis=1)
