"""What belongs to a series: none of its slices is left out, and what is no scan is no candidate."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.vol3d.scans.dicom.maker import edit, slice_dataset, write_enhanced, write_seg, write_series
from vol3d.errors import DataError, UsageError
from vol3d.scans import find_scans, read_volume

CAPTURE, DOSE = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.481.2"


def one_slice(path: Path, series: str, **attributes: object) -> None:
    dataset = slice_dataset(np.zeros((4, 3), np.int16), np.zeros(3), series, **attributes)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path, enforce_file_format=True)


def test_scouts_doses_and_the_like_are_no_candidates(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    one_slice(tmp_path / "s" / "scout.dcm", "7.7", SeriesNumber=9, SeriesDescription="scout")
    one_slice(tmp_path / "s" / "dose.dcm", "7.8", SOPClassUID=DOSE, Modality="RTDOSE")
    write_seg(tmp_path / "s" / "seg.dcm")
    write_series(tmp_path / "s", 3, series="7.9", prefix="l", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path / "s", 3, series="7.10", prefix="c", SOPClassUID=CAPTURE)
    for n, turned in enumerate(([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])):
        one_slice(tmp_path / "s" / f"plane{n}.dcm", "7.11", ImageOrientationPatient=turned)
    assert [source.series for source in find_scans([tmp_path / "s"])] == [None]
    volume = read_volume(tmp_path / "s")
    assert np.array_equal(volume.array[0], values) and volume.series == "1.2.3"
    assert [note.code for note in volume.notes] == ["files-left-out", "series-left-out"]
    assert "'scout'" in str(volume.notes[1]) and "RTDOSE" in str(volume.notes[0])


def test_a_named_series_notes_the_localiser_but_no_other_scan(tmp_path: Path) -> None:
    for series, prefix in (("1.2.3", "a"), ("1.2.4", "b")):
        write_series(tmp_path / "s", series=series, prefix=prefix)
    assert read_volume(tmp_path / "s", series="1.2.4").notes == ()
    write_series(tmp_path / "s", 3, series="7.9", prefix="l", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (note,) = read_volume(tmp_path / "s", series="1.2.4").notes
    assert note.code == "series-left-out" and "7.9" in str(note) and "1.2.3" not in str(note)


def test_localisers_in_the_series_of_the_scan(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s")
    one_slice(tmp_path / "s" / "l.dcm", "1.2.3", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)
    assert np.array_equal(read_volume(tmp_path / "s", series="1.2.3").array[0], values)


def test_only_a_screenshot_series_is_read(tmp_path: Path) -> None:
    values = write_series(tmp_path / "s", SOPClassUID=CAPTURE)  # as converters write volumes
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"Rows": None}, "Rows"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.99", "Rows": None}, "Rows"),
        ({"SeriesInstanceUID": None}, "SeriesInstanceUID"),
        ({"SeriesInstanceUID": ""}, "SeriesInstanceUID"),
        ({"SeriesInstanceUID": "1.2.4"}, "another SeriesInstanceUID"),
        ({"PixelData": None}, "PixelData"),
    ],
)
def test_the_last_slice_is_not_dropped(tmp_path: Path, attributes: dict[str, object], named: str) -> None:
    write_series(tmp_path / "s")
    path = max((tmp_path / "s").iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    edit(path, **attributes)
    with pytest.raises(DataError, match=named) as fault:
        read_volume(tmp_path / "s")
    assert path.name in str(fault.value)
    for source in find_scans([tmp_path / "s"]):
        with pytest.raises(DataError):
            read_volume(source.path, series=source.series)


@pytest.mark.parametrize("content", [b"", bytes(3000), b"\xff\x81" * 900])
def test_a_destroyed_slice_without_suffix(tmp_path: Path, content: bytes) -> None:
    write_series(tmp_path / "s")
    for n, path in enumerate(sorted((tmp_path / "s").iterdir())):
        path.rename(tmp_path / "s" / f"IM.{n}")
    (tmp_path / "s" / "README").write_text("From the scanner,\n\tin two lines.")
    (tmp_path / "s" / "thumbs.db").write_bytes(bytes(100))
    read_volume(tmp_path / "s")
    (tmp_path / "s" / "IM.5").write_bytes(content)
    with pytest.raises(DataError, match=r"IM\.5: not a DICOM file"):
        read_volume(tmp_path / "s")


@pytest.mark.parametrize("implicit", [True, False])
def test_slices_without_preamble(tmp_path: Path, implicit: bool) -> None:
    values = write_series(tmp_path / "s")
    for n, path in enumerate(sorted((tmp_path / "s").iterdir())):
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.save_as(tmp_path / "s" / f"IM{n}", implicit_vr=implicit, little_endian=True)
        path.unlink()
    assert [source.path for source in find_scans([tmp_path])] == [tmp_path / "s"]
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_links(tmp_path: Path) -> None:
    values = write_series(tmp_path / "real")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "s" / "again").symlink_to(tmp_path / "s")
    os.mkfifo(tmp_path / "s" / "pipe.dcm")
    os.mkfifo(tmp_path / "s" / "pipe")
    assert np.array_equal(read_volume(tmp_path / "s").array[0], values)
    with pytest.raises(DataError, match="not a regular one"):
        read_volume(tmp_path / "s" / "pipe.dcm")
    (tmp_path / "real" / "gone.dcm").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"gone\.dcm: cannot read the file"):
        read_volume(tmp_path / "real")


def test_only_other_objects(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    one_slice(tmp_path / "s" / "a.dcm", "1.1")
    one_slice(tmp_path / "s" / "b.dcm", "1.2")
    with pytest.raises(DataError, match="one slice is not a volume"):
        read_volume(tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    write_series(tmp_path / "s")
    for path in (tmp_path / "s").iterdir():
        edit(path, ImagePositionPatient=None)
    with pytest.raises(DataError, match="no image series; got 6 CT objects"):
        read_volume(tmp_path / "s")


def test_enhanced_files_of_two_series(tmp_path: Path) -> None:
    for n in (1, 2):
        values = write_enhanced(tmp_path / f"IM{n}", order=[2, 0, 3, 1], SeriesInstanceUID=f"5.{n}", SeriesNumber=n)
    found = find_scans([tmp_path])
    assert [source.series for source in found] == ["5.1", "5.2"]
    assert [source.name for source in found] == [f"{tmp_path.name}_{n}-made_by_hand" for n in (1, 2)]
    assert np.array_equal(read_volume(tmp_path, series="2").array[0], values)
    with pytest.raises(DataError, match=r"2 series in one folder.*--series"):
        read_volume(tmp_path)
    with pytest.raises(UsageError, match="several such series"):
        read_volume(tmp_path, series="made by hand")
