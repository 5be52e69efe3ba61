"""Damaged headers: one error that names file, attribute and value, whatever pydicom makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vol3d.scans.dicom.maker import damage, write_enhanced, write_series
from vol3d.cli.main import main
from vol3d.errors import DataError
from vol3d.scans import read_volume

DAMAGES = [
    ("PixelSpacing", b"1,0\\1,0", None),
    ("PixelSpacing", b"1.0", None),
    ("PixelSpacing", b"nan\\1", None),
    ("PixelSpacing", b"1e999\\1", None),
    ("PixelSpacing", b"", None),
    ("PixelSpacing", b"\xff\xfe\x00\x01", None),
    ("ImagePositionPatient", b"1\\2\\three", None),
    ("ImagePositionPatient", b"1\\2\\3\\4", None),
    ("ImageOrientationPatient", b"1\\0\\0\\0\\1", None),
    ("ImageOrientationPatient", b"\\\\\\\\\\", None),
    ("RescaleSlope", b"1,5", None),
    ("RescaleSlope", b"1\\2", None),
    ("RescaleIntercept", b"-inf", None),
    ("Rows", b"\0\0", None),
    ("Rows", b"\4\0\4\0", None),
    ("Rows", b"4.5 ", "DS"),
    ("Columns", b"x ", "LO"),
    ("BitsAllocated", b"", None),
    ("BitsAllocated", b"\x10\0", "UN"),
    ("BitsStored", b"\x20\0", None),
    ("HighBit", b"\x05\0", None),
    ("PixelPaddingValue", b"12", "LO"),
    ("NumberOfFrames", b"1000000000", None),
    ("NumberOfFrames", b"-1", None),
    ("NumberOfFrames", b"2.5", None),
    ("SamplesPerPixel", b"zero", "LO"),
]


@pytest.mark.parametrize(("name", "raw", "vr"), DAMAGES)
def test_the_attribute_is_named(tmp_path: Path, name: str, raw: bytes, vr: str | None) -> None:
    write_series(tmp_path / "s", 3)
    path = sorted((tmp_path / "s").iterdir())[1]
    damage(path, name, raw, vr)
    try:
        read_volume(tmp_path / "s")
    except DataError as fault:
        assert name in str(fault) and path.name in str(fault)
    else:  # where pydicom understands the value in spite of its type
        assert vr in ("UN", "LO")


def test_the_value_is_shown_without_control_characters(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    for path in (tmp_path / "s").iterdir():
        damage(path, "PixelSpacing", b"1\x1b[31m\\2" + b"9" * 100)
    with pytest.raises(DataError, match=r"PixelSpacing is missing or damaged; got .*…, wanted 2 numbers") as fault:
        read_volume(tmp_path / "s")
    assert "\x1b" not in str(fault.value)


@pytest.mark.parametrize("verb", ["view", "predict"])
def test_the_command_line_says_it(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "s", 3)
    for path in (tmp_path / "s").iterdir():
        damage(path, "RescaleSlope", b"1,5")
    words = {"view": ["--png", str(tmp_path / "x.png")], "predict": ["-o", str(tmp_path / "out")]}[verb]
    first = ["predict", "unetr-hippocampus"] if verb == "predict" else ["view"]
    assert main([*first, str(tmp_path / "s"), *words]) == 1
    told = capsys.readouterr()
    assert "RescaleSlope" in told.err and "1,5" in told.err and "Traceback" not in told.err


def test_groups_of_frames(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm")
    assert read_volume(tmp_path / "e.dcm").grid.spacing_mm == (0.75, 0.5, 2.5)
    damage(tmp_path / "e.dcm", "SharedFunctionalGroupsSequence", b"no sequence", "LO")
    with pytest.raises(DataError, match="SharedFunctionalGroupsSequence is missing or damaged"):
        read_volume(tmp_path / "e.dcm")
    write_enhanced(tmp_path / "e.dcm", NumberOfFrames=3)
    with pytest.raises(DataError, match="frames and their descriptions differ in number"):
        read_volume(tmp_path / "e.dcm")
