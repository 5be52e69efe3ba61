"""Segmentation objects for series with gaps in their headers: highdicom and the package's own reader read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.vol3d.scans.dicom.maker import damage, edit, write_series
from vol3d.errors import DataError, UsageError
from vol3d.scans import Segmentation, read_labels, read_volume, write_segmentation

highdicom = pytest.importorskip("highdicom")

NAMES = ("background", "Größe", "spleen")


def segmented(folder: Path, label: int = 2, names: tuple[str, ...] = NAMES) -> Segmentation:
    volume = read_volume(folder)
    labels = np.zeros(volume.grid.shape, np.uint8)
    labels[1:, 2:, 1:3] = label
    return Segmentation(labels, volume.grid, names, folder)


def written(folder: Path, made: Segmentation, series: str | None = None) -> pydicom.Dataset:
    """The object, after it has been read back by both readers."""
    path = folder.parent / "seg.dcm"
    write_segmentation(path, made, series)
    back = read_labels(path, made.grid)
    assert np.array_equal(back.array[0], made.labels) and back.label_names == dict(enumerate(made.class_names[1:], 1))
    dataset = highdicom.seg.segread(path)
    assert [item.SegmentLabel for item in dataset.SegmentSequence] == list(made.class_names[1:])
    return dataset


@pytest.mark.parametrize("thickness", [None, "", b"1,5", b"0"])
def test_slice_thickness(tmp_path: Path, thickness: str | bytes | None) -> None:
    write_series(tmp_path / "s")
    if isinstance(thickness, bytes):
        for path in (tmp_path / "s").iterdir():
            damage(path, "SliceThickness", thickness)
    else:
        edit(tmp_path / "s", SliceThickness=thickness)
    shared = written(tmp_path / "s", segmented(tmp_path / "s")).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 2.5  # the distance between slices


def test_nothing_found(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    dataset = written(tmp_path / "s", segmented(tmp_path / "s", 0))
    assert not dataset.pixel_array.any() and len(dataset.SegmentSequence) == 2


def test_what_anonymising_removes(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    removed = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
               "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "Modality")  # fmt: skip
    edit(tmp_path / "s", **dict.fromkeys(removed))
    dataset = written(tmp_path / "s", segmented(tmp_path / "s"))
    assert dataset.PatientID == "" and dataset.FrameOfReferenceUID


@pytest.mark.parametrize(
    ("charset", "patient"),
    [("ISO_IR 100", "Müller^A"), ("ISO_IR 192", "山田^太郎"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")],
)
def test_character_sets(tmp_path: Path, charset: str | list[str], patient: str) -> None:
    write_series(tmp_path / "s", SpecificCharacterSet=charset, PatientName=patient)
    assert str(written(tmp_path / "s", segmented(tmp_path / "s")).PatientName) == patient


def without(folder: Path, *names: str, of_file: bool = False, files: int | None = None) -> None:
    """Empties UIDs of the first `files` slices, in the file meta information too if asked for."""
    for path in sorted(folder.iterdir())[:files]:
        dataset = pydicom.dcmread(path)
        for name in names:
            setattr(dataset, name, "")
            if of_file:
                delattr(dataset.file_meta, f"MediaStorage{name}")
        dataset.save_as(path)


def test_uids_that_only_the_file_meta_information_has(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "s").iterdir()}
    without(tmp_path / "s", "SOPClassUID", "SOPInstanceUID")
    made = segmented(tmp_path / "s")
    assert write_segmentation(tmp_path / "seg.dcm", made) == ()
    series = pydicom.dcmread(tmp_path / "seg.dcm").ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in series} == uids
    assert {item.ReferencedSOPClassUID for item in series} == {pydicom.uid.CTImageStorage}


@pytest.mark.parametrize("name", ["SOPInstanceUID", "SOPClassUID"])
def test_a_slice_without_a_uid_of_its_own(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "s")
    without(tmp_path / "s", name, of_file=True)
    with pytest.raises(DataError, match=f"{name} is missing or damaged"):
        written(tmp_path / "s", segmented(tmp_path / "s"))
    assert not (tmp_path / "seg.dcm").exists()


def test_uids_of_all_slices_are_generated_and_noted(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    without(tmp_path / "s", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    made = segmented(tmp_path / "s")
    (note,) = write_segmentation(tmp_path / "seg.dcm", made)
    assert note.code == "uid-generated" and note.numbers == {"files": 6} and note.assumed
    first, again = pydicom.dcmread(tmp_path / "seg.dcm"), written(tmp_path / "s", made)
    assert len({first.StudyInstanceUID, first.FrameOfReferenceUID, first.SeriesInstanceUID}) == 3
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert pydicom.uid.UID(first[name].value).is_valid and first[name].value == again[name].value
    series = [found.ReferencedSeriesSequence[0].SeriesInstanceUID for found in (first, again)]
    assert series[0] == series[1] != first.SeriesInstanceUID


@pytest.mark.parametrize("name", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_uid_that_some_slices_lack(tmp_path: Path, name: str) -> None:
    write_series(tmp_path / "s")
    without(tmp_path / "s", name, files=2)
    with pytest.raises(DataError, match=f"{name} is missing or damaged"):
        written(tmp_path / "s", segmented(tmp_path / "s"))


def test_other_refusals(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    for name in ("x" * 65, "a\\b", "bell\a", " "):
        with pytest.raises(DataError, match="a class name that DICOM cannot hold"):
            written(tmp_path / "s", segmented(tmp_path / "s", 1, ("background", name)))
    edit(tmp_path / "s", SOPInstanceUID="1.2.3.4")
    with pytest.raises(DataError, match="two slices have one SOPInstanceUID"):
        written(tmp_path / "s", segmented(tmp_path / "s"))


def test_the_series_that_was_segmented(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    write_series(tmp_path / "s", series="9.9", prefix="b", SeriesNumber=4)
    volume = read_volume(tmp_path / "s", series="4")
    made = Segmentation(np.ones(volume.grid.shape, np.uint8), volume.grid, NAMES, tmp_path / "s")
    with pytest.raises(UsageError, match="fits several series"):
        write_segmentation(tmp_path / "seg.dcm", made)
    assert written(tmp_path / "s", made, volume.series).ReferencedSeriesSequence[0].SeriesInstanceUID == "9.9"


def test_private_elements_are_no_hindrance(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.private_block(0x0029, "SOMEONE ELSE", create=True).add_new(1, "LO", "private")
        dataset.save_as(path)
    assert written(tmp_path / "s", segmented(tmp_path / "s")).Modality == "SEG"


def test_codes_colours_and_who_made_it(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    names = ("background", "left kidney", "spleen")
    dataset = written(tmp_path / "s", segmented(tmp_path / "s", names=names))
    kidney, spleen = dataset.SegmentSequence
    code = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert code.CodeMeaning == "Kidney" and code.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert kidney.RecommendedDisplayCIELabValue != spleen.RecommendedDisplayCIELabValue
    assert spleen.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "vol3d"
    assert dataset.SeriesDescription == "vol3d: left kidney, spleen"


def test_only_the_segments_that_were_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    made = replace(segmented(tmp_path / "s"), roi=("spleen",))
    write_segmentation(tmp_path / "seg.dcm", made)
    back = read_labels(tmp_path / "seg.dcm", made.grid)
    assert back.label_names == {1: "spleen"} and np.array_equal(back.array[0] == 1, made.labels == 2)
