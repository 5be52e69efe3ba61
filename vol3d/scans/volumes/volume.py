"""A medical volume: voxels and the place where they stand, as one object that keeps both true.

World coordinates are RAS millimetres (x to the patient's right, y to the front, z to the head), whatever the file's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from vol3d.notes import Note


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels stand.

    Args:
        shape: number of voxels along i, j, k.
        affine: (4, 4) float64, voxel index (i, j, k, 1) -> RAS mm of the voxel's centre.
        sform_code, qform_code: NIfTI codes of the file (1 = scanner, 2 = aligned), written back as they were.
        xyzt_units: NIfTI's unit codes of the file (2 = mm, 3 = micrometre); the affine is in mm all the same, and is
            written in the file's unit again.
        qform: (10,) the ten numbers of a NIfTI file's qform (pixdim 0-3, quatern b c d, qoffset x y z), kept because a
            quaternion made again from a matrix can differ in its last bits; None where there was no such file.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    sform_code: int = 1
    qform_code: int = 1
    xyzt_units: int = 2
    qform: np.ndarray | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along i, j, k."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres (1 ml = 1000 mm3)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def same_place(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """True if both have the same shape and no corner of one is farther than `tolerance_mm` from the other's."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[[0, n - 1] for n in self.shape], [1], indexing="ij"), dtype=float).reshape(
            4, -1
        )
        return bool(np.abs((self.affine - other.affine) @ corners).max() <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a grid.

    Args:
        array: (channels, i, j, k); images float32, labels an integer type with one channel.
        grid: where the voxels stand; `grid.shape == array.shape[1:]`.
        source: the file, folder or archive it was read from.
        notes: what a reader had to assume or put right, for the user to see.
        label_names: of labels whose file names them: label -> the name in the file, None where it names none.
        series: the UID of the DICOM series it was read from.
    """

    array: np.ndarray
    grid: Grid
    source: Path | None = None
    notes: tuple[Note, ...] = ()
    label_names: Mapping[int, str] | None = None
    series: str | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[1:] != self.grid.shape:
            raise ValueError(f"array must be (channels, *{self.grid.shape}), got {self.array.shape}")

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64, voxel index -> RAS mm."""
        return self.grid.affine

    def with_array(self, array: np.ndarray) -> Volume:
        """Other voxels (channels, i, j, k) on the same grid."""
        return replace(self, array=array)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One class index per voxel, on the grid of the image that it was made for.

    Args:
        labels: (i, j, k) unsigned integers; 0 is background.
        grid: where the voxels stand.
        class_names: `class_names[label]`, background first.
        source: the image that was segmented.
        notes: what was unusual in making it, for the user to see.
        roi: the classes that were asked for, others are background; empty: all.
        regions: of a model of overlapping regions, their names -> the labels that belong to each.
    """

    labels: np.ndarray
    grid: Grid
    class_names: tuple[str, ...]
    source: Path | None = None
    notes: tuple[Note, ...] = ()
    roi: tuple[str, ...] = ()
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def asked(self) -> list[tuple[int, str]]:
        """Label and name of each class that was asked for, without the background."""
        named = list(enumerate(self.class_names))[1:]
        return [(label, name) for label, name in named if not self.roi or name in self.roi]

    @cached_property
    def _counts(self) -> np.ndarray:
        """Voxels of each label; counted once."""
        return np.bincount(self.labels.ravel(), minlength=len(self.class_names))

    def voxels(self, labels: Sequence[int]) -> int:
        """How many have one of these labels."""
        return int(self._counts[list(labels)].sum())

    def volumes_ml(self) -> dict[str, float]:
        """Millilitres of each class that was asked for."""
        return {name: self.voxels([label]) * self.grid.voxel_volume_ml for label, name in self.asked()}

    def asked_regions(self) -> dict[str, tuple[int, ...]]:
        """The regions all of whose labels were asked for."""
        asked = {label for label, _ in self.asked()}
        return {name: labels for name, labels in self.regions.items() if asked.issuperset(labels)}

    def parts(self) -> list[tuple[str, tuple[int, ...]]]:
        """Name and labels of each class that was asked for, then of each region that is more than one of these."""
        classes = [(name, (label,)) for label, name in self.asked()]
        return classes + [part for part in self.asked_regions().items() if part not in classes]

    def regions_ml(self) -> dict[str, float]:
        """Millilitres of each of these regions, which may overlap: all labels that belong to it."""
        volume = self.grid.voxel_volume_ml
        return {name: self.voxels(labels) * volume for name, labels in self.asked_regions().items()}
