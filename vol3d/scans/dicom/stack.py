"""Slices to a volume: their order, the step between them, and every reason to refuse them.

Slices are ordered by their position along the normal of their plane, and the step between them comes from the
positions: file names, instance numbers and SliceThickness give neither (a CHAOS CT is 3.2 mm thick in steps of 2.0 mm).
"""

from __future__ import annotations

from itertools import pairwise
from os import PathLike

import numpy as np

from vol3d.errors import DataError
from vol3d.notes import Note
from vol3d.scans.dicom.frames import Frame, frames
from vol3d.scans.dicom.series import Series
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.volume import Grid

_TELL_APART = (
    *("TemporalPositionIdentifier", "TemporalPositionIndex", "EchoNumbers", "EchoTime", "DiffusionBValue"),
    *("TriggerTime", "AcquisitionNumber", "ImageType", "AcquisitionTime", "ContentTime"),
)
ROUNDING_MM = 0.11  # positions are sometimes written with one decimal


def ordered_frames(series: Series, where: str | PathLike[str]) -> tuple[list[Frame], Grid]:
    """The slices along their normal, and where they stand.

    Returns:
        n frames and a grid of shape (columns, rows, n), in RAS.

    Raises:
        DataError: one slice; two sizes, spacings or orientations; two slices in one place; a gap; slices off a line.
    """
    unordered = [frame for entry, header in series.members for frame in frames(entry, header)]
    first = unordered[0]
    _check_alike(unordered, series, where)
    if len(unordered) < 2:
        raise DataError("one slice is not a volume", where=first.name, do="Give the folder with the whole series.")
    normal = np.cross(first.row, first.column)
    result = sorted(unordered, key=lambda frame: float(frame.position @ normal))
    step = _step(result, normal, series, where)
    affine = np.eye(4)
    affine[:3, 0] = first.row * first.spacing[1]
    affine[:3, 1] = first.column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = result[0].position
    return result, Grid((first.shape[1], first.shape[0], len(result)), LPS_TO_RAS @ affine)


def grid_notes(grid: Grid, where: str | PathLike[str]) -> tuple[Note, ...]:
    """Remarks about a tilted gantry and the like. Raises DataError for an affine that places nothing."""
    return tuple(check_affine(grid.affine, where))


def numbering_notes(series: Series) -> tuple[Note, ...]:
    """That the files are numbered in steps of two or more, as where every second slice was left behind.

    Evenly thinned slices stand evenly, so that their positions do not tell.
    """
    texts = [header.text("InstanceNumber") for _, header in series.members]
    numbers = sorted({int(text) for text in texts if text.isdecimal()})
    steps = {high - low for low, high in pairwise(numbers)}
    if len(numbers) < max(3, len(texts)) or len(steps) != 1 or steps == {1}:
        return ()
    text = "the {slices} slices are numbered in steps of {step} (InstanceNumber): those between them may be missing"
    return (Note("slices-numbered-apart", text, numbers={"slices": len(numbers), "step": steps.pop()}),)


def _check_alike(unordered: list[Frame], series: Series, where: str | PathLike[str]) -> None:
    first = unordered[0]
    for what, close in (
        ("sizes", lambda one: one.shape == first.shape),
        ("orientations", lambda one: np.allclose([one.row, one.column], [first.row, first.column], atol=1e-3)),
        ("pixel spacings", lambda one: np.allclose(one.spacing, first.spacing, rtol=1e-3)),
    ):
        odd = [frame for frame in unordered if not close(frame)]
        if odd:
            raise DataError(
                f"two {what} in one series", where=where,
                got=f"{len(unordered) - len(odd)} slices like {first.name}, {len(odd)} like {odd[0].name}, in {series}",
                do="Give a folder with one of them; localisers and mixed exports do this.",
            )  # fmt: skip


def _told_apart(series: Series) -> str:
    """By which attribute the slices in one place differ, and how many values it has; empty where no known one does."""
    places = [header.text("ImagePositionPatient") for _, header in series.members]
    for name in _TELL_APART:
        values = [header.text(name) for _, header in series.members]
        if len(set(values)) > 1 and len(set(zip(places, values, strict=True))) == len(places):
            return f": {name} tells {len(set(values))} apart"
    return ""


def _step(result: list[Frame], normal: np.ndarray, series: Series, where: str | PathLike[str]) -> np.ndarray:
    """(3,) mm from one slice to the next. Raises DataError if it is not the same everywhere."""
    places = np.array([frame.position for frame in result])
    heights = places @ normal
    gaps = np.diff(heights)
    same = np.flatnonzero(gaps < 1e-3)
    if len(same):
        raise DataError(
            f"{len(same) + 1} slices or more share a place: two copies, echoes or time points in one series",
            where=where,
            got=f"{result[same[0]].name} and {result[same[0] + 1].name}, in {series}",
            do=f"Give a folder with one of each{_told_apart(series)}.",
        )
    usual = float(np.median(gaps))
    tolerance = min(0.5 * usual, max(0.02 * usual, ROUNDING_MM))
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if len(odd):
        raise DataError(
            "the slices are not evenly spaced: one is missing, or two series are mixed",
            where=where,
            got=f"{gaps[odd[0]]:.3f} mm between {result[odd[0]].name} and {result[odd[0] + 1].name} "
            f"({len(odd)} such {'place' if len(odd) == 1 else 'places'} in {len(result)} slices)",
            wanted=f"{usual:.3f} mm",
            do="Export the series again, complete.",
        )
    step = (places[-1] - places[0]) / (len(result) - 1)
    off_line = np.linalg.norm(places - (places[0] + np.outer(np.arange(len(result)), step)), axis=1)
    if off_line.max() > max(2 * ROUNDING_MM, 0.5 * usual):
        worst = int(off_line.argmax())
        raise DataError(
            "the slices do not stand in one line", where=result[worst].name, got=f"{off_line[worst]:.2f} mm beside it"
        )
    return step
