"""Masks against masks: which are paired, what their numbers mean, what is refused by name while the rest goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import vol3d
from medical.masks.pairs import find_pairs
from tests.medical.synthetic import blobs, ras_affine, write_json, write_nifti
from vol3d.cli.main import main
from vol3d.errors import DataError, UsageError
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

SHAPE = (12, 16, 10)
JSON = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "channel_names": {"0": "MR"}}


def labels(seed: int = 0) -> np.ndarray:
    return blobs(SHAPE, seed=seed)[1]


def write(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 2)) -> Path:
    return write_nifti(path, array, ras_affine(spacing))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for seed, name in enumerate(("a", "b")):
        write(tmp_path / "truth" / f"{name}.nii.gz", labels(seed))
        write(tmp_path / "found" / f"{name}.nii.gz", np.roll(labels(seed), seed, axis=0))
    return tmp_path / "found", tmp_path / "truth"


def test_by_number(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = vol3d.score(*folders, out=tmp_path / "out", tolerance_mm=1.5)
    assert list(result.summary["classes"]) == ["label 1", "label 2"]
    assert result.summary["cases"] == 2 and "not_scored" not in result.summary
    assert result.summary["nsd_tolerance_mm"] == 1.5 and result.summary["classes_from"] == "the numbers in the masks"
    perfect, moved = (row for row in result.rows if row["class"] == "label 1")
    assert perfect["dice"] == perfect["nsd"] == 1 and perfect["lesions_found"] == 1
    assert 0 < moved["dice"] < 1 and moved["nsd"] == 1 and moved["hd95_mm"] == 1
    assert moved["truth_ml"] == pytest.approx((labels(1) == 1).sum() * 2e-3)

    written = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert written["summary"]["mean_dice"] == pytest.approx(result.score)
    rows = list(csv.DictReader((tmp_path / "out/cases.csv").open()))
    assert [row["case"] for row in rows] == ["a", "a", "b", "b"]
    assert "tolerance of NSD" in (tmp_path / "out/report.html").read_text()
    assert len(list((tmp_path / "out/pictures").glob("*.png"))) == 2
    vol3d.score(*folders, out=tmp_path / "out")  # its own scores are replaced


def test_binary_masks_of_255(tmp_path: Path) -> None:
    mask = (labels() > 0).astype(np.uint8) * 255
    result = vol3d.score(write(tmp_path / "x.nii.gz", mask), write(tmp_path / "y.nii", mask))
    assert list(result.summary["classes"]) == ["label 255"] and result.score == 1
    assert {row["case"] for row in result.rows} == {"y"}


def test_no_label_in_common_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = (labels() > 0).astype(np.uint8)
    found, truth = write(tmp_path / "x.nii.gz", mask), write(tmp_path / "y.nii", mask * 255)
    assert main(["score", str(found), str(truth)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the predictions have the labels 1, the truth 255, and none in common; if" in said
    assert main(["score", str(found), str(found)]) == 0 and "in common" not in capsys.readouterr().err


def test_the_json_beside_the_truth(folders: tuple[Path, Path]) -> None:
    write_json(folders[1].parent / "dataset.json", JSON)
    result = vol3d.score(*folders)
    assert list(result.summary["classes"]) == ["anterior", "posterior"]
    assert result.summary["classes_from"].endswith("dataset.json")


def test_regions_and_voxels_to_ignore(tmp_path: Path) -> None:
    known = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    write_json(tmp_path / "other.json", {"labels": known, "regions_class_order": [1, 2], "channel_names": {"0": "MR"}})
    truth, found = labels(), labels()
    truth[:6] = 3
    found[:6] = 1  # wrong wherever nobody looks
    found[found == 2] = 1
    paths = write(tmp_path / "f.nii.gz", found), write(tmp_path / "t.nii.gz", truth)
    result = vol3d.score(*paths, classes=tmp_path / "other.json")
    assert result.summary["classes"]["whole"]["dice"] == 1 and result.summary["classes"]["core"]["dice"] == 0
    assert result.summary["ignored_voxels"] == truth[:6].size


def test_one_bad_case_never_stops_the_rest(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found, truth = folders
    write(truth / "c.nii.gz", labels())
    write(found / "c.nii.gz", labels()[1:])
    write(truth / "d.nii.gz", labels())
    write(found / "d.nii.gz", labels(), (1, 1, 2.5))
    write(truth / "e.nii.gz", labels())
    (found / "e.nii.gz").write_bytes(b"no volume")
    write(truth / "only truth.nii.gz", labels())
    write(found / "only found.nii.gz", labels())
    write(found / "f.nii.gz", labels())
    (found / "f.nrrd").write_bytes(b"")
    write(truth / "f.nii.gz", labels())
    (found / "plans.json").write_text("{}")

    assert main(["score", str(found), str(truth), "--json"]) == 3
    said = capsys.readouterr()
    summary = json.loads(said.out)
    reasons = {name: row["reason"] for name, row in summary["not_scored"].items()}
    assert summary["cases"] == 2 and list(reasons) == ["c", "d", "e", "f", "only found", "only truth"]
    assert "different shapes" in reasons["c"] and "different affines" in reasons["d"]
    assert reasons["only found"] == "has no truth" and reasons["only truth"] == "was not predicted"
    assert "2 files are predicted, f.nii.gz, f.nrrd: keep one" in reasons["f"]
    assert "6 of 8 cases were not scored" in said.err
    assert main(["score", str(found / "*.nii.gz"), str(truth / "f.nii.gz"), "--json"]) == 2


def test_names_in_the_files_decide(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth/a.nii.gz", labels())
    swapped = np.array([0, 2, 1], np.uint8)[labels()]
    grid = Grid(SHAPE, ras_affine((1, 1, 2)))
    names = ("background", "posterior", "anterior")
    source = Volume(np.zeros((1, *SHAPE), np.float32), grid)
    MaskPrediction(Segmentation(swapped, grid, names), source).save(tmp_path / "found", "a.nii.gz")
    write_json(tmp_path / "data.json", JSON)
    assert vol3d.score(tmp_path / "found", truth.parent, classes=tmp_path / "data.json").score == 1
    by_number = vol3d.score(tmp_path / "found", truth.parent)
    assert by_number.summary["classes"]["posterior"]["dice"] == 0  # the truth was taken to number them alike
    assert "1 masks without names were taken" in by_number.summary["classes_from"]


def slicer(path: Path, array: np.ndarray, origin: tuple[float, float, float], names: dict[int, str]) -> Path:
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetOrigin(origin)
    for place, (number, name) in enumerate(names.items()):
        image.SetMetaData(f"Segment{place}_ID", f"Segment_{place}")
        image.SetMetaData(f"Segment{place}_Name", name)
        image.SetMetaData(f"Segment{place}_LabelValue", str(number))
        image.SetMetaData(f"Segment{place}_Layer", "0")
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def test_segmentations_cropped_to_their_extent(tmp_path: Path) -> None:
    mask = (labels() == 1).astype(np.uint8)
    i, j, k = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    first = (int(i[0]), int(j[0]), int(k[0]))
    small = slicer(tmp_path / "s.seg.nrrd", mask[i[0] :, j[0] :, k[0] :], first, {1: "Liver"})
    other = slicer(tmp_path / "o.seg.nrrd", mask[: i[-1] + 1, : j[-1] + 1, : k[-1] + 1] * 3, (0, 0, 0), {3: "liver"})
    result = vol3d.score(small, other)
    assert result.score == 1 and list(result.summary["classes"]) == ["Liver"]
    assert "covers" in result.summary["notes"]["o"]["note"]
    moved = slicer(tmp_path / "m.seg.nrrd", mask, (0.5, 0, 0), {1: "liver"})
    with pytest.raises(DataError, match="none of 1 cases can be scored; got o: o: truth and prediction have different"):
        vol3d.score(moved, other)


def test_names_with_folders(tmp_path: Path) -> None:
    for folder, file in (("found", "P1/T1.nrrd"), ("found", "P2/T1.nrrd"), ("truth", "P1.nii.gz")):
        path = tmp_path / folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "truth/P2").mkdir()
    (tmp_path / "truth/P2/seg.nii").touch()
    pairs, left_out = find_pairs(tmp_path / "found", tmp_path / "truth")
    assert [(pair.name, pair.truth.name) for pair in pairs] == [("P1", "P1.nii.gz"), ("P2", "seg.nii")]
    assert not left_out


@pytest.mark.parametrize(
    ("found", "truth", "wanted"),
    [
        ("nowhere", "truth", "no such file or folder"),
        ("found/a.nii.gz", "truth", "file with file or folder with folder"),
        ("empty", "truth", "no mask in this folder"),
        ("found", "others", "share no name; got a, b and z"),
    ],
)
def test_bad_paths(folders: tuple[Path, Path], tmp_path: Path, found: str, truth: str, wanted: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "others/z.nii.gz", labels())
    with pytest.raises((UsageError, DataError), match=wanted):
        vol3d.score(tmp_path / found, tmp_path / truth)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"tolerance_mm": -1.0}, "tolerance of NSD"),
        ({"lesion_iou": 0.0}, "overlap of lesions"),
        ({"classes": "bad.json"}, "the file is missing|no such file|does not exist"),
    ],
)
def test_bad_options(folders: tuple[Path, Path], options: dict[str, Any], wanted: str) -> None:
    with pytest.raises((UsageError, DataError), match=wanted):
        vol3d.score(*folders, **options)


def test_masks_of_nothing_have_no_class(tmp_path: Path) -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    paths = write(tmp_path / "a.nii", nothing), write(tmp_path / "b.nii", nothing)
    with pytest.raises(DataError, match="no mask has a label"):
        vol3d.score(*paths)
    write_json(tmp_path / "c.json", JSON)
    assert np.isnan(vol3d.score(*paths, classes=tmp_path / "c.json").score)


def test_a_folder_of_something_else_is_not_replaced(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/cases.csv").write_text("my own")
    with pytest.raises(UsageError, match="did not write"):
        vol3d.score(*folders, out=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["cases.csv"]
