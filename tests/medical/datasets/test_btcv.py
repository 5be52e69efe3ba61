"""BTCV in its layouts: pairs by number, the published split."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medical.datasets.btcv import CLASS_NAMES, BtcvSettings
from tests.medical.synthetic import write_btcv_msd, write_btcv_raw
from vol3d.errors import DataError


@pytest.mark.parametrize("inside", [".", "RawData", "RawData/Training"])
def test_the_raw_layout(tmp_path: Path, inside: str) -> None:
    write_btcv_raw(tmp_path)
    split = BtcvSettings(root=tmp_path / inside).split()
    assert [case.name for case in split.train] == ["img0001", "img0002", "img0021"]
    assert [case.name for case in split.validation] == ["img0035", "img0036"]
    assert [case.name for case in split.test] == ["img0061"]
    assert [case.label.name for case in split.train if case.label][1] == "label0002.nii.gz"
    assert split.class_names == CLASS_NAMES and len(CLASS_NAMES) == 14 and split.channel_names == ("CT",)
    assert split.listing == ()


def test_the_renamed_layout_is_the_same_split(tmp_path: Path) -> None:
    root = write_btcv_msd(tmp_path)
    split = BtcvSettings(root=root).split()
    assert [fault.what for fault in split.listing][:1] == ["numTraining says 80, the list has 3"]
    assert all(fault.severity == "warning" for fault in split.listing)
    (root / "dataset_0.json").unlink()
    bare = BtcvSettings(root=root).split()
    assert (bare.train, bare.validation, bare.class_names) == (split.train, split.validation, split.class_names)


def test_a_fold_replaces_the_published_split(tmp_path: Path) -> None:
    write_btcv_raw(tmp_path)
    split = BtcvSettings(root=tmp_path, fold=4).split()
    assert len(split.train) == 4 and len(split.validation) == 1 and len(split.labelled) == 5


def test_missing_pairs_are_named(tmp_path: Path) -> None:
    raw = write_btcv_raw(tmp_path)
    (raw / "Training/label/label0002.nii.gz").unlink()
    (raw / "Training/img/img0036.nii.gz").unlink()
    split = BtcvSettings(root=tmp_path).split()
    assert {fault.case: fault.what.rsplit("/")[-1] for fault in split.listing} == {
        "img0002": "img0002.nii.gz has no label with the number 0002",
        "label0036": "label0036.nii.gz has no image with the number 0036",
    }
    with pytest.raises(DataError, match="img0002"):
        split.require()


def test_without_the_published_cases_a_fold_must_be_chosen(tmp_path: Path) -> None:
    write_btcv_raw(tmp_path, numbers=(1, 2))
    with pytest.raises(DataError, match=r"data\.fold=0"):
        BtcvSettings(root=tmp_path).split().require()
    assert BtcvSettings(root=tmp_path, fold=0, folds=2).split().require().validation


def test_what_is_no_btcv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got an empty folder"):
        BtcvSettings(root=tmp_path).split()
    raw = write_btcv_raw(tmp_path, numbers=(1,))
    shutil.rmtree(raw / "Training/label")
    with pytest.raises(DataError, match="nothing in it"):
        BtcvSettings(root=tmp_path).split()
    with pytest.raises(DataError, match="no such folder"):
        BtcvSettings(root=tmp_path / "nowhere").split()
