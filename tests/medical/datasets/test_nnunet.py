"""nnU-Net's raw folder, with its JSON in all its forms, read as `nnunet`, `msd` and `folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medical.datasets.folder import FolderSettings
from medical.datasets.msd import MsdSettings, NnunetSettings
from tests.medical.synthetic import write_json
from vol3d.errors import DataError

SETTINGS = pytest.mark.parametrize("settings", [NnunetSettings, MsdSettings, FolderSettings])


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_raw(root: Path, channels: int = 1, **document: Any) -> Path:
    for name in ("a", "b"):
        touch(root, f"labelsTr/{name}.nii.gz", *(f"imagesTr/{name}_{c:04d}.nii.gz" for c in range(channels)))
        touch(root, *(f"imagesTs/test_{name}_{c:04d}.nii.gz" for c in range(channels)))
    names = {str(c): f"T{c + 1}" for c in range(channels)}
    labels = {"background": 0, "x": 1, "ignore": 2}
    known = {"channel_names": names, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz"}
    write_json(root / "dataset.json", known | document)
    return root


@SETTINGS
def test_cases_by_name(tmp_path: Path, settings: type) -> None:
    touch(write_raw(tmp_path, 2), "imagesTr/notes.txt", "imagesTr/._a_0000.nii.gz")
    split = settings(root=tmp_path, folds=2).split()
    assert split.listing == () and split.class_names == ("background", "x") and split.channel_names == ("T1", "T2")
    assert sorted(case.name for case in split.labelled) == ["a", "b"]
    assert {case.ignore for case in split.labelled} == {2}
    case = next(case for case in split.labelled if case.name == "a")
    assert [path.name for path in case.images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert [case.name for case in split.test] == ["test_a", "test_b"]


@SETTINGS
def test_what_is_missing(tmp_path: Path, settings: type) -> None:
    write_raw(tmp_path, 2)
    (tmp_path / "imagesTr/a_0001.nii.gz").unlink()
    (tmp_path / "labelsTr/b.nii.gz").unlink()
    touch(tmp_path, "labelsTr/c.nii.gz", "imagesTr/d_0000.nii.gz", "imagesTr/d_0001.nii.gz", "labelsTr/d.nii.gz")
    listing = settings(root=tmp_path, folds=2).split().listing
    faults = {(fault.case, fault.code) for fault in listing if fault.severity == "error"}
    assert {("a", "absent-channels"), ("c", "absent-image"), ("b", "absent-label")} <= faults


def test_a_list_of_images_without_their_channels(tmp_path: Path) -> None:
    # nnU-Net's first version lists a.nii.gz where a_0000.nii.gz and a_0001.nii.gz are.
    listed = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in "ab"]
    split = MsdSettings(root=write_raw(tmp_path, 2, training=listed), folds=2).split()
    assert {(case.name, len(case.images)) for case in split.labelled} == {("a", 2), ("b", 2)}
    assert all(path.is_file() for case in split.labelled for path in case.images)


def test_a_list_of_first_channels(tmp_path: Path) -> None:
    listed = [{"image": f"./imagesTr/{name}_0000.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in "ab"]
    split = MsdSettings(root=write_raw(tmp_path, 3, training=listed), folds=2).split()
    assert {(case.name, len(case.images)) for case in split.labelled} == {("a", 3), ("b", 3)}


def test_cases_listed_anywhere(tmp_path: Path) -> None:
    touch(tmp_path / "far", "a.mha", "a_seg.mha")
    entry = {"images": ["../far/a.mha"], "label": "../far/a_seg.mha"}
    write_raw(tmp_path / "here", dataset={"one": entry, "two": {"images": [str(tmp_path / "far/a.mha")], "label": "x"}})
    split = MsdSettings(root=tmp_path / "here", folds=2).split()
    case = next(case for case in split.labelled if case.name == "one")
    assert [path.name for path in case.images] == ["a.mha"] and case.images[0].is_file()
    codes = {(fault.case, fault.code) for fault in split.listing}
    assert {("one", "outside-folder"), ("two", "outside-folder"), ("two", "absent-file")} <= codes


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"file_ending": [".nii.gz"]}, "'file_ending' is no text"),
        ({"dataset": [1]}, "'dataset' is not understood"),
        ({"dataset": {"a": {"images": [], "label": "x"}}}, r"dataset\.a names no image"),
        ({"dataset": {"a": {"images": ["x"], "label": 3}}}, r"dataset\.a names no image"),
        ({"dataset": {"a": {"images": ["x\0y"], "label": "x"}}}, "no file can have this name"),
        ({"dataset": {"a": {"images": ["x" * 300], "label": "x"}}}, "no file can have this name"),
        ({"channel_names": {"0": ["CT"]}}, "channel names are not understood"),
        ({"channel_names": [1, 2]}, "channel names are not understood"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "`regions`"),
        ({"name": ["x"]}, "name is no text"),
        ({"name": "\ud800"}, "no Unicode"),
    ],
)
def test_documents_that_are_refused(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        MsdSettings(root=write_raw(tmp_path, **document), folds=2).split()


def test_a_key_that_is_set_twice_and_lists_without_end(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text('{"labels": {"b": 0, "a": 1, "a": 2}, "training": []}')
    with pytest.raises(DataError, match=r"a key is set twice; got a"):
        MsdSettings(root=tmp_path).split()
    for depth in (30, 500, 100_000):
        path.write_text('{"labels": ' + "[" * depth + "]" * depth + ', "training": []}')
        with pytest.raises(DataError, match="nested too deeply"):
            MsdSettings(root=tmp_path).split()
