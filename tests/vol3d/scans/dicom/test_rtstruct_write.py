"""RT structure sets: where their outlines stand, what they refer to, and what cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.vol3d.scans.dicom.maker import write_series
from vol3d.errors import DataError, UsageError
from vol3d.scans import Segmentation, read_volume
from vol3d.scans.dicom.contours import inside
from vol3d.scans.dicom.rtstruct_write import write_rtstruct

pytest.importorskip("skimage")

NAMES = ("background", "left_kidney", "Größe")


def segmented(folder: Path, names: tuple[str, ...] = NAMES) -> Segmentation:
    volume = read_volume(folder)
    labels = np.zeros(volume.grid.shape, np.uint8)
    labels[1:, 2:, 1:3] = 1
    return Segmentation(labels, volume.grid, names, folder)


def written(folder: Path, made: Segmentation) -> pydicom.Dataset:
    path = folder.parent / "rt.dcm"
    write_rtstruct(path, made)
    return pydicom.dcmread(path)


def test_the_outlines_are_the_mask_again(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    found = written(tmp_path / "s", made)
    to_voxel = np.linalg.inv(np.diag([-1.0, -1, 1, 1]) @ made.grid.affine)
    labels = np.zeros_like(made.labels)
    for contours in found.ROIContourSequence:
        for contour in contours.get("ContourSequence", ()):
            places = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(places) == contour.NumberOfContourPoints
            index = places @ to_voxel[:3, :3].T + to_voxel[:3, 3]
            assert np.allclose(index[:, 2], np.rint(index[0, 2]), atol=1e-3)
            plane = labels[:, :, round(index[0, 2])]
            plane[inside([index[:, :2]], plane.shape)] = contours.ReferencedROINumber
    assert np.array_equal(labels, made.labels)


def test_it_refers_to_its_slices(tmp_path: Path) -> None:
    write_series(tmp_path / "s", PatientName="Müller^A", SpecificCharacterSet="ISO_IR 100")
    found = written(tmp_path / "s", segmented(tmp_path / "s"))
    slices = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in (tmp_path / "s").iterdir()}
    for contour in found.ROIContourSequence[0].ContourSequence:
        path = slices[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        place = pydicom.dcmread(path).ImagePositionPatient
        assert contour.ContourData[2] == pytest.approx(float(place[2]), abs=1e-3)
    assert found.PatientName == "Müller^A" and found.Modality == "RTSTRUCT" and found.Manufacturer == "vol3d"
    assert [region.ROIName for region in found.StructureSetROISequence] == list(NAMES[1:])
    kidney = found.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0]
    assert kidney.CodeMeaning == "Kidney"
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert not found.ROIContourSequence[1].ContourSequence  # not found: a region without outlines


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    made = Segmentation(made.labels, made.grid, made.class_names, made.source, roi=("Größe",))
    found = written(tmp_path / "s", made)
    assert [region.ROIName for region in found.StructureSetROISequence] == ["Größe"]


def test_a_hole_is_marked(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    made = segmented(tmp_path / "s")
    made.labels[:, :, 3] = 1
    made.labels[1, 1:3, 3] = 0
    found = written(tmp_path / "s", made)
    kinds = [contour.ContourGeometricType for contour in found.ROIContourSequence[0].ContourSequence]
    assert kinds == ["CLOSED_PLANAR", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSEDPLANAR_XOR"]


def test_bad_input(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    with pytest.raises(DataError, match="a class name that DICOM cannot hold"):
        written(tmp_path / "s", segmented(tmp_path / "s", ("background", "a\\b", "c")))
    made = segmented(tmp_path / "s")
    with pytest.raises(UsageError, match="needs the DICOM series"):
        write_rtstruct(tmp_path / "rt.dcm", Segmentation(made.labels, made.grid, NAMES, None))
    assert not (tmp_path / "rt.dcm").exists()
