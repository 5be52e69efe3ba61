"""DICOM segmentation objects, what a clinic's archive takes: written for a DICOM series, and read back.

Needs highdicom, the extra `vol3d[dicom]`. Each class is one binary segment (PS3.3 C.8.20) under its own name.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, UsageError, Vol3dError
from vol3d.files import atomic
from vol3d.scans.dicom.files import entries
from vol3d.scans.dicom.frames import SEGMENTATIONS
from vol3d.scans.dicom.series import find_series, ordered_frames
from vol3d.scans.volumes.affine import LPS_TO_RAS, check_affine
from vol3d.scans.volumes.volume import Grid, Segmentation

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PositionReferenceIndicator")
STUDY = ("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName")
PLACE_MM = 0.01  # how exactly a mask must stand on the slices it was made for


def write_dicom_seg(path: str | Path, segmentation: Segmentation) -> None:
    """Write one `.dcm` that refers to every slice of the series which `segmentation.source` holds.

    Raises:
        UsageError: the source is no DICOM series, or none of its series stands on the segmentation's grid.
        DataError: a label without a name, or nothing segmented.
        Vol3dError: highdicom is not installed; the file cannot be written.
    """
    hd, path = _highdicom(), Path(path)
    present = [int(label) for label in np.unique(segmentation.labels) if label]
    if not present or present[-1] >= len(segmentation.class_names):
        raise DataError(
            "a DICOM segmentation needs named, non-empty classes", where=path, got=f"labels {present}",
            wanted=f"some of 1 to {len(segmentation.class_names) - 1}",
        )  # fmt: skip
    slices = _source(segmentation)
    # A binary object may leave numbers out, but highdicom counts segments from 1 without gaps.
    numbers = np.zeros(present[-1] + 1, np.uint8)
    numbers[present] = np.arange(1, len(present) + 1)
    result = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(numbers[segmentation.labels].transpose(2, 1, 0)),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(hd, number + 1, segmentation.class_names[label]) for number, label in enumerate(present)
        ],
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="vol3d",
        manufacturer_model_name="vol3d",
        software_versions=_version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description="vol3d segmentation",
    )
    with atomic(path) as temporary:
        result.save_as(temporary)


def is_dicom_seg(path: Path) -> bool:
    """True for a DICOM segmentation object."""
    with entries(path) as files:
        return str(files[0].dataset(pixels=False).get("SOPClassUID")) in SEGMENTATIONS


def read_dicom_seg(path: str | Path, grid: Grid | None = None) -> Segmentation:
    """Read a segmentation object.

    Args:
        grid: place the labels on this grid, usually the image's; an object holds only the slices that it needs.

    Returns:
        Labels, by the object's segment numbers, and the segments' names; on the object's own slices without `grid`.

    Raises:
        DataError: damaged, not a segmentation, segments that overlap, or slices that are not on `grid`.
        Vol3dError: highdicom is not installed.
    """
    hd, path = _highdicom(), Path(path)
    try:
        source = hd.seg.segread(path)
        volume = source.get_volume(combine_segments=True)
    except Exception as fault:  # highdicom raises ValueError, RuntimeError, AttributeError ... for one cause
        raise DataError("not a segmentation that can be one label map", where=path, got=str(fault)) from fault
    affine = LPS_TO_RAS @ volume.affine @ np.eye(4)[[2, 1, 0, 3]].T  # (slice, row, column) -> (column, row, slice)
    check_affine(affine, path)
    labels = np.asarray(volume.array).transpose(2, 1, 0)
    if np.linalg.det(affine[:3, :3]) < 0:  # highdicom stacks against the normal, `read_dicom` along it
        labels = labels[:, :, ::-1]
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, labels.shape[2] - 1], [0, 0, 0, 1.0]])
    labels = np.ascontiguousarray(labels)
    own = Grid((labels.shape[0], labels.shape[1], labels.shape[2]), affine)
    segments = {
        int(number): str(source.get_segment_description(number).segment_label) for number in source.segment_numbers
    }
    names = ["background"] + [
        segments.get(number, f"segment {number}") for number in range(1, max(segments, default=0) + 1)
    ]
    result = Segmentation(labels, own, tuple(names), path)
    return result if grid is None else _placed(result, grid, path)


def _placed(segmentation: Segmentation, grid: Grid, path: Path) -> Segmentation:
    """The labels on a grid with the same voxels, in whatever order of the axes."""
    to_grid = np.linalg.solve(grid.affine, segmentation.grid.affine)
    linear = np.rint(to_grid[:3, :3])
    first = np.rint(to_grid[:3, 3])
    far = np.abs(to_grid[:3, :3] - linear) @ np.array(segmentation.labels.shape) + np.abs(to_grid[:3, 3] - first)
    index = np.argwhere(segmentation.labels)
    target = (index @ linear.T + first).astype(np.intp)
    inside = bool(((target >= 0) & (target < grid.shape)).all()) if len(target) else True
    if far.max() > 0.1 or not np.array_equal(np.abs(linear) @ np.ones(3), np.ones(3)) or not inside:
        raise DataError("the segmentation does not stand on the image's voxels", where=path, do="Is it another scan's?")
    labels = np.zeros(grid.shape, segmentation.labels.dtype)
    labels[tuple(target.T)] = segmentation.labels[tuple(index.T)]
    return Segmentation(labels, grid, segmentation.class_names, path)


def _source(segmentation: Segmentation) -> list[Any]:
    """The headers of the slices, first slice first."""
    source = segmentation.source
    if source is None or not source.exists():
        raise UsageError("a DICOM segmentation needs the DICOM series it was made for", where=source, wanted="a folder")
    try:
        with entries(source) as files:
            found = find_series(files, source)
    except DataError as fault:
        raise UsageError(
            "a DICOM segmentation needs a DICOM series as its source", where=source, do="Write .nii.gz instead."
        ) from fault
    for series in found:
        ordered, grid = ordered_frames(series, source)
        if grid.same_place(segmentation.grid, PLACE_MM):
            headers = {entry.name: _completed(dataset) for entry, dataset in series.members}
            if ordered[0].number is not None:
                return _multi_frame(headers, ordered, source)
            return [headers[frame.entry.name] for frame in ordered]
    raise UsageError("the segmentation does not stand on its source's slices", where=source)


def _completed(dataset: Any) -> Any:
    """The header with empty values for what anonymising removes although the standard requires it (type 2)."""
    for name in (*PATIENT, *STUDY):
        if name not in dataset:
            setattr(dataset, name, "")
    return dataset


def _multi_frame(headers: dict[str, Any], ordered: list[Any], source: Path) -> list[Any]:
    if len(headers) > 1 or [frame.number for frame in ordered] != list(range(len(ordered))):
        raise DataError(
            "frames that are not in order are not supported for DICOM-SEG", where=source, do="Write .nii.gz."
        )
    return list(headers.values())


def _segment(hd: Any, number: int, name: str) -> Any:
    from pydicom.sr.codedict import codes

    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
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
