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
