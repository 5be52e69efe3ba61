"""Own data: cases found by name or listed, channels in several files, DICOM folders, an explicit split."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medical.datasets.folder import FolderSettings
from tests.medical.synthetic import CLASSES, write_folder, write_json
from vol3d.errors import DataError


def test_cases_by_name(tmp_path: Path) -> None:
    split = FolderSettings(root=write_folder(tmp_path), folds=2).split()
    assert [case.name for case in sorted(split.labelled, key=lambda c: c.name)] == ["case0", "case1", "case2", "case3"]
    assert (split.class_names, split.channel_names, split.name) == (CLASSES, ("MR",), tmp_path.name)
    assert split.listing == () and split.test == ()


def test_channels_in_a_folder_per_case(tmp_path: Path) -> None:
    split = FolderSettings(root=write_folder(tmp_path, channel_names=["T1", "FLAIR"]), folds=2).split()
    case = next(case for case in split.labelled if case.name == "case1")
    assert [path.name for path in case.images] == ["T1.nii.gz", "FLAIR.nii.gz"]
    (tmp_path / "images/case1/FLAIR.nii.gz").unlink()
    listing = FolderSettings(root=tmp_path, folds=2).split().listing
    assert [(fault.case, fault.what) for fault in listing] == [("case1", "no image for the channels FLAIR")]


def test_nnunets_raw_layout(tmp_path: Path) -> None:
    for name in ("b_1", "a"):
        for part in ("imagesTr/{}_0000.nii.gz", "imagesTr/{}_0001.nii.gz", "labelsTr/{}.nii.gz"):
            path = tmp_path / part.format(name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    folders = {"images": "imagesTr", "labels": "labelsTr"}
    write_json(tmp_path / "dataset.json", {"classes": ["background", "x"], "channels": ["0000", "0001"], **folders})
    split = FolderSettings(root=tmp_path, folds=2).split()
    assert sorted(case.name for case in split.labelled) == ["a", "b_1"] and split.listing == ()
    assert [path.name for path in split.train[0].images] == [f"{split.train[0].name}_000{c}.nii.gz" for c in (0, 1)]


def test_dicom_folders_and_other_formats(tmp_path: Path) -> None:
    for path in ("images/a/1.dcm", "images/a/2.dcm", "images/b.mha", "labels/a.nrrd", "labels/b.nii.gz"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    write_json(tmp_path / "dataset.json", {"classes": ["background", "x"]})
    split = FolderSettings(root=tmp_path, folds=2).split()
    images = {case.name: case.images for case in split.labelled}
    assert images == {"a": (tmp_path / "images/a",), "b": (tmp_path / "images/b.mha",)}


def test_listed_cases_and_an_explicit_split(tmp_path: Path) -> None:
    cases: list[dict[str, object]] = [
        {"name": name, "images": [f"images/case{i}.nii.gz"], "label": f"labels/case{i}.nii.gz"}
        for i, name in enumerate("abc")
    ]
    cases.append({"name": "d", "images": ["images/case3.nii.gz"]})
    explicit = {"train": ["a"], "validation": ["b"], "test": ["d"]}
    root = write_folder(tmp_path)
    write_json(root / "dataset.json", {"classes": list(CLASSES), "cases": cases, "split": explicit})
    split = FolderSettings(root=root).split()
    parts = (split.train, split.validation, split.test)
    assert [[case.name for case in part] for part in parts] == [["a"], ["b"], ["d"]]
    assert {(fault.case, fault.what) for fault in split.listing} == {
        ("c", "has a label but is in no part of the split"),
        ("case3", f"{root / 'labels/case3.nii.gz'} is in the folder but no case uses it"),
    }
    assert len(FolderSettings(root=root, fold=0, folds=3).split().labelled) == 3


def test_missing_pairs(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    (root / "labels/case0.nii.gz").unlink()
    (root / "images/case1.nii.gz").unlink()
    split = FolderSettings(root=root, folds=2).split()
    assert [(fault.case, fault.severity) for fault in split.listing] == [("case1", "error"), ("case0", "warning")]
    assert [case.name for case in split.test] == ["case0"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "classes: Field required"),
        ({"classes": ["background"]}, "classes"),
        ({"classes": ["background", "a", "a"]}, "'classes' has a name twice"),
        ({"classes": ["background", "a"], "chanels": ["CT"]}, "chanels: Extra inputs"),
        ({"classes": ["background", "a"], "images": "nowhere"}, "nowhere: no such folder"),
        ({"labels": {}, "training": []}, "'msd' instead of 'folder'"),
        ({"classes": ["background", "a"], "split": {"train": ["case0"], "validation": ["x"]}}, "are no case; got x"),
        (
            {"classes": ["background", "a"], "split": {"train": ["case0"], "validation": ["case0"]}},
            "listed twice; got case0",
        ),
        ({"classes": ["background", "a"], "cases": [{"name": "../a", "images": ["b"], "label": "c"}]}, "file name"),
        ({"classes": ["background", "a"], "cases": []}, "nothing in it"),
    ],
)
def test_documents_that_are_refused(tmp_path: Path, document: dict[str, object], message: str) -> None:
    root = write_folder(tmp_path, cases=2)
    write_json(root / "dataset.json", document)
    with pytest.raises(DataError, match=message):
        FolderSettings(root=root, folds=2).split()


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.json"):
        FolderSettings(root=tmp_path).split()
    root = write_folder(tmp_path, cases=1)
    shutil.rmtree(root / "labels")
    (root / "labels").mkdir()
    with pytest.raises(DataError, match="1 cases, none of them with a label"):
        FolderSettings(root=root).split()


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_only_scans_are_images_and_labels(tmp_path: Path) -> None:
    for n, suffix in enumerate((".mhd", ".nhdr", ".nii.gz", ".MHA", ".dcm")):
        touch(tmp_path, f"images/{n}{suffix}", f"labels/{n}{suffix}")
        touch(tmp_path, f"images/{n}.json", f"labels/{n}.csv")
    beside = ("0.raw", "0.zraw", "1.raw.gz", "1.img", "2.txt", "3.bvec", "Thumbs.db", "README")
    touch(tmp_path, *(f"{part}/{name}" for part in ("images", "labels") for name in beside))
    write_json(tmp_path / "dataset.json", {"classes": ["background", "x"]})
    split = FolderSettings(root=tmp_path, folds=2).split()
    assert split.listing == () and sorted(case.name for case in split.labelled) == ["0", "1", "2", "3", "4"]


def test_segmentations_of_slicer_belong_to_their_image(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nrrd", "images/a.seg.nrrd", "labels/a.seg.nrrd", "images/b.nii.gz", "labels/b.seg.nhdr")
    write_json(tmp_path / "dataset.json", {"classes": ["background", "x"]})
    split = FolderSettings(root=tmp_path, folds=2).split()
    assert split.listing == ()
    files = {case.name: (case.images[0].name, case.label.name) for case in split.labelled if case.label}
    assert files == {"a": ("a.nrrd", "a.seg.nrrd"), "b": ("b.nii.gz", "b.seg.nhdr")}


def test_two_files_of_one_name(tmp_path: Path) -> None:
    touch(write_folder(tmp_path), "images/case0.mha", "labels/case1.nrrd")
    listing = FolderSettings(root=tmp_path, folds=2).split().listing
    assert {(fault.case, fault.severity, fault.code) for fault in listing} == {
        ("case0", "error", "same-name-twice"),
        ("case1", "error", "same-name-twice"),
    }


def test_the_channel_with_the_longest_name_fits(tmp_path: Path) -> None:
    touch(tmp_path, "labels/a.nii.gz", *(f"images/a_{channel}.nii.gz" for channel in ("t1", "T1_Gd", "Gd")))
    write_json(tmp_path / "dataset.json", {"classes": ["background", "x"], "channels": ["Gd", "T1", "T1_Gd"]})
    case = FolderSettings(root=tmp_path).split().train[0]
    assert [path.name for path in case.images] == ["a_Gd.nii.gz", "a_t1.nii.gz", "a_T1_Gd.nii.gz"]


@pytest.mark.parametrize(
    ("classes", "ignore", "expected"),
    [
        (["background", "a", "ignore"], None, (("background", "a"), 2)),
        (["background", "a"], 255, (("background", "a"), 255)),
        (["background", "ignore", "a"], None, (("background", "unused 1", "a"), 1)),
        (["background", "a"], None, (("background", "a"), None)),
    ],
)
def test_voxels_to_ignore(tmp_path: Path, classes: list[str], ignore: int | None, expected: object) -> None:
    root = write_folder(tmp_path, classes=classes, ignore=ignore)
    split = FolderSettings(root=root, folds=2).split()
    assert (split.class_names, split.train[0].ignore) == expected


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"classes": ["background", "a"], "ignore": 1}, "'ignore' is not understood; got 1, classes background, a"),
        ({"classes": ["background", "a"], "ignore": 0}, "ignore"),
        ({"classes": ["ignore", "a", "b"]}, "'ignore' is not understood"),
        ({"classes": ["background", "ignore"]}, "'ignore' is not understood"),
        ({"classes": ["background", "a", "ignore"], "ignore": 255}, "'ignore' is not understood"),
    ],
)
def test_ignore_that_is_not_understood(tmp_path: Path, document: dict[str, object], message: str) -> None:
    write_json(write_folder(tmp_path, cases=2) / "dataset.json", document)
    with pytest.raises(DataError, match=message):
        FolderSettings(root=tmp_path, folds=2).split()
