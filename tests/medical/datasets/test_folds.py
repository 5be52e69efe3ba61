"""Folds: nnU-Net's rule, JSON files of folds, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical.datasets.folds import nnunet_folds, read_folds
from medical.datasets.msd import MsdSettings
from tests.medical.synthetic import write_msd
from vol3d.errors import DataError, UsageError

NAMES = [f"c{i:02d}" for i in range(6)]


def test_the_rule_gives_scikit_learns_folds() -> None:
    # KFold(5, shuffle=True, random_state=12345).split(range(11)) of scikit-learn 1.9.1
    wanted = [[0, 3, 7], [6, 10], [8, 9], [1, 4], [2, 5]]
    names = [f"c{i:02d}" for i in range(11)]
    assert nnunet_folds(names[::-1], 5) == [tuple(names[i] for i in fold) for fold in wanted]


@given(st.integers(2, 60), st.integers(2, 10))
def test_folds_share_nothing_and_leave_nothing_out(count: int, folds: int) -> None:
    names = [f"c{i:02d}" for i in range(count)]
    if folds > count:
        with pytest.raises(UsageError, match="so many folds"):
            nnunet_folds(names, folds)
        return
    parts = nnunet_folds(names, folds)
    assert sorted(name for part in parts for name in part) == names
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def _write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_a_list_of_validation_names(tmp_path: Path) -> None:
    folds = read_folds(_write(tmp_path / "f.json", [["c00", "c01"], ["c02"]]), NAMES)
    assert folds[0] == (("c02", "c03", "c04", "c05"), ("c00", "c01"))
    assert folds[1][1] == ("c02",)


def test_nnunets_file(tmp_path: Path) -> None:
    entry = {"train": ["c03", "c01"], "val": ["c00"]}
    assert read_folds(_write(tmp_path / "splits_final.json", [entry, entry]), NAMES)[1] == (("c03", "c01"), ("c00",))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([["c00", "zz"], ["c01"]], "no labelled case; got zz"),
        ([["c00"], ["c00", "c01"]], "in the validation list of two folds; got c00"),
        ([["c00", "c00"]], "listed twice; got c00"),
        ([{"train": ["c00", "c01"], "val": ["c01"]}], "both in training and in validation; got c01"),
        ([{"train": [], "val": ["c01"]}], "no case trains"),
        ([[]], "no case validates"),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_folds(_write(tmp_path / "f.json", value), NAMES)
    assert message in str(error.value) and "f.json" in str(error.value)


@pytest.mark.parametrize("value", [{}, [], [1], [{"val": ["c00"]}], [[1]]])
def test_what_is_no_file_of_folds_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match=r"f\.json"):
        read_folds(_write(tmp_path / "f.json", value), NAMES)


def test_fold_settings(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=6)
    first = MsdSettings(root=task).split()
    assert first == MsdSettings(root=task, fold=0).split()
    validated = [case for fold in range(5) for case in MsdSettings(root=task, fold=fold).split().validation]
    assert len(set(validated)) == len(validated) == 6
    everything = MsdSettings(root=task, fold="all").split()
    assert len(everything.train) == 6 and everything.validation == ()
    assert set(first.labelled) == set(everything.labelled)
    with pytest.raises(UsageError, match="got 5, wanted 0 to 4, all or null"):
        MsdSettings(root=task, fold=5).split()


@pytest.mark.parametrize(("cases", "validate"), [(1, 0), (2, 1), (4, 1)])
def test_few_cases_can_be_looked_at_but_not_split_into_five(tmp_path: Path, cases: int, validate: int) -> None:
    task = write_msd(tmp_path, cases=cases)
    split = MsdSettings(root=task).split()
    assert (len(split.train), len(split.validation)) == (cases - validate, validate)
    with pytest.raises(UsageError, match="so many folds; got 5"):
        MsdSettings(root=task, fold=0).split()


def test_a_relative_file_of_folds_lies_in_the_data_sets_folder(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=4)
    _write(task / "folds.json", [["blobs_001"], ["blobs_004", "blobs_002"]])
    split = MsdSettings(root=task, folds=Path("folds.json"), fold=1).split()
    assert [case.name for case in split.validation] == ["blobs_002", "blobs_004"]
    assert [case.name for case in split.train] == ["blobs_001", "blobs_003"]


def test_the_real_folds(data_root: Path) -> None:
    task = data_root / "msd" / "Task04_Hippocampus"
    parts = [MsdSettings(root=task, folds=Path("folds.json"), fold=fold).split() for fold in range(4)]
    assert [len(part.validation) for part in parts] == [52] * 4
    assert len({case.name for part in parts for case in part.validation}) == 208
