"""Which scans a path means, what they are called, and how much memory reading takes."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.vol3d.scans.dicom.maker import write_seg, write_series
from vol3d.errors import DataError, UsageError
from vol3d.scans import Volume, find_scans, read_volume, scan_stem, write_nifti
from vol3d.scans.find import with_series
from vol3d.scans.source import ScanSource
from vol3d.scans.volumes import voxels
from vol3d.scans.volumes.grid import resample


def paths_of(paths: list[str | Path]) -> list[Path]:
    return [source.path for source in find_scans(paths)]


def test_everything_a_folder_holds(tmp_path: Path) -> None:
    for name in (
        "b.nii.gz",
        "a.nii",
        "._a.nii",
        ".hidden.nii.gz",
        "c.NRRD",
        "d.mha",
        "e.mhd",
        "e.raw",
        "z.zip",
        "x.txt",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "f.nii").write_bytes(b"x")
    write_series(tmp_path / "ct")
    write_series(tmp_path / "bare")
    for number, path in enumerate(sorted((tmp_path / "bare").iterdir())):
        path.rename(path.with_name(f"IM{number}"))
    names = ["a.nii", "b.nii.gz", "c.NRRD", "d.mha", "e.mhd", "z.zip", "bare", "ct", "deep/f.nii"]
    assert paths_of([tmp_path]) == [tmp_path / name for name in names]
    assert paths_of([tmp_path / "ct"]) == [tmp_path / "ct"]
    assert paths_of([tmp_path / "x.txt", tmp_path / "x.txt"]) == [tmp_path / "x.txt"]
    assert paths_of([str(tmp_path / "*.nii*")]) == [tmp_path / "a.nii", tmp_path / "b.nii.gz"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        find_scans([tmp_path / "none.nii"])
    with pytest.raises(DataError, match="no scan in this folder"):
        find_scans([tmp_path])


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.b.nii.gz", "a.b"), ("x.nii", "x"), ("CT.NII.GZ", "CT"), ("s.nrrd", "s"), ("s.mhd", "s"), ("s.zip", "s"),
     ("i.dcm", "i"), ("plain", "plain"), ("v1.2", "v1.2"), (".nii", ".nii"), ("Größe 1.nii.gz", "Größe 1")],
)  # fmt: skip
def test_stem(name: str, stem: str) -> None:
    assert scan_stem(Path("folder") / name) == stem


def test_stem_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.1.zip").mkdir()
    assert scan_stem(tmp_path / "study.1.zip") == "study.1.zip"
    monkeypatch.chdir(tmp_path / "study.1.zip")
    assert scan_stem(".") == "study.1.zip"


def test_content_decides_where_the_name_does_not(tmp_path: Path) -> None:
    nibabel.Nifti1Image(np.ones((2, 3, 4), np.float32), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "scan")
    assert read_volume(tmp_path / "scan").grid.shape == (2, 3, 4)
    with pytest.raises(UsageError, match="only DICOM has series"):
        read_volume(tmp_path / "scan", series="1")


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_memory_stays_near_one_float32_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr(voxels, "SLAB_BYTES", 1 << 18)
    image = nibabel.Nifti1Image(np.zeros((160, 160, 160), dtype), np.eye(4))
    image.header.set_slope_inter(2, -1000)
    image.to_filename(tmp_path / "a.nii.gz")
    array_bytes = 160**3 * 4

    def peak(work) -> float:  # type: ignore[no-untyped-def]
        tracemalloc.start()
        try:
            kept = work()
            assert kept is not None
            return tracemalloc.get_traced_memory()[1] / array_bytes
        finally:
            tracemalloc.stop()

    assert peak(lambda: read_volume(tmp_path / "a.nii.gz")) < 1.3
    volume = read_volume(tmp_path / "a.nii.gz")
    assert peak(lambda: write_nifti(tmp_path / "b.nii.gz", volume) or True) < 0.2
    monkeypatch.setattr("vol3d.scans.volumes.grid.SLAB_VOXELS", 1 << 16)
    assert peak(lambda: resample(volume, (1.0, 1.0, 1.25))) < 1.2
    labels = Volume(volume.array.astype(np.uint8), volume.grid)
    assert peak(lambda: resample(labels, (1.0, 1.0, 1.25))) < 0.7


def test_each_series_of_a_folder_and_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_series(folder, 3, SeriesNumber=2, SeriesDescription="../T1 \x1b[31m/axial")
    write_series(folder, 4, series="9.8", prefix="b", SeriesNumber=2, SeriesDescription="T1 [31m axial")
    write_series(folder, 5, series="9.9", prefix="c", SeriesNumber=None, SeriesDescription="Größe" * 20)
    names = [f"study_{'Größe' * 9}Grö", "study_2-T1_31m_axial", "study_2-T1_31m_axial-2"]
    found = find_scans([folder])
    assert [(source.path, source.series, source.name) for source in found] == [
        (folder, uid, name) for uid, name in zip(("9.9", "1.2.3", "9.8"), names, strict=True)
    ]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    assert [source.series for source in find_scans([tmp_path / "z.zip"])] == ["9.9", "1.2.3", "9.8"]
    assert with_series(found, "T1") == [ScanSource(folder, "study", "T1")]


def test_a_folder_below_a_series(tmp_path: Path) -> None:
    write_series(tmp_path / "s", 3)
    write_series(tmp_path / "s" / "inner", 4, series="9.9")
    found = find_scans([tmp_path / "s"])
    assert [(source.name, source.series) for source in found] == [("s", "1.2.3"), ("inner", None)]
    assert [read_volume(source.path, series=source.series).grid.shape[2] for source in found] == [3, 4]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    write_series(tmp_path / "store" / "s")
    write_series(tmp_path / "set" / "real")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "store" / "s")
    (tmp_path / "set" / "same").symlink_to(tmp_path / "set" / "real")
    (tmp_path / "set" / "real" / "up").symlink_to(tmp_path / "set")
    assert [(source.path.name, source.name) for source in find_scans([tmp_path / "set"])] == [
        ("real", "real"),
        ("link", "link"),
    ]


def test_an_empty_folder_among_others_is_a_scan_that_fails(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    found = find_scans([tmp_path / "a", tmp_path / "b"])
    assert [source.name for source in found] == ["a", "b"]
    with pytest.raises(DataError, match="no image series; got an empty folder"):
        read_volume(found[1].path)


def test_a_damaged_series_is_a_scan_and_other_objects_are_none(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    (tmp_path / "a" / "cut.dcm").write_bytes(b"")
    (tmp_path / "only_seg").mkdir()
    write_seg(tmp_path / "only_seg" / "s.dcm")
    assert [source.name for source in find_scans([tmp_path])] == ["a"]
    assert [source.name for source in find_scans([tmp_path, tmp_path / "only_seg"])] == ["a", "only_seg"]
