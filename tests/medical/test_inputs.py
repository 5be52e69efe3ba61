"""Files of one channel each become the scans that a model takes."""

from pathlib import Path

import numpy as np
import pytest

from medical.inputs import join_channels, read_scan, without_masks
from tests.medical.synthetic import ras_affine, write_nifti
from vol3d.errors import DataError
from vol3d.scans import find_scans
from vol3d.scans.source import ScanSource

CHANNELS = ("T1", "T2")


def write(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        values = np.full((4, 5, 6), number, np.float32) + np.arange(6)
        write_nifti(folder / f"{name}.nii.gz", values, ras_affine())
    return folder


def found(folder: Path, channels: tuple[str, ...] = CHANNELS) -> dict[str, list[str]]:
    return {
        source.name: [path.name for path in source.files] for source in join_channels(find_scans([folder]), channels)
    }


def test_files_beside_each_other(tmp_path: Path) -> None:
    write(tmp_path, "b_T2", "b_T1", "a_t1", "a_t2", "c_0001", "c_0000")
    assert found(tmp_path) == {
        "a": ["a_t1.nii.gz", "a_t2.nii.gz"],
        "b": ["b_T1.nii.gz", "b_T2.nii.gz"],
        "c": ["c_0000.nii.gz", "c_0001.nii.gz"],
    }


def test_numbers_come_before_names_that_look_like_them(tmp_path: Path) -> None:
    write(tmp_path, "a_0000", "a_0001")
    assert found(tmp_path, ("0001", "0000")) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}


def test_a_folder_for_each_case(tmp_path: Path) -> None:
    write(tmp_path / "a", "T2", "T1")
    write(tmp_path / "b", "T1", "T2")
    assert found(tmp_path) == {"a": ["T1.nii.gz", "T2.nii.gz"], "b": ["T1.nii.gz", "T2.nii.gz"]}


def test_equal_names_in_other_folders_are_other_cases(tmp_path: Path) -> None:
    write(tmp_path / "p1", "x_T1", "x_T2")
    write(tmp_path / "p2", "x_T1", "x_T2")
    sources = join_channels(find_scans([tmp_path]), CHANNELS)
    assert [source.path.parent.name for source in sources] == ["p1", "p2"]
    assert all(len(source.channels) == 2 and source.name == "x" for source in sources)


def test_channels_are_read_in_the_order_of_the_model(tmp_path: Path) -> None:
    (source,) = join_channels(find_scans([write(tmp_path, "a_T2", "a_T1")]), CHANNELS)
    assert read_scan(source, CHANNELS).array[:, 0, 0, 0].tolist() == [1, 0]


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    (source,) = join_channels(find_scans([write(tmp_path, "a_T1")]), CHANNELS)
    with pytest.raises(DataError, match=r"a_T1\.nii\.gz: no file for the channels T2; got a_T1\.nii\.gz"):
        read_scan(source, CHANNELS)


def test_one_file_with_all_channels(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a_T1.nii.gz", np.zeros((4, 5, 6, 2), np.float32), ras_affine())
    (source,) = join_channels(find_scans([tmp_path]), CHANNELS)
    assert source.name == "a_T1" and len(read_scan(source, CHANNELS).array) == 2
    write(tmp_path / "other", "plain")
    (source,) = join_channels(find_scans([tmp_path / "other"]), CHANNELS)
    with pytest.raises(DataError, match="the image has 1 channels, the data set 2"):
        read_scan(source, CHANNELS)


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a_T1")
    write_nifti(tmp_path / "a_T2.nii.gz", np.zeros((4, 5, 6), np.float32), ras_affine((1, 1, 2)))
    (source,) = join_channels(find_scans([tmp_path]), CHANNELS)
    with pytest.raises(DataError, match="image and channel have different affines"):
        read_scan(source, CHANNELS)


def test_nnunets_names_for_one_channel(tmp_path: Path) -> None:
    write(tmp_path, "a_0000", "b_0000", "b", "c_0001", "d_MRI")
    assert sorted(found(tmp_path, ("MRI",))) == ["a", "b", "b_0000", "c_0001", "d_MRI"]
    series = ScanSource(Path("a_0000"), "a_0000", series="1.2")
    assert join_channels([series], ("MRI",)) == [series]


def test_masks_beside_their_scans(tmp_path: Path) -> None:
    write(tmp_path, "a", "b_seg", "c")  # b_seg has no scan, and c_mask is no mask by its voxels
    noise = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    write_nifti(tmp_path / "c_mask.nii.gz", noise, ras_affine())
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:7, 2:7, 2:7] = 2
    write_nifti(tmp_path / "a_seg.nii.gz", labels, ras_affine())
    sources = join_channels(find_scans([tmp_path]), ("CT",))
    kept = {source.name for source in without_masks(sources, [tmp_path])}
    assert kept == {"a", "b_seg", "c", "c_mask"} and len(sources) == 5
    named = [tmp_path / "a.nii.gz", tmp_path / "a_seg.nii.gz"]
    assert len(without_masks(join_channels(find_scans(named), ("CT",)), named)) == 2


def test_masks_beside_channels(tmp_path: Path) -> None:
    write(tmp_path, "a_T1", "a_T2")
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:7, 2:7, 2:7] = 1
    write_nifti(tmp_path / "a_seg.nii.gz", labels, ras_affine())
    sources = without_masks(join_channels(find_scans([tmp_path]), CHANNELS), [tmp_path])
    assert [source.name for source in sources] == ["a"]


def test_masks_in_a_folder_of_their_own(tmp_path: Path) -> None:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:7, 2:7, 2:7] = 1
    for folder in ("images", "labels", "manual_masks"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "images", "a", "b")
    for name in ("labels/a", "manual_masks/b_seg", "labels/alone"):
        write_nifti(tmp_path / f"{name}.nii.gz", labels, ras_affine())
    noise = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    write_nifti(tmp_path / "labels/b.nii.gz", noise, ras_affine())  # no labels in it
    sources = without_masks(join_channels(find_scans([tmp_path]), ("CT",)), [tmp_path])
    kept = sorted(f"{source.path.parent.name}/{source.name}" for source in sources)
    assert kept == ["images/a", "images/b", "labels/alone", "labels/b"]
