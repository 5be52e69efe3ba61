"""Own images and label maps under any names: found as folders or patterns, or refused where they could be several."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medical.datasets.folder import FolderSettings
from medical.datasets.own_layout import find_layout
from medical.datasets.starter import draft
from tests.medical.synthetic import ras_affine, write_nifti
from vol3d.errors import DataError

CASES = ("p_1", "p_2", "p_12")


def place(root: Path, *patterns: str, cases: tuple[str, ...] = CASES) -> Path:
    for pattern in patterns:
        for case in cases:
            path = root / pattern.replace("CASE", case)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("image", "label", "images", "labels"),
    [
        ("images/CASE.nii.gz", "labels/CASE.nii.gz", "images", "labels"),
        ("scans/CASE.nii.gz", "masks/CASE.nrrd", "scans", "masks"),
        ("data/volumes/CASE.mha", "data/manual segmentations/CASE.nii", "data/volumes", "data/manual segmentations"),
        ("MRI/CASE.nii.gz", "ground truth/CASE_seg.nii.gz", "MRI/{case}.nii.gz", "ground truth/{case}_seg.nii.gz"),
        ("CASE.nii.gz", "CASE-mask.nii.gz", "{case}.nii.gz", "{case}-mask.nii.gz"),
        ("CASE/image.nii.gz", "CASE/label.nii.gz", "{case}/image.nii.gz", "{case}/label.nii.gz"),
        ("img/imgCASE.nii.gz", "label/labelCASE.nii.gz", "img/img{case}.nii.gz", "label/label{case}.nii.gz"),
        ("label_study/CASE.nii", "label_study/gt/CASE.nii", "label_study", "label_study/gt"),
        (
            "CASE/ses-1/CASE_ses-1_T1w.nii.gz",
            "derivatives/x/CASE/CASE_ses-1_dseg.nii.gz",
            "*/ses-1/{case}_T1w.nii.gz",
            "derivatives/x/*/{case}_dseg.nii.gz",
        ),
    ],
)
def test_a_layout_is_found_by_names(tmp_path: Path, image: str, label: str, images: str, labels: str) -> None:
    cases = ("0001", "0002", "0012") if "imgCASE" in image else CASES
    found = find_layout(place(tmp_path, image, label, cases=cases))
    assert found is not None and (found.images, found.labels, found.channels) == (images, labels, ())
    assert "3 label maps found as" in found.remark


def test_channels_are_what_tells_the_images_of_a_case_apart(tmp_path: Path) -> None:
    found = find_layout(place(tmp_path, "mr/CASE_T1.nii.gz", "mr/CASE_T2.nii.gz", "mr/CASE_seg.nii.gz"))
    assert found is not None and (found.images, found.channels) == ("mr/{case}_{channel}.nii.gz", ("T1", "T2"))


def test_folders_of_slices_are_images(tmp_path: Path) -> None:
    found = find_layout(place(tmp_path, "series/CASE/1.dcm", "series/CASE/2.dcm", "masks/CASE.nii.gz"))
    assert found is not None and (found.images, found.labels) == ("series", "masks")


def test_what_could_mean_several_is_refused_with_what_to_state(tmp_path: Path) -> None:
    one_file_each = place(tmp_path / "a", "CASE/ct.nii.gz", "CASE/segmentations/liver.nii.gz", "CASE/masks/lung.nii.gz")
    with pytest.raises(DataError, match=r"label maps lie in several places; got .*liver.*images=scans/\{case\}.*merge"):
        find_layout(one_file_each)
    twice = place(tmp_path / "b", "raw/CASE.nii.gz", "resampled/CASE.nii.gz", "masks/CASE.nii.gz")
    with pytest.raises(DataError, match=r"images lie in several places; got r.*/\{case\}.nii.gz \(3\)"):
        find_layout(twice)


def test_no_label_map_and_one_without_image(tmp_path: Path) -> None:
    assert find_layout(place(tmp_path / "none", "scans/CASE.nii.gz")) is None
    assert find_layout(tmp_path) is None
    root = place(tmp_path / "one", "scans/CASE.nii.gz", "masks/CASE.nii.gz")
    place(root, "masks/CASE.nii.gz", cases=("p_77",))
    found = find_layout(root)
    assert found is not None and found.labels == "masks" and "left aside, since no image is named so" in found.remark


def test_the_drafted_json_reads_as_the_cases_that_are_there(tmp_path: Path) -> None:
    for case in CASES:
        write_nifti(tmp_path / f"{case}.nii.gz", np.ones((4, 4, 4), np.float32), ras_affine())
        write_nifti(tmp_path / f"{case}_mask.nii.gz", np.eye(4, dtype=np.uint8)[None].repeat(4, 0), ras_affine())
    found = draft(tmp_path, {"classes": "liver"}, lambda *_: None)
    assert found is not None and "3 label maps found" in found.remarks[0]
    found.path.write_text(json.dumps(found.content))
    split = FolderSettings(root=tmp_path, folds=3).split()
    assert sorted(case.name for case in split.labelled) == sorted(CASES) and not split.test and not split.listing

    found.path.unlink()
    stated = {"images": "{case}.nii.gz", "labels": "{case}_mask.nii.gz"}
    again = draft(tmp_path, stated, lambda *_: None)
    assert again is not None and again.content["labels"] == "{case}_mask.nii.gz"
    with pytest.raises(DataError, match="no image matches the pattern"):
        draft(tmp_path, stated | {"images": "scans/{case}.nii.gz"}, lambda *_: None)
