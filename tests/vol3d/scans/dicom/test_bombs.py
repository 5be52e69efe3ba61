"""Small files that announce or unpack to a lot: refused before the memory is taken."""

from __future__ import annotations

import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from tests.vol3d.scans.dicom.maker import write_enhanced, write_series
from vol3d.errors import DataError
from vol3d.scans import read_volume

MIB = 1 << 20


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.scans.dicom.parse.ALWAYS_FINE", MIB)  # in place of 256 MiB, for the time that it takes


@contextmanager
def at_most(mib: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib * MIB
    finally:
        tracemalloc.stop()


def test_zip(tmp_path: Path) -> None:
    for name, sizes in (("one", [30 * MIB]), ("many", [MIB] * 30)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number, size in enumerate(sizes):
                archive.writestr(f"{number}.dcm", bytes(size))
        with at_most(2), pytest.raises(DataError, match=rf"{name}\.zip: [01]\.dcm: the archive unpacks to too much"):
            read_volume(tmp_path / f"{name}.zip")


def test_deflated(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    path = sorted((tmp_path / "s").iterdir())[0]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    packed = [packer.compress(zlib.decompress(whole[start:], -zlib.MAX_WBITS))]
    packed += [packer.compress(bytes(MIB)) for _ in range(30)] + [packer.flush()]
    path.write_bytes(whole[:start] + b"".join(packed))
    with at_most(25), pytest.raises(DataError, match="the file unpacks to too much"):
        read_volume(tmp_path / "s")


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_that_are_not_there(tmp_path: Path, compressed: bool) -> None:
    write_series(tmp_path / "s", 3)
    for path in (tmp_path / "s").iterdir():
        dataset = pydicom.dcmread(path)
        if compressed:
            dataset.compress(RLELossless)
        dataset.Rows = dataset.Columns = 32767
        dataset.save_as(path)
    with pytest.raises(DataError, match=r"unpack to too much|PixelData|memory"):
        read_volume(tmp_path / "s")


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "e.dcm", NumberOfFrames=10**9)
    with at_most(20), pytest.raises(DataError, match="NumberOfFrames"):
        read_volume(tmp_path / "e.dcm")
