"""DICOM objects as frames: one slice each with its place, spacing and scaling, classic or enhanced alike.

Attribute names are those of the DICOM standard, PS3.3: C.7.6.2 (image plane), C.7.6.16 (functional groups), C.11.1
(rescale). Positions are LPS mm, as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vol3d.errors import DataError
from vol3d.scans.dicom.files import Entry
from vol3d.scans.dicom.header import Header

MOST_FRAMES = 1 << 20
_MACROS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Args:
        entry: the file it is in.
        header: that file's attributes, without pixels.
        number: its index in the file's pixel data, None for a single-frame file.
        shape: (rows, columns).
        position: (3,) centre of the first pixel.
        row, column: (3,) unit vectors along a row (growing column index) and along a column.
        spacing: (2,) mm between rows, between columns.
        slope, intercept: value = stored * slope + intercept.
    """

    entry: Entry
    header: Header
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


def frame_count(header: Header) -> int:
    """Frames of a file. Raises DataError for an impossible number."""
    return header.whole("NumberOfFrames", 1, 1, MOST_FRAMES)


def frames(entry: Entry, header: Header) -> list[Frame]:
    """The frames of one image object.

    Raises:
        DataError: colour, a lookup table, or geometry that is missing or impossible.
    """
    _check_kind(header)
    return placed_frames(entry, header)


def placed_frames(entry: Entry, header: Header) -> list[Frame]:
    """The frames of an object whatever its pixels mean. Raises DataError as `frames` does for geometry."""
    count = frame_count(header)
    if not header.has("PerFrameFunctionalGroupsSequence"):
        if count > 1:
            raise DataError("several frames without a position for each", where=entry.name, got=f"{count} frames")
        return [_frame(entry, None, header, [header] * len(_MACROS))]
    groups = header.items("PerFrameFunctionalGroupsSequence")
    if len(groups) != count:
        raise DataError("frames and their descriptions differ in number", where=entry.name, got=(count, len(groups)))
    shared = shared_group(header)
    return [
        _frame(entry, n, header, [macro(name, group, shared) for name in _MACROS]) for n, group in enumerate(groups)
    ]


def shared_group(header: Header) -> Header:
    """What all frames have in common; an empty one if nothing."""
    return next(iter(header.items("SharedFunctionalGroupsSequence")), Header(header.name, {}))


def macro(name: str, group: Header, shared: Header) -> Header:
    """The attributes of a functional group, a frame's own before the shared ones; empty if there are none."""
    found = group.items(name) or shared.items(name)
    return found[0] if found else Header(group.name, {})


def _check_kind(header: Header) -> None:
    kind = header.text("PhotometricInterpretation") or "MONOCHROME2"
    if header.whole("SamplesPerPixel", 1) != 1 or not kind.startswith("MONOCHROME"):
        raise DataError(
            "a colour image", where=header.name, got=kind, wanted="one value per pixel", do="Export CT or MR."
        )
    if header.items("ModalityLUTSequence"):
        raise DataError("values through a lookup table", where=header.name, wanted="RescaleSlope and RescaleIntercept")


def _frame(entry: Entry, number: int | None, header: Header, parts: list[Header]) -> Frame:
    position, orientation, measures, scaling = parts
    turned = orientation.reals("ImageOrientationPatient", 6)
    row, column = turned[:3], turned[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(row @ column)) > 0.01:
        raise DataError(
            "the orientation is no pair of unit vectors at right angles", where=entry.name, got=turned.tolist()
        )
    spacing = measures.reals("PixelSpacing", 2)
    if (spacing <= 0).any():
        raise DataError("the pixel spacing is not above 0", where=entry.name, got=spacing.tolist(), wanted="mm")
    slope, intercept = scaling.real("RescaleSlope", 1.0), scaling.real("RescaleIntercept", 0.0)
    if slope == 0:
        raise DataError("the intensity scaling is impossible", where=entry.name, got=f"slope {slope}, {intercept}")
    return Frame(
        entry,
        header,
        number,
        (header.whole("Rows", low=1), header.whole("Columns", low=1)),
        position.reals("ImagePositionPatient", 3),
        row / lengths[0],
        column / lengths[1],
        spacing,
        slope,
        intercept,
    )
