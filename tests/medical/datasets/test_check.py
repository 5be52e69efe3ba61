"""`check` names every fault that a data set can have, in one run, and is silent on a clean one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medical.datasets.cases import Case
from medical.datasets.check import check
from medical.datasets.msd import MsdSettings
from medical.datasets.pairs import label_complaint, label_counts, read_pair
from tests.medical.synthetic import CLASSES, write_case, write_msd
from vol3d.errors import DataError


def _edit_label(
    path: Path, *, dtype: type = np.uint8, values: np.ndarray | None = None, affine: np.ndarray | None = None
) -> None:
    """Rewrites a label with another type, other `values` or another `affine`."""
    image = nib.Nifti1Image.from_filename(path)
    values = np.asarray(image.dataobj) if values is None else values
    nib.save(nib.Nifti1Image(values.astype(dtype), image.affine if affine is None else affine), path)


def _break_everything(task: Path) -> None:
    """One fault of each kind in a task of 12 cases."""
    images, labels = ([task / part / f"blobs_{n:03d}.nii.gz" for n in range(13)] for part in ("imagesTr", "labelsTr"))
    label = np.asarray(nib.Nifti1Image.from_filename(labels[1]).dataobj)
    labels[1].unlink()
    images[2].write_bytes(images[2].read_bytes()[:500])
    _edit_label(labels[3], values=np.concatenate([label, label[:1]]))
    moved = nib.Nifti1Image.from_filename(labels[4]).affine.copy()
    moved[0, 3] += 7
    _edit_label(labels[4], affine=moved)
    write_case(images[5], labels[5], channels=2, seed=5)
    outside = label.copy()
    outside[1, 2, 3] = 7
    _edit_label(labels[6], values=outside)
    _edit_label(labels[7], dtype=np.float32)
    nan = np.asarray(nib.Nifti1Image.from_filename(images[8]).dataobj).copy()
    nan[3, 2, 1] = np.nan
    nib.save(nib.Nifti1Image(nan, nib.Nifti1Image.from_filename(images[8]).affine), images[8])
    _edit_label(labels[8], values=outside)
    images[9].write_bytes(images[10].read_bytes())
    write_case(images[11], labels[11], seed=11, spacing_mm=(1, 1, 9))
    _edit_label(labels[11], values=np.zeros_like(label))
    nib.save(
        nib.Nifti1Image(np.full(label.shape, 4, np.int16), nib.Nifti1Image.from_filename(images[12]).affine), images[12]
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_every_fault_in_one_run(tmp_path: Path, workers: int) -> None:
    task = write_msd(tmp_path, cases=12, class_names=(*CLASSES[:2], "posterior"))
    _break_everything(task)
    split = MsdSettings(root=task, fold="all").split()
    split = replace(split, class_names=(*split.class_names, "never"))
    seen: list[tuple[int, int]] = []
    faults = check(split, workers, lambda done, total, name: seen.append((done, total)))
    told = defaultdict(list)
    for fault in faults:
        told[fault.case].append(f"{fault.severity} {fault.what}")
        assert fault.do and str(fault).startswith(f"{fault.severity}: {fault.case}: ")
    assert {"absent-file", "unreadable-file", "grids-differ", "label-outside-classes"} <= {one.code for one in faults}
    expected = {
        "blobs_001": ["error the label", "does not exist"],
        "blobs_002": ["error", "blobs_002.nii.gz"],
        "blobs_003": ["error image and label have different shapes, (20, 24, 16) and (21, 24, 16)"],
        "blobs_004": ["error image and label have different affines: image [1 0 0 -10;", "label [1 0 0 -3;"],
        "blobs_005": ["error the image has 2 channels, the data set 1 (MRI)"],
        "blobs_006": ["error label values outside the 4 classes: 7 in 1 voxels, first at (1, 2, 3)"],
        "blobs_007": ["warning the label is stored as float32"],
        "blobs_008": ["error", "nan at voxel (3, 2, 1)", "7 in 1 voxels, first at (1, 2, 3)"],
        "blobs_009": ["warning the same image as blobs_010"],
        "blobs_011": ["warning the label has no foreground", "warning spacing 1 x 1 x 9 mm"],
        "blobs_012": ["error channel MRI is constant, 4 everywhere"],
        "Blobs": ["warning the class 3 (never) occurs in no training case"],
    }
    for case, parts in expected.items():
        for part in parts:
            assert part in " | ".join(told[case]), (case, told[case])
    assert set(told) == set(expected)
    assert [fault.severity for fault in faults] == sorted(fault.severity for fault in faults)
    assert sorted(seen) == [(n, 11) for n in range(1, 12)]


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR"])
def test_a_clean_data_set_has_no_faults(tmp_path: Path, orientation: str) -> None:
    task = write_msd(tmp_path, cases=5, tests=1, channel_names=("T1", "T2"), orientation=orientation)
    assert check(MsdSettings(root=task).split(), workers=0) == []


def test_leaks_between_the_parts(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    split = MsdSettings(root=task).split()
    train, validation = split.train[0], split.validation[0]
    both = check(replace(split, validation=(train,)), workers=0)
    assert [(fault.case, fault.severity) for fault in both] == [(train.name, "error")]
    validation.images[0].write_bytes(train.images[0].read_bytes())
    copied = check(split, workers=0)
    assert [fault.severity for fault in copied] == ["error"] and "in train and validation" in copied[0].what


def test_scaled_labels_are_told(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=5)
    path = task / "labelsTr" / "blobs_002.nii.gz"
    image = nib.Nifti1Image.from_filename(path)
    header = image.header.copy()
    header.set_slope_inter(0.01, 0)
    stored = (np.asarray(image.dataobj) * np.uint8(100)).tobytes(order="F")
    # Written by hand: nibabel would divide the values by the slope.
    with nib.openers.Opener(str(path), "wb") as file:
        header.write_to(file)
        file.write(b"\0" * 4)
        file.write(stored)
    faults = check(MsdSettings(root=task).split(), workers=0)
    assert len(faults) == 1 and "with slope 0.01 and intercept 0" in faults[0].what


def test_a_mapping_is_proposed_when_it_is_plain() -> None:
    wrong = label_complaint(np.array([[[0, 255]]]), ("background", "a"))
    assert wrong is not None and "255 in 1 voxels, first at (0, 0, 1)" in wrong[0] and "perhaps 255 -> 1" in wrong[1]
    assert label_complaint(np.zeros((0, 2, 2), np.uint8), ("background", "a")) is None
    assert label_counts(np.array([[[0, 70000, 0]]])) == {0: 2, 70000: 1}
    assert label_counts(np.array([[[1]]], dtype=np.uint8)) == {1: 1}


def test_read_pair_refuses_what_check_reports(tmp_path: Path) -> None:
    task = write_msd(tmp_path, cases=12)
    split = MsdSettings(root=task, fold="all").split()
    image, label = read_pair(split.train[9], split.class_names, split.channel_names)
    assert image.array.shape == (1, 20, 24, 16) and image.array.dtype == np.float32
    assert label.array.shape == (1, 20, 24, 16) and label.array.dtype == np.uint8
    _break_everything(task)
    for number, message in ((2, "shapes"), (3, "affines"), (4, "2 channels"), (5, "outside the 3 classes"), (7, "nan")):
        with pytest.raises(DataError, match=message) as error:
            read_pair(split.train[number], split.class_names, split.channel_names)
        assert f"blobs_{number + 1:03d}" in str(error.value)


def test_channels_in_several_files(tmp_path: Path) -> None:
    for n in range(2):
        write_case(tmp_path / f"{n}.nii.gz", tmp_path / "label.nii.gz", seed=n)
    case = Case("a", (tmp_path / "0.nii.gz", tmp_path / "1.nii.gz"), tmp_path / "label.nii.gz")
    image, _ = read_pair(case, CLASSES, ("T1", "T2"))
    assert image.array.shape == (2, 20, 24, 16) and not np.array_equal(image.array[0], image.array[1])
    write_case(tmp_path / "1.nii.gz", None, spacing_mm=(1, 1, 2))
    with pytest.raises(DataError, match="image and channel have different affines"):
        read_pair(case, CLASSES, ("T1", "T2"))


def test_the_real_hippocampus_has_two_float_labels(data_root: Path) -> None:
    split = MsdSettings(root=data_root / "msd").split()
    some = tuple(case for case in split.labelled if case.name.endswith(("003", "243", "001", "004")))
    faults = check(replace(split, train=some, validation=()), workers=0)
    assert [(fault.case, fault.severity) for fault in faults] == [
        ("hippocampus_003", "warning"),
        ("hippocampus_243", "warning"),
    ]
