"""Dice, HD95, NSD and volumes of a case, and what becomes of them when an organ is in only one of truth and prediction.

Conventions, for every class of every case:

- in neither: nothing to score; Dice, HD95 and NSD are NaN, the case is not counted for this class (`absent`);
- in the truth only (`missed`) or in the prediction only (`false_alarm`): Dice and NSD 0, HD95 the image's diagonal in
  mm. Both are counted like any other case, so no mean hides a miss, and reported in number;
- in both: Dice = 2 |A n B| / (|A| + |B|); HD95 is the larger of the two directed 95th percentiles (linear
  interpolation) of surface-to-surface distances in mm, the surface being the voxels with one of their six neighbours
  outside; NSD (normalised surface Dice) is the share of both surfaces' voxels that lie within a tolerance of the other
  surface. They equal MONAI's `compute_dice`, `compute_hausdorff_distance(percentile=95)` and `compute_surface_dice`.
  MedPy's hd95 takes one percentile of the pooled distances and is smaller; NSD by the area of surface elements, as
  `surface-distance` has it, differs by little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from medical.lesions import LesionCounts, count_lesions
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid

Outcome = Literal["found", "absent", "missed", "false_alarm"]


_ROUNDING_MM = 1e-6  # a surface at just the tolerance is within it


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Args:
        tolerance_mm: of NSD, how far apart two surfaces may be.
        lesion_iou: least overlap of a detected lesion, see `medical.lesions`; None counts no lesions.
    """

    tolerance_mm: float = 1.0
    lesion_iou: float | None = None


@dataclass(frozen=True)
class ClassScore:
    """One class of one case; Dice and NSD 0 .. 1, HD95 in mm, volumes in ml; lesions where they were counted."""

    dice: float
    hd95_mm: float
    nsd: float
    volume_ml: float
    truth_ml: float
    outcome: Outcome
    lesions: LesionCounts | None = None

    def row(self) -> dict[str, Any]:
        """As the columns of a table."""
        columns = asdict(self)
        counts = columns.pop("lesions") or {}
        return columns | counts


def score_case(
    prediction: np.ndarray,
    truth: np.ndarray,
    grid: Grid,
    scored: Mapping[str, Sequence[int]],
    measures: Measures = Measures(),
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
    scores = {}
    for name, labels in scored.items():
        box = _join(boxes, labels)
        inside = (np.zeros((0, 0, 0)),) * 2 if box is None else (prediction[box], truth[box])
        predicted, real = (_member(array, tuple(labels)) for array in inside)
        scores[name] = _score(predicted, real, grid, measures)
    return scores


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
    return _hd95(*surface_distances_mm(prediction, truth, affine))


def nsd(prediction: np.ndarray, truth: np.ndarray, affine: np.ndarray, tolerance_mm: float) -> float:
    """Normalised surface Dice of two masks (i, j, k) bool that both have a voxel; see `hd95_mm` and the module's text.

    Source: Nikolov et al., 2021 (surface Dice), here by voxels of the surface.
    """
    return _nsd(*surface_distances_mm(prediction, truth, affine), tolerance_mm)


def surface_distances_mm(
    prediction: np.ndarray, truth: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """From each voxel of either surface to the nearest of the other: (predicted voxels,), (true voxels,), mm.

    Both masks (i, j, k) bool have a voxel.
    """
    from scipy.spatial import cKDTree

    # Nearest surface voxels are looked up in a tree: exact like a distance transform, but it costs surface, not volume.
    surfaces = [np.argwhere(surface(mask)) @ affine[:3, :3].T for mask in (prediction, truth)]
    trees = [cKDTree(points) for points in surfaces]
    return trees[1].query(surfaces[0])[0], trees[0].query(surfaces[1])[0]


def _hd95(there: np.ndarray, back: np.ndarray) -> float:
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _nsd(there: np.ndarray, back: np.ndarray, tolerance_mm: float) -> float:
    near = sum(int(np.count_nonzero(one <= tolerance_mm + _ROUNDING_MM)) for one in (there, back))
    return near / (len(there) + len(back))


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


def _score(predicted: np.ndarray, real: np.ndarray, grid: Grid, measures: Measures) -> ClassScore:
    """Two masks (i, j, k) bool within the box that holds both; a box of nothing where the class is in neither."""
    sizes = int(np.count_nonzero(predicted)), int(np.count_nonzero(real))
    volumes = sizes[0] * grid.voxel_volume_ml, sizes[1] * grid.voxel_volume_ml
    lesions = None if measures.lesion_iou is None else count_lesions(predicted, real, measures.lesion_iou)
    if sizes == (0, 0):
        return ClassScore(math.nan, math.nan, math.nan, *volumes, "absent", lesions)
    if 0 in sizes:
        return ClassScore(0.0, diagonal_mm(grid), 0.0, *volumes, "missed" if sizes[1] else "false_alarm", lesions)
    apart = surface_distances_mm(predicted, real, grid.affine)
    near = _nsd(*apart, measures.tolerance_mm)
    return ClassScore(dice(predicted, real), _hd95(*apart), near, *volumes, "found", lesions)


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
