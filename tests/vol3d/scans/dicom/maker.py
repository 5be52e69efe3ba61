"""Small DICOM series, made by hand so that a test can break any one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
ROW, COLUMN = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])


def slice_dataset(stored: np.ndarray, position: np.ndarray, series: str, **attributes: Any) -> Dataset:
    """One CT slice; `stored` (rows, columns) int16."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series
    dataset.StudyInstanceUID = series + ".1"
    dataset.FrameOfReferenceUID = series + ".2"
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "CT", 3, "made by hand"
    dataset.PatientName, dataset.PatientID, dataset.PatientSex, dataset.PatientBirthDate = "A^B", "1", "O", ""
    dataset.StudyID, dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "1", "20200101", "000000", ""
    dataset.ReferringPhysicianName, dataset.Manufacturer = "", ""
    dataset.ImagePositionPatient = [float(x) for x in position]
    dataset.ImageOrientationPatient = [*ROW, *COLUMN]
    dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.75], 9.0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1000
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = stored.astype("<i2").tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def write_series(
    folder: Path, count: int = 6, step_mm: float = 2.5, series: str = "1.2.3", prefix: str = "", **attributes: Any
) -> np.ndarray:
    """A series of `count` slices of 4 rows and 3 columns in scrambled order; returns values (columns, rows, count)."""
    folder.mkdir(exist_ok=True, parents=True)
    stored = np.random.default_rng(count).integers(0, 3000, (count, 4, 3)).astype(np.int16)
    turned = np.reshape(attributes.get("ImageOrientationPatient", [*ROW, *COLUMN]), (2, 3)).astype(float)
    normal = np.cross(turned[0], turned[1])
    for k in range(count):
        dataset = slice_dataset(stored[k], np.array([-10.0, 5.0, 30.0]) + k * step_mm * normal, series, **attributes)
        dataset.InstanceNumber = k * 7 % count + 1
        dataset.save_as(folder / f"{prefix}{k * 5 % 7:03d}_{k}.dcm", enforce_file_format=True)
    return stored.transpose(2, 1, 0).astype(np.float32) - 1000


def write_enhanced(path: Path, count: int = 4, order: Sequence[int] | None = None, **attributes: Any) -> np.ndarray:
    """One multi-frame file whose frames are in the `order` given; returns values (columns, rows, count)."""
    order = range(count) if order is None else order
    stored = np.random.default_rng(count).integers(0, 3000, (count, 4, 3)).astype(np.int16)
    dataset = slice_dataset(stored[0], np.zeros(3), "1.2.7")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    dataset.Modality, dataset.NumberOfFrames = "MR", count
    dataset.PixelData = b"".join(stored[k].astype("<i2").tobytes() for k in order)
    dataset.PerFrameFunctionalGroupsSequence = [_placed([0.0, 0.0, 2.5 * k]) for k in order]
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[*ROW, *COLUMN])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.5, 0.75], SliceThickness=2.5)]
    shared.PixelValueTransformationSequence = [_item(RescaleSlope=2, RescaleIntercept=-1000)]
    dataset.SharedFunctionalGroupsSequence = [shared]
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, name)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return stored.transpose(2, 1, 0).astype(np.float32) * 2 - 1000


def write_seg(
    path: Path,
    kind: str = "BINARY",
    names: Mapping[int, str] = MappingProxyType({1: "liver", 2: "spleen"}),
    planes: Sequence[tuple[int, float]] = ((1, 0), (2, 1), (1, 3)),
    **attributes: Any,
) -> np.ndarray:
    """A segmentation object on the slices of `write_series`, as other programs write them.

    Args:
        kind: SegmentationType.
        names: number -> name of each segment.
        planes: number and slice of each frame, of which row `number` mod 4 is in the segment.

    Returns:
        Labels (columns, rows, slices) from slice 0 to the last.
    """
    labels = np.zeros((3, 4, 1 + max(int(k) for _, k in planes)), np.uint8)
    pixels = np.zeros((len(planes), 4, 3), np.uint8)
    for frame, (number, k) in enumerate(planes):
        pixels[frame, number % 4] = {"LABELMAP": number, "FRACTIONAL": 255}.get(kind, 1)
        labels[:, number % 4, int(k)] = number
    dataset = slice_dataset(
        np.zeros((4, 3), np.int16), np.zeros(3), "1.2.8", Modality="SEG", NumberOfFrames=len(planes)
    )
    dataset.SOPClassUID = LABELMAP_STORAGE if kind == "LABELMAP" else SegmentationStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.SegmentationType, dataset.MaximumFractionalValue = kind, 255
    dataset.SegmentSequence = [_item(SegmentNumber=number, SegmentLabel=name) for number, name in names.items()]
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    packed = np.packbits(pixels.ravel(), bitorder="little") if bits == 1 else pixels
    dataset.PixelData = packed.tobytes() + bytes(packed.size % 2)
    groups = [_placed([-10.0, 5.0, 30.0 + 2.5 * k]) for _, k in planes]
    for group, (number, _) in zip(groups, planes, strict=True):
        group.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=number)]
    dataset.PerFrameFunctionalGroupsSequence = groups
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[*ROW, *COLUMN])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.5, 0.75], SliceThickness=9.0, SpacingBetweenSlices=2.5)]
    dataset.SharedFunctionalGroupsSequence = [shared]
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return labels


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _placed(position: list[float]) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = [_item(ImagePositionPatient=position)]
    return group


def damage(path: Path, name: str, raw: bytes, vr: str | None = None) -> None:
    """Writes bytes that need not be valid as an attribute's value; the file stays otherwise as it is."""
    dataset = pydicom.dcmread(path)
    tag = Tag(name)
    raw += b" " * (len(raw) % 2)
    dataset[tag] = RawDataElement(tag, vr or dictionary_VR(tag), len(raw), raw, 0, False, True)
    dataset.save_as(path)


def edit(path: Path, **attributes: object) -> None:
    """Sets attributes of a file, or of each file of a folder; None removes one."""
    for file in path.iterdir() if path.is_dir() else [path]:
        dataset = pydicom.dcmread(file)
        for name, value in attributes.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
        dataset.save_as(file)
