"""What is no regular file is named before it is opened, and memory is asked for before it is taken."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError
from vol3d.scans import read_labels, read_volume
from vol3d.scans.paths import file_size, is_dicom
from vol3d.scans.volumes.units import mm_of, unit_code
from vol3d.scans.volumes.voxels import check_memory


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd", "a.nhdr", "a.txt"])
def test_pipes_devices_and_links_to_them(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / f"null-{name}").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / f"null-{name}"):
        assert not is_dicom(path)
        for read in (read_volume, read_labels):
            with pytest.raises(DataError, match=r"a (named pipe|device), not a file"):
                read(path)


def test_other_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "empty.nii").touch()
    (tmp_path / "circle.nii").symlink_to(tmp_path / "circle.nii")
    for name, message in (
        ("empty.nii", "the file is empty"),
        ("none.nii", "no such file"),
        ("circle.nii", "cannot read the file"),
        ("a\0.nii", "cannot read the file"),
        ("a" * 300, "cannot read the file"),
        (".", "a folder, not a file"),
    ):
        with pytest.raises(DataError, match=message):
            file_size(tmp_path / name)


def test_memory_counts_what_a_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vol3d.memory.free_memory", lambda: 5 << 20)
    check_memory((1, 64, 64, 32), np.dtype(np.float32), "a")  # 0.5 MiB, and 2 MiB for a slab
    with pytest.raises(DataError, match=r"a: the volume does not fit.*1 x 64 x 64 x 80 voxels, 0\.01 GiB"):
        check_memory((1, 64, 64, 80), np.dtype(np.float32), "a")


def test_units() -> None:
    names = {"mm": 1.0, "Millimeters": 1.0, "\N{MICRO SIGN}m": 1e-3, "microns": 1e-3, "M": 1000.0, "inches": 25.4}
    assert all(mm_of(name, "a") == mm for name, mm in names.items())
    assert mm_of("", "a") is None and mm_of("???", "a") is None
    assert [unit_code(mm) for mm in (1.0, 1000.0, 0.001, 10.0)] == [2, 1, 3, 2]
    with pytest.raises(DataError, match="a: unknown unit of length; got 's'"):
        mm_of("s", "a")
