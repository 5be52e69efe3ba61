"""The DICOM series that a mask was made for, as objects that are derived from it refer to it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from vol3d.errors import DataError, UsageError
from vol3d.notes import Note
from vol3d.scans.dicom.files import entries
from vol3d.scans.dicom.frames import Frame
from vol3d.scans.dicom.header import Header
from vol3d.scans.dicom.series import find_series
from vol3d.scans.dicom.stack import ordered_frames
from vol3d.scans.volumes.volume import Grid, Segmentation

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PositionReferenceIndicator")
STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
OF_EACH = ("SOPClassUID", "SOPInstanceUID")
OF_ALL = ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
PLACE_MM = 0.01  # how exactly a mask must stand on the slices it was made for
LONGEST_NAME = 64  # characters of a segment's label and of an ROI's name
TO_NIFTI = "Write .nii.gz instead."


def check_names(segmentation: Segmentation, path: Path) -> None:
    """Raises DataError if a label has no name, or one that DICOM cannot hold."""
    names = segmentation.class_names
    highest = int(segmentation.labels.max(initial=0))
    if len(names) < 2 or highest >= len(names):
        raise DataError(
            "a DICOM object needs named classes", where=path, got=f"label {highest}",
            wanted=f"0 to {len(names) - 1}",
        )  # fmt: skip
    for name in names[1:]:
        if not name.strip() or len(name) > LONGEST_NAME or "\\" in name or not name.isprintable():
            wanted = f"1 to {LONGEST_NAME} printable characters without a backslash"
            raise DataError("a class name that DICOM cannot hold", where=path, got=repr(name), wanted=wanted)


def referenced_frames(segmentation: Segmentation, uid: str | None) -> tuple[Path, list[Frame]]:
    """The source and the slices of the series in it that stands on the grid, first slice first."""
    source = segmentation.source
    if source is None or not source.exists():
        raise UsageError(
            "a DICOM object needs the DICOM series that the mask was made for", where=source, wanted="a folder"
        )
    try:
        with entries(source) as files:
            found = find_series(files, source)
    except DataError as fault:
        raise UsageError(
            "a DICOM object needs a DICOM series as its source", where=source, got=fault, do=TO_NIFTI
        ) from fault
    matches = []
    for series in found:
        try:
            ordered, grid = ordered_frames(series, source)
        except DataError:  # a localiser or another volume beside it
            continue
        if uid in (None, series.uid) and grid.same_place(segmentation.grid, PLACE_MM):
            matches.append(ordered)
    if len(matches) != 1:
        what = "fits several series of its source" if matches else "does not stand on its source's slices"
        raise UsageError(f"the segmentation {what}", where=source, got=uid, wanted="one series")
    return source, matches[0]


def referenced_headers(frames: list[Frame], grid: Grid, source: Path) -> tuple[list[Any], tuple[Note, ...]]:
    """The headers, completed so that an object can refer to them, and which UIDs were generated for that.

    Raises:
        DataError: what cannot be generated is missing.
    """
    headers = list(dict.fromkeys(frame.header for frame in frames))
    if frames[0].number is not None and (
        len(headers) > 1 or [frame.number for frame in frames] != list(range(len(frames)))
    ):
        raise DataError("frames that are not in order cannot be referred to", where=source, do=TO_NIFTI)
    instances: dict[str, str] = {}
    for header in headers:
        for name in OF_EACH:
            if not header.text(name):
                raise header.wrong(name, "the UID that a derived object refers to")
        instance = header.text("SOPInstanceUID")
        if (other := instances.setdefault(instance, header.name)) != header.name:
            raise DataError("two slices have one SOPInstanceUID", where=header.name, got=f"{instance}, as {other}")
    generated = _generated(headers, sorted(instances))
    notes: tuple[Note, ...] = ()
    if generated:
        text = "none of the {files} files has a {value}: generated from their SOPInstanceUIDs"
        notes = (
            Note("uid-generated", text, value=", ".join(generated), assumed=True, numbers={"files": len(headers)}),
        )
    return [_completed(header, grid, generated) for header in headers], notes


def _generated(headers: list[Header], instances: list[str]) -> dict[str, str]:
    """UIDs of series, study and frame of reference that no file has: for one scan always the same.

    Raises:
        DataError: some files have one and others not.
    """
    from pydicom.uid import generate_uid

    found: dict[str, str] = {}
    for name in OF_ALL:
        without = [header for header in headers if not header.text(name)]
        if without and len(without) < len(headers):
            raise without[0].wrong(name, "the UID that the other files have")
        if without:
            found[name] = generate_uid(entropy_srcs=[name, *instances])
    return found


def _completed(header: Header, grid: Grid, generated: Mapping[str, str]) -> Any:
    """A copy in UTF-8 with values for what may be missing: empty ones where the standard has them (type 2), thickness.

    The header itself is shared with whoever reads the file again.
    """
    header = replace(header, dataset=deepcopy(header.dataset))
    try:
        header.dataset.decode()
    except Exception as fault:
        raise header.wrong("SpecificCharacterSet", "the character set of the texts") from fault
    header.dataset.SpecificCharacterSet = "ISO_IR 192"  # also for the names of the classes
    for name in (*PATIENT, *STUDY):
        if not header.has(name):
            setattr(header.dataset, name, "")
    for name, uid in {**{name: header.text(name) for name in OF_EACH}, **generated}.items():
        setattr(header.dataset, name, uid)
    groups = [*header.items("SharedFunctionalGroupsSequence"), *header.items("PerFrameFunctionalGroupsSequence")]
    measures = [part for group in groups for part in group.items("PixelMeasuresSequence")]
    for part in measures if groups else [header]:
        try:
            thickness = part.real("SliceThickness", 0.0)
        except DataError:
            thickness = 0.0
        if thickness <= 0:
            part.dataset.SliceThickness = f"{grid.spacing_mm[2]:.10g}"
    return header.dataset
