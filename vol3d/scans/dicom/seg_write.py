"""DICOM segmentation objects, what a clinic's archive takes, written for a DICOM series and read back before they stay.

Needs highdicom, the extra `vol3d[dicom]`. Each class is one binary segment (PS3.3 C.8.20) under its own name, and its
number is the class's, whether or not the class was found.
"""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from vol3d.errors import DataError, Vol3dError
from vol3d.files import atomic
from vol3d.notes import Note
from vol3d.scans.dicom.codes import concept_of
from vol3d.scans.dicom.referenced import LONGEST_NAME, TO_NIFTI, check_names, referenced_frames, referenced_headers
from vol3d.scans.dicom.seg import read_dicom_seg
from vol3d.scans.results.palette import class_colours
from vol3d.scans.volumes.volume import Segmentation


def write_dicom_seg(path: str | Path, segmentation: Segmentation, series: str | None = None) -> tuple[Note, ...]:
    """Write one `.dcm` that refers to every slice of the series which `segmentation.source` holds.

    Where nothing was found, the object says so: its segments are empty. Returns which UIDs were generated.

    Args:
        series: the UID of the series, needed where several of the source stand on the segmentation's grid.

    Raises:
        UsageError: the source is no DICOM series, or none of its series stands on the segmentation's grid.
        DataError: a label without a name, a name that DICOM cannot hold, or a series that cannot be referred to.
        Vol3dError: highdicom is not installed; the file cannot be written.
    """
    hd, path = _highdicom(), Path(path)
    check_names(segmentation, path)
    source, frames = referenced_frames(segmentation, series)
    slices, notes = referenced_headers(frames, segmentation.grid, source)
    with atomic(path) as temporary:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about values of the source, which are copied as they are
                _object(hd, slices, segmentation).save_as(temporary)
                hd.seg.segread(temporary)
            back = read_dicom_seg(temporary, segmentation.grid)
        except Exception as fault:  # highdicom raises ValueError, TypeError, AttributeError ... for one cause
            raise DataError(
                "no DICOM segmentation can be made for this series", where=source, do=TO_NIFTI,
                got=fault.got if isinstance(fault, Vol3dError) else " ".join(str(fault).split())[:200],
            ) from fault  # fmt: skip
        if not np.array_equal(back.array[0], _numbered(segmentation)):
            raise DataError("the DICOM segmentation does not read back as it was written", where=source, do=TO_NIFTI)
    return notes


def _object(hd: Any, slices: list[Any], segmentation: Segmentation) -> Any:
    from pydicom.uid import generate_uid

    colours = class_colours(("mask",), len(segmentation.class_names) - 1)
    labels = _numbered(segmentation)
    return hd.seg.Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(hd, number, name, colours["mask", label])
            for number, (label, name) in enumerate(segmentation.asked(), 1)
        ],
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="vol3d",
        manufacturer_model_name="vol3d",
        software_versions=vol3d_version(),
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description=_description(segmentation),
        omit_empty_frames=bool(labels.any()),
    )


def _numbered(segmentation: Segmentation) -> np.ndarray:
    """Numbers of segments: those of the classes that were asked for, from 1 on without a gap."""
    table = np.zeros(len(segmentation.class_names), np.uint8 if len(segmentation.class_names) <= 256 else np.uint16)
    for number, (label, _) in enumerate(segmentation.asked(), 1):
        table[label] = number
    return table[segmentation.labels]


def _description(segmentation: Segmentation) -> str:
    """`vol3d: spleen, liver`, cut to what DICOM holds."""
    names = [name for _, name in segmentation.asked()]
    text = f"vol3d: {', '.join(names)}"
    return text if len(text) <= LONGEST_NAME else f"vol3d: {len(names)} classes"


def _segment(hd: Any, number: int, name: str, colour: str) -> Any:
    from pydicom.sr.codedict import codes

    concept = concept_of(name)
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=concept.category,
        segmented_property_type=concept.type,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            "vol3d", codes.DCM.ArtificialIntelligence, vol3d_version()
        ),
        display_color=hd.color.CIELabColor.from_rgb(*bytes.fromhex(colour.removeprefix("#"))),
    )
    if concept.side is not None:
        side = [hd.sr.CodedConcept.from_code(concept.side)]
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = side
    return segment


def vol3d_version() -> str:
    """Of this package."""
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
