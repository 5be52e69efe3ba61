"""DICOM segmentation objects, what a clinic's archive takes, written for a DICOM series and read back before they stay.

Needs highdicom, the extra `vol3d[dicom]`. Each class is one binary segment (PS3.3 C.8.20) under its own name, and its
number is the class's, whether or not the class was found.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import atomic
from vol3d.scans.dicom.files import entries
from vol3d.scans.dicom.frames import Frame
from vol3d.scans.dicom.header import Header
from vol3d.scans.dicom.seg import read_dicom_seg
from vol3d.scans.dicom.series import find_series
from vol3d.scans.dicom.stack import ordered_frames
from vol3d.scans.volumes.volume import Grid, Segmentation

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PositionReferenceIndicator")
STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
LINKS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
PLACE_MM = 0.01  # how exactly a mask must stand on the slices it was made for
LONGEST_NAME = 64  # characters of SegmentLabel
_TO_NIFTI = "Write .nii.gz instead."


def write_dicom_seg(path: str | Path, segmentation: Segmentation, series: str | None = None) -> None:
    """Write one `.dcm` that refers to every slice of the series which `segmentation.source` holds.

    Where nothing was found, the object says so: its segments are empty.

    Args:
        series: the UID of the series, needed where several of the source stand on the segmentation's grid.

    Raises:
        UsageError: the source is no DICOM series, or none of its series stands on the segmentation's grid.
        DataError: a label without a name, a name that DICOM cannot hold, or a series that cannot be referred to.
        Vol3dError: highdicom is not installed; the file cannot be written.
    """
    hd, path = _highdicom(), Path(path)
    _check_names(segmentation, path)
    source, frames = _source(segmentation, series)
    slices = _slices(frames, segmentation.grid, source)
    with atomic(path) as temporary:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about values of the source, which are copied as they are
                _object(hd, slices, segmentation).save_as(temporary)
                hd.seg.segread(temporary)
            back = read_dicom_seg(temporary, segmentation.grid)
        except Exception as fault:  # highdicom raises ValueError, TypeError, AttributeError ... for one cause
            raise DataError(
                "no DICOM segmentation can be made for this series", where=source, do=_TO_NIFTI,
                got=fault.got if isinstance(fault, Vol3dError) else " ".join(str(fault).split())[:200],
            ) from fault  # fmt: skip
        if not np.array_equal(back.array[0], segmentation.labels):
            raise DataError("the DICOM segmentation does not read back as it was written", where=source, do=_TO_NIFTI)


def _check_names(segmentation: Segmentation, path: Path) -> None:
    names = segmentation.class_names
    highest = int(segmentation.labels.max(initial=0))
    if len(names) < 2 or highest >= len(names):
        raise DataError(
            "a DICOM segmentation needs named classes", where=path, got=f"label {highest}",
            wanted=f"0 to {len(names) - 1}",
        )  # fmt: skip
    for name in names[1:]:
        if not name.strip() or len(name) > LONGEST_NAME or "\\" in name or not name.isprintable():
            wanted = f"1 to {LONGEST_NAME} printable characters without a backslash"
            raise DataError("a class name that DICOM cannot hold", where=path, got=repr(name), wanted=wanted)


def _source(segmentation: Segmentation, uid: str | None) -> tuple[Path, list[Frame]]:
    """The source and the slices of the series in it that stands on the grid, first slice first."""
    source = segmentation.source
    if source is None or not source.exists():
        raise UsageError("a DICOM segmentation needs the DICOM series it was made for", where=source, wanted="a folder")
    try:
        with entries(source) as files:
            found = find_series(files, source)
    except DataError as fault:
        raise UsageError(
            "a DICOM segmentation needs a DICOM series as its source", where=source, got=fault, do=_TO_NIFTI
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


def _slices(frames: list[Frame], grid: Grid, source: Path) -> list[Any]:
    """The headers, completed so that an object can refer to them. Raises DataError for what cannot be made up."""
    from pydicom.uid import generate_uid

    headers = list(dict.fromkeys(frame.header for frame in frames))
    if frames[0].number is not None and (
        len(headers) > 1 or [frame.number for frame in frames] != list(range(len(frames)))
    ):
        raise DataError("frames that are not in order are not supported for DICOM-SEG", where=source, do=_TO_NIFTI)
    instances: dict[str, str] = {}
    frame_of_reference = generate_uid()
    for header in headers:
        for name in LINKS:
            if not header.text(name):
                raise header.wrong(name, "the UID that a segmentation refers to")
        instance = header.text("SOPInstanceUID")
        if (other := instances.setdefault(instance, header.name)) != header.name:
            raise DataError("two slices have one SOPInstanceUID", where=header.name, got=f"{instance}, as {other}")
    return [_completed(header, grid, frame_of_reference) for header in headers]


def _completed(header: Header, grid: Grid, frame_of_reference: str) -> Any:
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
    if not header.text("FrameOfReferenceUID"):
        header.dataset.FrameOfReferenceUID = frame_of_reference
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


def _object(hd: Any, slices: list[Any], segmentation: Segmentation) -> Any:
    from pydicom.uid import generate_uid

    labels = segmentation.labels.astype(np.uint8 if len(segmentation.class_names) <= 256 else np.uint16, copy=False)
    return hd.seg.Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(hd, number, name) for number, name in enumerate(segmentation.class_names) if number
        ],
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="vol3d",
        manufacturer_model_name="vol3d",
        software_versions=_version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description="vol3d segmentation",
        omit_empty_frames=bool(labels.any()),
    )


def _segment(hd: Any, number: int, name: str) -> Any:
    from pydicom.sr.codedict import codes

    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            "vol3d", codes.DCM.ArtificialIntelligence, _version()
        ),
    )


def _version() -> str:
    try:
        return metadata.version("vol3d")
    except metadata.PackageNotFoundError:
        return "unknown"


def _highdicom() -> Any:
    try:
        import highdicom
        import highdicom.seg
    except ImportError as fault:
        raise Vol3dError(
            "DICOM segmentations need the package highdicom", do='Run `pip install "vol3d[dicom]"`, or write .nii.gz.'
        ) from fault
    return highdicom
