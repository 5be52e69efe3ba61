"""nnU-Net's raw data written and read back: voxels, geometry, regions and what is ignored are the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medical.datasets.cases import IGNORED, DataSplit
from medical.datasets.export import export_nnunet
from medical.datasets.folder import FolderSettings
from medical.datasets.msd import MsdSettings, NnunetSettings
from medical.datasets.pairs import read_pair
from tests.medical.synthetic import CLASSES, blobs, ras_affine, write_folder, write_json, write_msd, write_nifti
from vol3d.cli.main import main
from vol3d.errors import DataError, UsageError


def there_and_back(split: DataSplit, out: Path) -> DataSplit:
    export_nnunet(split, out, 0, None)
    again = NnunetSettings(root=out, folds=2).split()
    assert again.listing == ()
    assert (again.name, again.class_names, again.channel_names) == (split.name, split.class_names, split.channel_names)
    assert again.regions == split.regions
    cases = {case.name: case for case in again.labelled}
    assert set(cases) == {case.name for case in split.labelled}
    for case in split.labelled:
        names = split.class_names, split.channel_names
        (image, label), (image2, label2) = read_pair(case, *names), read_pair(cases[case.name], *names)
        np.testing.assert_array_equal(image.array, image2.array)
        np.testing.assert_array_equal(label.array, label2.array)
        np.testing.assert_array_equal(image.affine, image2.affine)
        np.testing.assert_array_equal(label2.affine, image.affine)
    return again


def test_a_decathlon_task(tmp_path: Path) -> None:
    task = write_msd(tmp_path, 4, tests=2, channel_names=("FLAIR", "T1w"), orientation="LPS", spacing_mm=(1, 1.3, 2))
    again = there_and_back(MsdSettings(root=task, folds=2).split(), tmp_path / "Dataset001_Blobs")
    assert [case.name for case in again.test] == ["blobs_005", "blobs_006"]
    assert [path.name for path in again.test[0].images] == ["blobs_005_0000.nii.gz", "blobs_005_0001.nii.gz"]


def test_regions_and_what_is_ignored(tmp_path: Path) -> None:
    first = tmp_path / "first"
    for n in range(2):
        image, label = blobs(seed=n)
        label[:4] = 3
        write_nifti(first / f"imagesTr/c{n}_0000.nii.gz", np.rint(image[0]), ras_affine(tilt_deg=20))
        write_nifti(first / f"labelsTr/c{n}.nii.gz", label, ras_affine(tilt_deg=20))
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    known = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz", "regions_class_order": [1, 2]}
    write_json(first / "dataset.json", {"labels": labels, **known})
    split = NnunetSettings(root=first, folds=2).split()
    again = there_and_back(split, tmp_path / "Dataset002_Regions")
    document = json.loads((tmp_path / "Dataset002_Regions/dataset.json").read_text())
    assert document["labels"] == labels and document["regions_class_order"] == [1, 2]
    assert (read_pair(again.train[0], again.class_names, again.channel_names)[1].array == IGNORED).any()


def test_own_data_with_a_number_far_off(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", 2, ignore=200)
    label = blobs(seed=0)[1]
    label[:3] = 200
    write_nifti(root / "labels/case0.nii.gz", label, ras_affine())
    there_and_back(FolderSettings(root=root, folds=2).split(), tmp_path / "Dataset003_Mine")
    document = json.loads((tmp_path / "Dataset003_Mine/dataset.json").read_text())
    assert document["labels"] == {**{name: n for n, name in enumerate(CLASSES)}, "ignore": 3}
    assert document["numTraining"] == 2


def test_a_bad_case_leaves_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder(tmp_path / "mine", 3)
    write_nifti(root / "labels/case1.nii.gz", blobs((6, 6, 6))[1], ras_affine((2, 2, 2)))
    words = ["data", "export", "nnunet", "folder", str(root), "folds=2", "--workers", "0", "-o", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "1 of 3 cases cannot be exported" in said and "case1" in said and "DatasetXXX_Name" in said
    assert not (tmp_path / "out/dataset.json").exists()
    write_nifti(root / "labels/case1.nii.gz", blobs(seed=1)[1], ras_affine())
    assert main(words) == 0  # goes on in the folder of the export that failed
    assert (tmp_path / "out/dataset.json").exists()
    assert main(words) == 2
    assert "is not empty; got" in capsys.readouterr().err


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    split = FolderSettings(root=write_folder(tmp_path / "mine", 2), folds=2).split()
    (tmp_path / "out/labelsTr").mkdir(parents=True)
    (tmp_path / "out/labelsTr/other.nii.gz").touch()
    with pytest.raises(UsageError, match="not empty"):
        export_nnunet(split, tmp_path / "out", 0, None)


def test_the_originals_are_not_written_over(tmp_path: Path) -> None:
    split = FolderSettings(root=write_folder(tmp_path / "mine", 2), folds=2).split()
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "mine").rglob("*"))
    for out in (tmp_path / "mine", tmp_path / "mine" / ".." / "mine"):
        with pytest.raises(UsageError, match=r"the data set itself is in the folder.*Choose a new folder\.$"):
            export_nnunet(split, out, 0, None)
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "mine").rglob("*")) == before


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "export", "nnunet", "kitti", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "only data sets of volumes" in capsys.readouterr().err
    assert main(["data", "export", "nnunt", "msd", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "did you mean 'nnunet'" in capsys.readouterr().err.lower()
    with pytest.raises(DataError):
        NnunetSettings(root=tmp_path).split()
