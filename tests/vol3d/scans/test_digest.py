"""The SHA-256 of a scan: equal wherever it lies and whatever it is called, another one where a voxel is."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.vol3d.scans.dicom.maker import edit, write_series
from vol3d.errors import DataError
from vol3d.scans import Volume, write_nifti
from vol3d.scans.digest import is_scan_of, of_scan, scan_sha256
from vol3d.scans.results.record import Record
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes.volume import Grid

MHD = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"


def digest(path: Path, **more: object) -> str:
    return scan_sha256(ScanSource(path, "scan", **more))  # type: ignore[arg-type]


def test_a_file_is_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"points")
    (tmp_path / "b.bin").write_bytes(b"points")
    assert digest(tmp_path / "a.bin") == digest(tmp_path / "b.bin") == hashlib.sha256(b"points").hexdigest()
    (tmp_path / "b.bin").write_bytes(b"pointS")
    assert digest(tmp_path / "a.bin") != digest(tmp_path / "b.bin")
    with pytest.raises(DataError, match=r"none\.bin: no such file"):
        digest(tmp_path / "none.bin")


def test_an_archive_of_arrays_is_a_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "000001_pc.npz"
    np.savez(path, pc=np.zeros((3, 6), np.float32))
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_series_is_its_slices_wherever_they_are(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    before = digest(tmp_path / "ct")
    shutil.copytree(tmp_path / "ct", tmp_path / "moved")
    for number, path in enumerate(sorted((tmp_path / "moved").iterdir(), reverse=True)):
        path.rename(path.with_name(f"IM{number}"))
    (tmp_path / "moved" / "notes.txt").write_text("no slice")
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in (tmp_path / "ct").iterdir():
            archive.write(path, f"deep/{path.name}")
    assert before == digest(tmp_path / "moved") == digest(tmp_path / "ct.zip")
    edit(next((tmp_path / "moved").glob("IM*")), PatientComments="another file")
    assert before != digest(tmp_path / "moved")


def test_a_series_of_several_is_that_one_alone(tmp_path: Path) -> None:
    write_series(tmp_path / "study", SeriesDescription="T1")
    shutil.copytree(tmp_path / "study", tmp_path / "alone")
    write_series(tmp_path / "study", series="9.9", prefix="b", SeriesDescription="T2")
    uids = {digest(tmp_path / "study", series=name) for name in ("T1", "T2")}
    assert len(uids) == 2 and digest(tmp_path / "alone") in uids


def test_a_header_has_the_file_of_its_voxels(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text(f"{MHD}ElementDataFile = a.raw\n")
    (tmp_path / "a.raw").write_bytes(bytes(8))
    before = digest(tmp_path / "a.mhd")
    (tmp_path / "a.raw").write_bytes(bytes(7) + b"\1")
    assert digest(tmp_path / "a.mhd") != before


def test_channels_are_in_their_order(tmp_path: Path) -> None:
    files = tuple(tmp_path / f"a_{name}.nii.gz" for name in ("T1", "T2"))
    for number, path in enumerate(files):
        write_nifti(path, Volume(np.full((1, 2, 2, 2), number, np.float32), Grid((2, 2, 2), np.eye(4))))
    assert digest(files[0], channels=files) != digest(files[0], channels=files[::-1]) != digest(files[0])
    record = of_scan(Record(), ScanSource(files[0], "a", channels=files))
    assert record.channels == ("a_T1.nii.gz", "a_T2.nii.gz") and is_scan_of(record, files[0])
    write_nifti(files[1], Volume(np.full((1, 2, 2, 2), 5, np.float32), Grid((2, 2, 2), np.eye(4))))
    assert not is_scan_of(record, files[0]) and is_scan_of(Record(), files[0])
