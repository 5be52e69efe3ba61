"""Labels beside images: named, cropped to their extent, with voxels to ignore."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medical.datasets.cases import IGNORED, Case
from medical.datasets.check import inspect_case
from medical.datasets.label_names import by_name
from medical.datasets.lattice import offset, on_lattice
from medical.datasets.pairs import read_pair
from medical.datasets.stats import case_stats
from tests.medical.synthetic import CLASSES, blobs, ras_affine, write_case, write_nifti
from vol3d.errors import DataError
from vol3d.scans.volumes.volume import Grid, Volume

GRID = Grid((4, 3, 2), np.eye(4))


def label(values: dict[int, str] | None, array: np.ndarray | None = None) -> Volume:
    array = np.array([0, 1, 2, 5], np.uint8) if array is None else array
    full = np.zeros(GRID.shape, array.dtype)
    full.ravel()[: len(array)] = array
    return Volume(full[None], GRID, Path("a.dcm"), label_names=values)


def test_names_decide_and_not_numbers() -> None:
    named = by_name(label({1: "POSTERIOR", 2: "anterior", 5: "Posterior "}), CLASSES)
    assert named.array.ravel()[:4].tolist() == [0, 2, 1, 2] and named.label_names is None
    assert by_name(named, CLASSES) is named, "without names the numbers are the classes"


@pytest.mark.parametrize("name", ["Left kidney", "left_kidney", "LEFT-KIDNEY", " left  kidney"])
def test_spelling_of_names(name: str) -> None:
    found = by_name(label({3: name}, np.array([3], np.uint8)), ("background", "liver", "Left Kidney"))
    assert found.array.max() == 2


def test_an_exact_name_goes_first() -> None:
    classes = ("background", "left_kidney", "left kidney")
    found = by_name(label({1: "left kidney", 2: "left_kidney"}, np.array([1, 2], np.uint8)), classes)
    assert found.array.ravel()[:2].tolist() == [2, 1]


def test_names_without_voxels_are_left_aside_and_others_refused() -> None:
    known = {1: "anterior", 2: "posterior"}
    assert by_name(label({**known, 7: "tumour"}, np.array([1, 2], np.uint8)), CLASSES).array.max() == 2
    with pytest.raises(DataError, match=r"a\.dcm: segments that are no class; got tumour, wanted background, anterior"):
        by_name(label({**known, 5: "tumour"}), CLASSES)
    with pytest.raises(DataError, match="got number 5, which has no name"):
        by_name(label(known), CLASSES)


def test_a_segment_to_ignore() -> None:
    found = by_name(label({1: "anterior", 2: "Ignore"}, np.array([1, 2], np.uint8)), CLASSES, ignore=9)
    assert found.array.ravel()[:2].tolist() == [1, 9]
    with pytest.raises(DataError, match="got Ignore"):
        by_name(label({2: "Ignore"}, np.array([2], np.uint8)), CLASSES)


def case(folder: Path, array: np.ndarray, affine: np.ndarray, ignore: int | None = None) -> Case:
    write_case(folder / "image.nii.gz", None, seed=1)
    write_nifti(folder / "label.nii.gz", array, affine)
    return Case("a", (folder / "image.nii.gz",), folder / "label.nii.gz", ignore)


def test_a_label_cropped_to_its_extent_is_padded(tmp_path: Path) -> None:
    whole = blobs(seed=1)[1]
    low, high = np.argwhere(whole).min(axis=0), np.argwhere(whole).max(axis=0) + 1
    affine = ras_affine()
    affine[:3, 3] += affine[:3, :3] @ low
    cropped = case(tmp_path, whole[low[0] : high[0], low[1] : high[1], low[2] : high[2]], affine)
    found = read_pair(cropped, CLASSES, ("MR",))[1]
    np.testing.assert_array_equal(found.array[0], whole)
    assert [note.code for note in found.notes] == ["label-covers-part"]
    faults = inspect_case(cropped, CLASSES, ("MR",)).faults
    assert [(fault.severity, fault.code) for fault in faults] == [("warning", "label-covers-part")]


@pytest.mark.parametrize(
    ("start", "shape", "diagonal"),
    [
        ((-1, 0, 0), (4, 4, 4), (1, 1, 1)),
        ((15, 0, 0), (6, 4, 4), (1, 1, 1)),
        ((2.3, 0, 0), (4, 4, 4), (1, 1, 1)),
        ((2, 2, 2), (4, 4, 4), (2, 1, 1)),
        ((9, 2, 2), (4, 4, 4), (-1, 1, 1)),
    ],
)
def test_a_label_off_the_lattice_is_refused(
    tmp_path: Path, start: tuple[float, ...], shape: tuple[int, ...], diagonal: tuple[float, ...]
) -> None:
    affine = ras_affine() @ np.diag([*diagonal, 1.0])
    affine[:3, 3] += start
    wrong = case(tmp_path, np.ones(shape, np.uint8), ras_affine())
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), wrong.label)
    with pytest.raises(DataError, match="image and label have different shapes"):
        read_pair(wrong, CLASSES, ("MR",))


def test_rounded_headers_still_fit() -> None:
    part = Grid((2, 2, 1), np.eye(4))
    part.affine[:3, 3] = (1.01, 0, 0.99)
    assert offset(part, GRID, 0.05) == (1, 0, 1)
    assert offset(Grid((2, 2, 1), part.affine + 0.2), GRID, 0.05) is None
    same = Volume(np.zeros((1, *GRID.shape), np.uint8), GRID)
    assert on_lattice(same, GRID, 0.05) is same


def test_ignored_voxels_are_read_as_such_and_counted_nowhere(tmp_path: Path) -> None:
    whole = blobs(seed=1)[1].copy()
    whole[:4] = 3
    ignoring = case(tmp_path, whole, ras_affine(), ignore=3)
    found = read_pair(ignoring, CLASSES, ("MR",))[1].array[0]
    assert found.dtype == np.uint8 and (found[:4] == IGNORED).all() and found[4:].max() < 3
    findings = inspect_case(ignoring, CLASSES, ("MR",))
    assert not findings.faults and 3 not in findings.occurring
    facts = case_stats(ignoring, CLASSES, ("MR",)).facts
    share = np.count_nonzero(whole[4:] == 1) / whole[4:].size
    assert facts["volumes"]["anterior"]["share"] == pytest.approx(share)
    with pytest.raises(DataError, match="3 in"):
        read_pair(Case("a", ignoring.images, ignoring.label), CLASSES, ("MR",))
    whole[:4] = 255
    with pytest.raises(DataError, match="255 in"):
        read_pair(case(tmp_path, whole, ras_affine(), ignore=3), CLASSES, ("MR",))
