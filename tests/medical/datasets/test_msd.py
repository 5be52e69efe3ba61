"""The Decathlon's layout with its peculiarities, and what cannot be understood."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medical.datasets.labels import label_table
from medical.datasets.msd import MsdSettings
from tests.medical.synthetic import CLASSES, write_json, write_msd
from vol3d.errors import DataError


def _edit(task: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((task / "dataset.json").read_text())
    change(document)
    write_json(task / "dataset.json", document)


def test_a_task_as_published(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5, tests=2)
    split = MsdSettings(root=task).split()
    assert split == MsdSettings(root=tmp_path).split(), "the parent of exactly one task serves as well"
    assert (split.name, split.class_names, split.channel_names) == ("Blobs", CLASSES, ("MRI",))
    assert [case.name for case in split.test] == ["blobs_006", "blobs_007"]
    assert split.listing == () and split.require() is split
    assert split.train[0].label == task / "labelsTr" / f"{split.train[0].name}.nii.gz"
    assert all(not path.name.startswith(".") for case in split.labelled + split.test for path in case.images)


def test_several_channels_and_optional_keys(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=3, channel_names=[f"m{i}" for i in range(11)])
    assert MsdSettings(root=task, folds=3).split().channel_names[-1] == "m10"

    def strip(document: dict[str, Any]) -> None:
        for key in ("name", "relase", "tensorImageSize", "modality", "numTraining", "numTest", "test"):
            del document[key]

    _edit(task, strip)
    split = MsdSettings(root=task, folds=3).split()
    assert split.channel_names == ("image",) and split.name == "Task04_Blobs" and split.listing == ()


def test_a_validation_list_is_the_published_split(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=6)
    _edit(task, lambda d: d.update(validation=[d["training"].pop(2)], numTraining=5))
    split = MsdSettings(root=task).split()
    assert [case.name for case in split.validation] == ["blobs_003"]
    assert len(MsdSettings(root=task, fold=0).split().labelled) == 6


def test_missing_test_images_are_tolerated(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5, tests=2)
    shutil.rmtree(task / "imagesTs")
    split = MsdSettings(root=task).split()
    assert [fault.severity for fault in split.listing] == ["warning"]
    assert "2 of 2 test images do not exist" in split.listing[0].what
    split.require()


def test_missing_unlisted_and_miscounted_files(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=6)
    (task / "labelsTr" / "blobs_002.nii.gz").unlink()
    (task / "imagesTr" / "blobs_003.nii.gz").unlink()
    shutil.copy(task / "imagesTr" / "blobs_001.nii.gz", task / "imagesTr" / "stray.nii.gz")
    _edit(task, lambda d: (d.update(numTraining=80), d["training"][4].pop("label")))
    split = MsdSettings(root=task).split()
    faults = {(fault.case, fault.severity): fault.what for fault in split.listing}
    assert "labelsTr/blobs_002.nii.gz does not exist" in faults["blobs_002", "error"]
    assert "imagesTr/blobs_003.nii.gz does not exist" in faults["blobs_003", "error"]
    assert "without a label" in faults["blobs_005", "error"]
    assert "no case uses it" in faults["stray", "warning"]
    assert faults["Blobs", "warning"] == "numTraining says 80, the list has 6"
    with pytest.raises(DataError, match=r"more faults.*vol3d data check"):
        split.require()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"0": "background", "1": "a"}, ("background", "a")),
        ({"background": 0, "a": 1, "b": 2}, ("background", "a", "b")),
        ({"0": "background", "4": "et", "1": "ncr", "2": "ed"}, ("background", "ncr", "ed", "unused 3", "et")),
    ],
)
def test_labels(labels: object, names: tuple[str, ...]) -> None:
    assert label_table(labels, Path("dataset.json")).class_names == names


@pytest.mark.parametrize(
    "labels", [None, {}, ["a"], {"1": "a"}, {"0": "a", "1": "a"}, {"0": "b", "255": "a"}, {"whole": [1, 2], "b": 0}]
)
def test_labels_that_are_not_understood(labels: object) -> None:
    with pytest.raises(DataError, match=r"dataset\.json.*wanted"):
        label_table(labels, Path("dataset.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("labels"), "no 'labels'"),
        (lambda d: d.update(training=[]), "nothing in it"),
        (lambda d: d.update(training={"a": 1}), "'training' is not a list"),
        (lambda d: d["training"].append({"label": "x"}), r"training\[5\] names no image"),
        (lambda d: d["training"].append(7), r"training\[5\] names no image"),
        (lambda d: d["training"].append(d["training"][0]), "two cases have the same name; got blobs_001"),
    ],
)
def test_a_json_that_is_not_understood(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    task = write_msd(tmp_path, cases=5)
    _edit(task, change)
    with pytest.raises(DataError, match=message):
        MsdSettings(root=task).split()


def test_folders_that_are_no_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        MsdSettings(root=tmp_path / "nowhere").split()
    with pytest.raises(DataError, match=r"got no dataset\.json"):
        MsdSettings(root=tmp_path).split()
    write_json(tmp_path / "Task01_A" / "dataset.json", {})
    write_json(tmp_path / "Task02_B" / "dataset.json", {})
    with pytest.raises(DataError, match="got Task01_A, Task02_B"):
        MsdSettings(root=tmp_path).split()
    write_json(tmp_path / "dataset.json", {"classes": []})
    with pytest.raises(DataError, match="'folder'"):
        MsdSettings(root=tmp_path).split()


def test_listing_imports_no_torch_and_opens_no_volume(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    for path in (task / "imagesTr").iterdir():
        path.write_bytes(b"not a scan")
    code = (
        "import sys; from medical.datasets.msd import MsdSettings; "
        f"assert len(MsdSettings(root={str(task)!r}).split().train) == 4; "
        "assert 'torch' not in sys.modules and 'nibabel' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_real_hippocampus(data_root: Path) -> None:
    split = MsdSettings(root=data_root / "msd").split()
    assert (len(split.train), len(split.validation)) == (166, 42)
    assert split.class_names == ("background", "Anterior", "Posterior") and split.listing == ()
