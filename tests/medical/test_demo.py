"""The demo's first part on two of its scans: with a network that knows nothing, and with the one that is shipped."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import vol3d
from medical import demo
from medical.datasets.msd import MsdSettings
from tests.vol3d.scans.dicom.maker import write_series
from tests.vol3d.untrained import save_untrained
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.errors import UsageError
from vol3d.scans import write_nifti
from vol3d.scans.read import read_labels, read_volume

CLASSES = ("background", "Anterior", "Posterior")
SAMPLES = demo.SAMPLES
SMALL = ["model.width=24", "model.heads=2", "model.depth=2", "model.mlp=24", "model.features=4", "model.skips=[1, 2]"]


def check_results(out: Path, said: str) -> None:
    assert (out / "report.html").read_text("utf-8").count("<img") == 2, "best and worst of two"
    masks = sorted((out / "masks").glob("*.nii.gz"))
    assert len(masks) == 2
    for mask in masks:
        image = read_volume(SAMPLES / "imagesTr" / mask.name)
        written = read_labels(mask)
        assert written.array.shape[1:] == image.grid.shape
        np.testing.assert_array_equal(written.affine, image.affine)
    with (out / "cases.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    assert all(word in said for word in ("mean Dice", "report", "masks", "Anterior", "hd95_mm"))


@pytest.fixture
def untrained(tmp_path: Path) -> str:
    """A run's folder with a very small network that knows nothing."""
    task = load_task(
        "unetr_hippocampus_small", [f"data.root={SAMPLES}", "data.fold=all", "window.mirror_axes=[]", *SMALL]
    )
    return save_untrained(tmp_path / "run", task)


def test_with_an_untrained_network(untrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo, "MODEL", untrained)
    assert main(["demo", "-o", str(tmp_path / "out"), "--cases", "2", "--only", "hippocampus"]) == 0
    check_results(tmp_path / "out" / "hippocampus", capsys.readouterr().out)


def test_with_the_shipped_network(tmp_path: Path, capsys):
    assert main(["demo", "-o", str(tmp_path / "out"), "--cases", "2", "--only", "hippocampus"]) == 0
    said = capsys.readouterr().out
    check_results(tmp_path / "out" / "hippocampus", said)
    score = next(float(line.split()[2]) for line in said.splitlines() if line.startswith("mean Dice"))
    assert score > 0.8


def test_twelve_scans_are_shipped_with_their_licence():
    assert len(MsdSettings(root=SAMPLES).split().labelled) == 12
    assert "by-sa" in (SAMPLES / "LICENSE.md").read_text("utf-8").lower()


def test_missing_samples_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo, "SAMPLES", tmp_path / "none")
    assert main(["demo", "-o", str(tmp_path)]) == 1
    assert "the sample scans are not installed" in capsys.readouterr().err


def test_a_dicom_series_becomes_a_mask_and_a_dicom_segmentation(
    untrained: str, data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    pytest.importorskip("highdicom", reason="the extra vol3d[dicom] is not installed")
    from vol3d.scans.dicom.seg import read_dicom_seg

    series, out = data_root / "dicom" / "hippocampus_crop_study1", tmp_path / "out"
    (tmp_path / "text.nii.gz").write_text("no volume")
    words = ["predict", untrained, str(series), str(tmp_path / "text.nii.gz"), "-o", str(out), "--mirror", "i"]
    assert main([*words, "--dicom-seg"]) == 3
    mask = read_labels(out / f"{series.name}.nii.gz")
    written = read_dicom_seg(out / f"{series.name}.dcm", mask.grid)
    assert written.label_names == {number: name for number, name in enumerate(CLASSES) if number}
    np.testing.assert_array_equal(written.array, mask.array)
    assert "1 failed: text.nii.gz" in capsys.readouterr().err
    assert sorted(path.suffix for path in out.iterdir()) == [".dcm", ".gz", ".json"]


def test_each_series_of_a_folder_is_predicted_or_the_one_that_is_named(untrained: str, tmp_path: Path, capsys):
    pytest.importorskip("highdicom", reason="the extra vol3d[dicom] is not installed")
    study = tmp_path / "study"
    write_series(study, Modality="MR", SeriesDescription="T1")
    write_series(study, series="9.9", prefix="b", Modality="MR", SeriesNumber=4, SeriesDescription="T2")
    write_nifti(tmp_path / "n.nii.gz", read_volume(study, series="T1"))
    words = ["predict", untrained, str(study), "--dicom-seg", "-o"]
    assert main([*words, str(tmp_path / "out"), str(tmp_path / "n.nii.gz")]) == 0
    names = {f"study_{name}{suffix}" for name in ("3-T1", "4-T2") for suffix in (".dcm", ".nii.gz")}
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {*names, "n.nii.gz"}
    assert not (tmp_path / "out" / "n.dcm").exists() and "no DICOM-SEG" in capsys.readouterr().out

    assert main([*words, str(tmp_path / "one"), "--series", "T2"]) == 0
    assert {"study.dcm", "study.nii.gz"} <= {path.name for path in (tmp_path / "one").iterdir()}
    assert main(["view", str(study), str(tmp_path / "one" / "study.dcm"), "--png", str(tmp_path / "x.png")]) == 1
    assert main(["view", str(study), "--series", "4", "--png", str(tmp_path / "x.png")]) == 0
    assert main([*words, str(tmp_path / "none"), "--series", "T3"]) == 1
    assert "no such series" in capsys.readouterr().err
    assert vol3d.read(study, series="T2").series == "9.9"
    with pytest.raises(UsageError, match="only DICOM has series"):
        vol3d.read(tmp_path / "n.nii.gz", series="T2")
