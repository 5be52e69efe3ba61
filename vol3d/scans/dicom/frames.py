"""DICOM objects as frames: one slice each with its place, spacing and scaling, classic or enhanced alike.

Attribute names are those of the DICOM standard, PS3.3: C.7.6.2 (image plane), C.7.6.16 (functional groups), C.11.1
(rescale). Positions are LPS mm, as stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.dicom.files import Entry

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # Segmentation, Label Map Segmentation


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Args:
        entry: the file it is in.
        number: its index in the file's pixel data, None for a single-frame file.
        shape: (rows, columns).
        position: (3,) centre of the first pixel.
        row, column: (3,) unit vectors along a row (growing column index) and along a column.
        spacing: (2,) mm between rows, between columns.
        slope, intercept: value = stored * slope + intercept.
    """

    entry: Entry
    number: int | None
    shape: tuple[int, int]
    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: np.ndarray
    slope: float
    intercept: float

    @property
    def name(self) -> str:
        """File and frame, for messages."""
        return self.entry.name if self.number is None else f"{self.entry.name} frame {self.number + 1}"


def is_image(dataset: Any) -> bool:
    """True if it has pixels with a place in the patient."""
    if dataset.get("SOPClassUID") in SEGMENTATIONS or "Rows" not in dataset:
        return False
    return "ImagePositionPatient" in dataset or "PerFrameFunctionalGroupsSequence" in dataset


def frames(entry: Entry, dataset: Any) -> list[Frame]:
    """The frames of one image object.

    Raises:
        DataError: colour, a lookup table, or geometry that is missing or impossible.
    """
    _check_kind(entry, dataset)
    count = int(dataset.get("NumberOfFrames") or 1)
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        if count > 1:
            raise DataError("several frames without a position for each", where=entry.name, got=f"{count} frames")
        return [_frame(entry, None, dataset, [dataset] * 4)]
    groups = dataset.PerFrameFunctionalGroupsSequence
    if len(groups) != count:
        raise DataError("frames and their descriptions differ in number", where=entry.name, got=(count, len(groups)))
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    names = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    )
    result = []
    for number, group in enumerate(groups):
        parts = []
        for name in names:
            sequence = group.get(name) or (shared[0].get(name) if shared[0] is not None else None)
            parts.append(sequence[0] if sequence else {})
        result.append(_frame(entry, number, dataset, parts))
    return result


def _check_kind(entry: Entry, dataset: Any) -> None:
    kind = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if int(dataset.get("SamplesPerPixel", 1) or 1) != 1 or not kind.startswith("MONOCHROME"):
        raise DataError(
            "a colour image", where=entry.name, got=kind, wanted="one value per pixel", do="Export CT or MR."
        )
    if dataset.get("ModalityLUTSequence"):
        raise DataError("values through a lookup table", where=entry.name, wanted="RescaleSlope and RescaleIntercept")


def _frame(entry: Entry, number: int | None, dataset: Any, parts: list[Any]) -> Frame:
    position, orientation, measures, scaling = parts
    turned = _numbers(entry, orientation, "ImageOrientationPatient", 6)
    row, column = turned[:3], turned[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > 0.01:
        raise DataError(
            "the orientation is no pair of unit vectors at right angles", where=entry.name, got=turned.tolist()
        )
    spacing = _numbers(entry, measures, "PixelSpacing", 2)
    if (spacing <= 0).any():
        raise DataError("the pixel spacing is not above 0", where=entry.name, got=spacing.tolist(), wanted="mm")
    slope, intercept = (float(_value(scaling.get(n), d)) for n, d in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise DataError("the intensity scaling is impossible", where=entry.name, got=f"slope {slope}, {intercept}")
    return Frame(
        entry,
        number,
        (int(dataset.Rows), int(dataset.Columns)),
        _numbers(entry, position, "ImagePositionPatient", 3),
        row / lengths[0],
        column / lengths[1],
        spacing,
        slope,
        intercept,
    )


def _numbers(entry: Entry, dataset: Any, name: str, count: int) -> np.ndarray:
    """(count,) float64. Raises DataError if they are missing or not finite."""
    value = dataset.get(name)
    numbers = np.array([] if value is None else value, dtype=np.float64).ravel()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DataError(f"{name} is missing or damaged", where=entry.name, got=value, wanted=f"{count} numbers")
    return numbers


def _value(value: Any, default: float) -> Any:
    return default if value is None or value == "" else value
