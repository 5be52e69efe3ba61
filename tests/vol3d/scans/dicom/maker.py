"""Small DICOM series, made by hand so that a test can break any one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

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
    folder.mkdir(exist_ok=True)
    stored = np.random.default_rng(count).integers(0, 3000, (count, 4, 3)).astype(np.int16)
    turned = np.reshape(attributes.get("ImageOrientationPatient", [*ROW, *COLUMN]), (2, 3)).astype(float)
    normal = np.cross(turned[0], turned[1])
    for k in range(count):
        dataset = slice_dataset(stored[k], np.array([-10.0, 5.0, 30.0]) + k * step_mm * normal, series, **attributes)
        dataset.InstanceNumber = k * 7 % count + 1
        dataset.save_as(folder / f"{prefix}{k * 5 % 7:03d}_{k}.dcm", enforce_file_format=True)
    return stored.transpose(2, 1, 0).astype(np.float32) - 1000
