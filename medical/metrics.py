"""Dice, HD95 and volumes of one case, and what becomes of them when an organ is in only one of truth and prediction.

Conventions, for every class of every case:

- in neither: nothing to score; Dice and HD95 are NaN, the case is not counted for this class (`absent`);
- in the truth only (`missed`) or in the prediction only (`false_alarm`): Dice 0, HD95 the image's diagonal in mm. Both
  are counted like any other case, so no mean hides a miss, and reported in number;
- in both: Dice = 2 |A n B| / (|A| + |B|); HD95 is the larger of the two directed 95th percentiles (linear
  interpolation) of surface-to-surface distances in mm, the surface being the voxels with one of their six neighbours
  outside. Both equal MONAI's `compute_dice` and `compute_hausdorff_distance(percentile=95)`. MedPy's hd95 takes one
  percentile of the pooled distances and is smaller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid

Outcome = Literal["found", "absent", "missed", "false_alarm"]


@dataclass(frozen=True)
class ClassScore:
    """One class of one case; Dice 0 .. 1, HD95 in mm, volumes in ml."""

    dice: float
    hd95_mm: float
    volume_ml: float
    truth_ml: float
    outcome: Outcome


def score_case(
    prediction: np.ndarray, truth: np.ndarray, grid: Grid, scored: Mapping[str, Sequence[int]]
) -> dict[str, ClassScore]:
    """Scores of each class.

    Args:
        prediction, truth: (i, j, k) labels on `grid`.
        scored: name -> labels that belong to it (`Classes.scored`).

    Raises:
        DataError: the two are not on the same grid.
    """
    if prediction.shape != truth.shape or truth.shape != grid.shape:
        raise DataError("prediction and truth are on different grids", got=prediction.shape, wanted=truth.shape)
    boxes = _boxes(prediction), _boxes(truth)
    return {
        name: _score(prediction, truth, grid, tuple(labels), _join(boxes, labels)) for name, labels in scored.items()
    }


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks (i, j, k) bool; NaN if both are empty.

    >>> dice(np.array([True, True, False]), np.array([False, True, False])).__round__(3)
    0.667
    """
    both = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(prediction & truth)) / both if both else math.nan


def hd95_mm(prediction: np.ndarray, truth: np.ndarray, affine: np.ndarray) -> float:
    """95th percentile Hausdorff distance of two masks (i, j, k) bool that both have a voxel.

    Args:
        affine: (4, 4) or (3, 3), voxel index -> mm; distances hold on oblique and sheared grids too.
    """
    from scipy.spatial import cKDTree

    # Nearest surface voxels are looked up in a tree: exact like a distance transform, but it costs surface, not volume.
    surfaces = [np.argwhere(surface(mask)) @ affine[:3, :3].T for mask in (prediction, truth)]
    trees = [cKDTree(points) for points in surfaces]
    there = trees[1].query(surfaces[0])[0]
    back = trees[0].query(surfaces[1])[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask (i, j, k) with a face neighbour outside it; beyond the array is outside."""
    inner = mask.copy()
    for axis in range(3):
        line = np.moveaxis(mask, axis, 0)
        kept = np.moveaxis(inner, axis, 0)
        kept[1:] &= line[:-1]
        kept[:-1] &= line[1:]
        kept[:1] = False
        kept[-1:] = False
    return mask & ~inner


def diagonal_mm(grid: Grid) -> float:
    """Longest distance in an image, from corner to corner."""
    return float(np.linalg.norm(np.array(grid.shape) * np.array(grid.spacing_mm)))


def bootstrap_interval(values: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean over cases, reproducible.

    Args:
        values: (cases,) or (cases, classes), NaN where not counted; then the mean over classes of the means over cases.

    Returns:
        (low, high), NaN with fewer than two cases.
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    table = table[np.isfinite(table).any(axis=1)]
    if len(table) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), draws)  # how often each case is drawn
    counted = np.isfinite(table)
    numbers = times @ counted.astype(np.float64)  # (draws, classes)
    means = np.divide(
        times @ np.where(counted, table, 0.0), numbers, out=np.full_like(numbers, np.nan), where=numbers > 0
    )
    classes = np.maximum((numbers > 0).sum(axis=1), 1)
    low, high = np.percentile(np.nansum(means, axis=1) / classes, [2.5, 97.5])
    return float(low), float(high)


def mean_of_means(table: np.ndarray) -> float:
    """(cases, classes) -> mean over classes of the mean over cases, NaN and classes of nothing but NaN left out."""
    counted = np.isfinite(table)
    columns = counted.any(axis=0)
    if not columns.any():
        return math.nan
    sums = np.where(counted, table, 0.0).sum(axis=0)
    return float((sums[columns] / counted.sum(axis=0)[columns]).mean())


def _score(
    prediction: np.ndarray, truth: np.ndarray, grid: Grid, labels: tuple[int, ...], box: tuple[slice, ...] | None
) -> ClassScore:
    if box is None:
        return ClassScore(math.nan, math.nan, 0.0, 0.0, "absent")
    predicted, real = _member(prediction[box], labels), _member(truth[box], labels)
    sizes = int(np.count_nonzero(predicted)), int(np.count_nonzero(real))
    volumes = sizes[0] * grid.voxel_volume_ml, sizes[1] * grid.voxel_volume_ml
    if 0 in sizes:
        return ClassScore(0.0, diagonal_mm(grid), *volumes, "missed" if sizes[1] else "false_alarm")
    return ClassScore(dice(predicted, real), hd95_mm(predicted, real, grid.affine), *volumes, "found")


def _member(array: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    return array == labels[0] if len(labels) == 1 else np.isin(array, labels)


def _boxes(labels: np.ndarray) -> list[tuple[slice, ...] | None]:
    """Per label from 1 the smallest box with all of it."""
    from scipy.ndimage import find_objects

    return list(find_objects(labels))


def _join(boxes: tuple[list[tuple[slice, ...] | None], ...], labels: Sequence[int]) -> tuple[slice, ...] | None:
    """The smallest box with all voxels of some labels in both arrays."""
    found = [side[label - 1] for side in boxes for label in labels if label <= len(side)]
    real = [box for box in found if box is not None]
    if not real:
        return None
    return tuple(slice(min(b[a].start for b in real), max(b[a].stop for b in real)) for a in range(3))
