"""Trees of folders such as BIDS, read by patterns for images and labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medical.datasets.check import check
from medical.datasets.folder import FolderSettings
from medical.datasets.patterns import compiled
from tests.medical.synthetic import CLASSES, blobs, ras_affine, write_json, write_nifti
from vol3d.errors import DataError

IMAGES, LABELS = "sub-*/**/anat/{case}_{channel}.nii*", "derivatives/manual/sub-*/**/anat/{case}_dseg.nii.gz"


def write_bids(root: Path, **document: object) -> Path:
    """Three subjects, one with a session, one without a label; JSON and other files beside the images."""
    for n, (folder, name) in enumerate(
        [("sub-01/anat", "sub-01"), ("sub-02/ses-1/anat", "sub-02_ses-1"), ("sub-03/anat", "sub-03")]
    ):
        image, label = blobs(channels=2, seed=n)
        for channel, suffix, array in zip(("T1w", "FLAIR"), (".nii.gz", ".nii"), image, strict=True):
            write_nifti(root / folder / f"{name}_{channel}{suffix}", array, ras_affine())
        write_json(root / folder / f"{name}_T1w.json", {"MagneticFieldStrength": 3})
        if n < 2:
            write_nifti(root / "derivatives/manual" / folder / f"{name}_dseg.nii.gz", label, ras_affine())
    known = {"classes": list(CLASSES), "channels": ["T1w", "FLAIR"], "images": IMAGES, "labels": LABELS}
    write_json(root / "dataset.json", known | document)
    return root


def test_bids(tmp_path: Path) -> None:
    split = FolderSettings(root=write_bids(tmp_path), folds=2).split()
    cases = {case.name: case for case in (*split.labelled, *split.test)}
    assert sorted(cases) == ["sub-01", "sub-02_ses-1", "sub-03"]
    assert [path.name for path in cases["sub-02_ses-1"].images] == ["sub-02_ses-1_T1w.nii.gz", "sub-02_ses-1_FLAIR.nii"]
    assert cases["sub-02_ses-1"].label is not None and [case.name for case in split.test] == ["sub-03"]
    assert [(fault.case, fault.code) for fault in split.listing] == [("sub-03", "absent-label")]
    assert not [fault for fault in check(split, 0) if fault.severity == "error"]


def test_what_is_missing_or_twice(tmp_path: Path) -> None:
    root = write_bids(tmp_path)
    (root / "sub-03/anat/sub-03_FLAIR.nii").unlink()
    for path in (root / "sub-02/ses-1/anat").iterdir():
        path.unlink()
    write_nifti(root / "sub-01/more/anat/sub-01_T1w.nii.gz", blobs()[0][0], ras_affine())
    faults = {(fault.case, fault.code): fault for fault in FolderSettings(root=root, folds=2).split().listing}
    assert {("sub-03", "absent-channels"), ("sub-02_ses-1", "absent-image"), ("sub-01", "same-name-twice")} <= set(
        faults
    )
    twice = faults["sub-01", "same-name-twice"]
    assert "2 files are its image: sub-01/anat/sub-01_T1w.nii.gz, sub-01/more/anat/sub-01_T1w.nii.gz" in twice.what
    assert "anat/sub-02_ses-1_{channel}.nii*" in faults["sub-02_ses-1", "absent-image"].do


def test_the_name_of_the_case_in_a_folder(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        for file in ("scan.nii.gz", "seg.nii.gz"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / file).touch()
    known = {"classes": list(CLASSES), "images": "{case}/scan.nii.gz", "labels": "{case}/seg.nii.gz"}
    write_json(tmp_path / "dataset.json", known)
    assert sorted(case.name for case in FolderSettings(root=tmp_path, folds=2).split().labelled) == ["p1", "p2"]


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"images": "sub-*/{case}.nii.gz"}, "no image matches the pattern"),
        ({"channels": ["PD"]}, "no image matches the pattern; got .* with channels PD"),
        ({"labels": "derivatives"}, "one of 'images' and 'labels' is a pattern"),
        ({"labels": LABELS.replace("dseg", "{channel}")}, "a pattern for a label has no"),
        ({"labels": "nowhere/{case}.nii.gz"}, "no label matches the pattern"),
    ],
)
def test_bad_patterns(tmp_path: Path, document: dict[str, object], wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        FolderSettings(root=write_bids(tmp_path, **document)).split()


@pytest.mark.parametrize(
    ("pattern", "path", "case"),
    [
        ("sub-{case}/sub-{case}_T1w.nii", "sub-1/sub-1_T1w.nii", "1"),
        ("sub-{case}/sub-{case}_T1w.nii", "sub-1/sub-2_T1w.nii", None),
        ("**/{case}.nii", "a.nii", "a"),
        ("**/{case}.nii", "x/y/a.nii", "a"),
        ("*/{case}.nii", "x/y/a.nii", None),
        ("a+b/{case}.nii", "a+b/c.nii", "c"),
        ("a.b/{case}.nii", "axb/c.nii", None),
    ],
)
def test_patterns(pattern: str, path: str, case: str | None) -> None:
    match = compiled(pattern, []).fullmatch(path)
    assert (match and match["case"]) == case
    assert isinstance(compiled(pattern, []), re.Pattern)
