"""RT structure sets (PS3.3 A.19), what planning systems take, written for a DICOM series.

Each class is one region of interest under its own name and number, outlined slice by slice. The outlines of every slice
are filled again and compared with the mask before the file is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vol3d.errors import DataError
from vol3d.files import atomic
from vol3d.notes import Note
from vol3d.scans.dicom.codes import concept_of
from vol3d.scans.dicom.contours import inside, outlines
from vol3d.scans.dicom.referenced import PATIENT, STUDY, check_names, referenced_frames, referenced_headers
from vol3d.scans.dicom.seg_write import vol3d_version
from vol3d.scans.results.palette import class_colours
from vol3d.scans.volumes.volume import Segmentation

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"


def write_rtstruct(path: str | Path, segmentation: Segmentation, series: str | None = None) -> tuple[Note, ...]:
    """Write one `.dcm` whose outlines refer to the slices of the series which `segmentation.source` holds.

    A class that was not found is a region without outlines. Returns which UIDs were generated.

    Args:
        series: the UID of the series, needed where several of the source stand on the segmentation's grid.

    Raises:
        UsageError: the source is no DICOM series, or none of its series stands on the segmentation's grid.
        DataError: a label without a name, a name that DICOM cannot hold, or a series that cannot be referred to.
        Vol3dError: scikit-image is not installed; the file cannot be written.
    """
    path = Path(path)
    check_names(segmentation, path)
    source, frames = referenced_frames(segmentation, series)
    headers, notes = referenced_headers(frames, segmentation.grid, source)
    images = [_image(headers, index) for index in range(segmentation.grid.shape[2])]
    structures = _structure_set(headers, segmentation, images)
    with atomic(path) as temporary:
        structures.save_as(temporary, enforce_file_format=True)
    return notes


def _structure_set(headers: Sequence[Any], segmentation: Segmentation, images: Sequence[Dataset]) -> Dataset:
    from pydicom.uid import generate_uid

    first = headers[0]
    now = datetime.now()
    found = _described(_file(generate_uid()), first, now)
    found.SeriesInstanceUID, found.SeriesNumber, found.InstanceNumber = generate_uid(), 1001, 1
    found.StructureSetLabel = "vol3d"
    found.StructureSetDate, found.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")

    series = _dataset(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=list(images))
    study = _dataset(
        ReferencedSOPClassUID=_STUDY_COMPONENT,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    frame = _dataset(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    found.ReferencedFrameOfReferenceSequence = [frame]

    names = segmentation.asked()
    colours = class_colours(("mask",), len(segmentation.class_names) - 1)
    found.StructureSetROISequence = [_region(number, name, first.FrameOfReferenceUID) for number, name in names]
    found.ROIContourSequence = [
        _dataset(
            ROIDisplayColor=list(bytes.fromhex(colours["mask", number].removeprefix("#"))),
            ContourSequence=list(_contours(segmentation, number, images)),
            ReferencedROINumber=number,
        )
        for number, _ in names
    ]
    found.RTROIObservationsSequence = [_observation(number, name) for number, name in names]
    found.ApprovalStatus = "UNAPPROVED"
    return found


def _file(uid: UID) -> Any:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = RTStructureSetStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = uid
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return found


def _described(found: Any, first: Any, now: datetime) -> Any:
    """Patient and study of the series, and who made this."""
    found.SpecificCharacterSet = "ISO_IR 192"
    for name in (*PATIENT, *STUDY, "StudyInstanceUID", "FrameOfReferenceUID"):
        setattr(found, name, getattr(first, name))
    found.Modality, found.Manufacturer, found.ManufacturerModelName = "RTSTRUCT", "vol3d", "vol3d"
    found.SoftwareVersions, found.SeriesDescription = vol3d_version(), "vol3d structures"
    found.InstanceCreationDate, found.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    found.OperatorsName = ""
    return found


def _region(number: int, name: str, frame_of_reference: str) -> Dataset:
    return _dataset(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame_of_reference,
        ROIName=name,
        ROIGenerationAlgorithm="AUTOMATIC",
    )


def _observation(number: int, name: str) -> Dataset:
    found = _dataset(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="", ROIInterpreter="")
    concept = concept_of(name)
    if concept.known:
        found.RTROIIdentificationCodeSequence = [_code(concept.type)]
        if concept.side is not None:
            found.RTROIIdentificationCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [_code(concept.side)]
    return found


def _code(code: Any) -> Dataset:
    return _dataset(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _image(headers: Sequence[Any], index: int) -> Dataset:
    """The slice that an outline lies on."""
    header = headers[index] if len(headers) > 1 else headers[0]
    image = _dataset(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if len(headers) == 1 and int(header.get("NumberOfFrames", 1)) > 1:
        image.ReferencedFrameNumber = index + 1
    return image


def _contours(segmentation: Segmentation, number: int, images: Sequence[Dataset]) -> Iterator[Dataset]:
    """The outlines of a class, slice by slice, in patient coordinates: mm to the left, to the back, to the head."""
    to_patient = np.diag([-1.0, -1.0, 1.0, 1.0]) @ segmentation.grid.affine
    for index, image in enumerate(images):
        plane = segmentation.labels[:, :, index] == number
        lines = outlines(plane)
        if not np.array_equal(inside(lines, plane.shape), plane):
            name = segmentation.class_names[number]
            raise DataError("outlines that do not fill to the mask again", where=f"slice {index} of {name}")
        kind = "CLOSEDPLANAR_XOR" if len(lines) > 1 else "CLOSED_PLANAR"
        for line in lines:
            places = np.column_stack([line, np.full(len(line), index), np.ones(len(line))]) @ to_patient[:3].T
            yield _dataset(
                ContourImageSequence=[image],
                ContourGeometricType=kind,
                NumberOfContourPoints=len(line),
                ContourData=[f"{value:.4f}" for value in places.ravel()],
            )


def _dataset(**values: Any) -> Dataset:
    from pydicom import Dataset

    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found
