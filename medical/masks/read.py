"""A predicted mask and its truth on one grid, with the numbers of the classes; nothing is resampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medical.datasets.label_names import by_name
from medical.datasets.lattice import joined_grid, on_lattice
from medical.datasets.pairs import TOLERANCE, grid_complaint, ignoring, label_complaint
from medical.masks.pairs import MaskPair
from vol3d.errors import DataError
from vol3d.scans.read import read_labels
from vol3d.scans.results.own import is_own
from vol3d.scans.results.record import read_record
from vol3d.scans.volumes.volume import Volume


@dataclass(frozen=True)
class Numbering:
    """What the numbers in masks stand for.

    Args:
        class_names: `class_names[label]`, background first.
        names: number in a file -> class, for files that do not name their labels; None: the number is the class.
        ignore: the truth's number for voxels that are not scored, or None.
    """

    class_names: tuple[str, ...]
    names: Mapping[int, str] | None = None
    ignore: int | None = None


def read_mask(path: Path) -> Volume:
    """Labels (1, i, j, k); a mask that vol3d wrote names its labels, as DICOM-SEG and `.seg.nrrd` do.

    Raises:
        DataError: the reader's.
    """
    mask = read_labels(path)
    names = read_record(path)[1].get("class_names") if mask.label_names is None and is_own(path) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return mask
    return replace(mask, label_names={number: name for number, name in enumerate(names) if number})


def read_masks(pair: MaskPair, numbering: Numbering) -> tuple[Volume, Volume]:
    """Prediction and truth (1, i, j, k) on one grid; voxels of the truth that are not scored are `IGNORED`.

    Formats that hold only the slices or the box that they need (DICOM-SEG, `.seg.nrrd`) are put voxel on voxel onto
    the grid of the other mask, or of both.

    Raises:
        DataError: the reader's; grids that differ; a label that is no class.
    """
    predicted, truth = _on_one_grid(read_mask(pair.predicted), read_mask(pair.truth))
    if wrong := grid_complaint(truth.grid, predicted.grid, "prediction"):
        what = wrong.what.replace("image", "truth")
        raise DataError(what, where=pair.name, do="Resample one of them to the other's grid, with nearest neighbours.")
    found = _numbered(predicted, pair.predicted, numbering, None)
    real = _numbered(truth, pair.truth, numbering, numbering.ignore)
    return replace(found, grid=truth.grid), ignoring(real, numbering.ignore)


def _on_one_grid(predicted: Volume, truth: Volume) -> tuple[Volume, Volume]:
    """Cropped masks on the whole grid; others as they are."""
    if _may_be_cropped(predicted):
        predicted = on_lattice(predicted, truth.grid, TOLERANCE)
    if _may_be_cropped(truth):
        truth = on_lattice(truth, predicted.grid, TOLERANCE)
    if _may_be_cropped(predicted) and _may_be_cropped(truth) and predicted.grid.shape != truth.grid.shape:
        both = joined_grid(predicted.grid, truth.grid, TOLERANCE)
        if both is not None:
            return on_lattice(predicted, both, TOLERANCE), on_lattice(truth, both, TOLERANCE)
    return predicted, truth


def _may_be_cropped(mask: Volume) -> bool:
    """Whether it is of a format whose writers crop: 3D Slicer's segmentations and DICOM-SEG."""
    name = "" if mask.source is None else mask.source.name.lower()
    return mask.label_names is not None and not name.endswith((".nii", ".nii.gz"))


def _numbered(mask: Volume, path: Path, numbering: Numbering, ignore: int | None) -> Volume:
    """The mask with the numbers of the classes."""
    if mask.label_names is None and numbering.names is not None:
        mask = replace(mask, label_names=numbering.names)
    mask = by_name(mask, numbering.class_names, ignore)
    if wrong := label_complaint(mask.array[0], numbering.class_names, ignore):
        raise DataError(wrong.what, where=path, do="Give the classes of these masks with --classes.")
    return mask


def occurring(mask: Volume) -> tuple[int, ...]:
    """The labels above 0 that have voxels."""
    return tuple(int(value) for value in np.unique(mask.array) if value)
