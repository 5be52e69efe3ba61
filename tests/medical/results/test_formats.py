"""What `--format`, `--roi` and `--smooth` write beside a mask, from the command and from Python."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vol3d
from medical.results.options import chosen_classes, chosen_formats
from medical.results.page import WARNING
from medical.results.table import COLUMNS, class_rows
from tests.medical.results.test_surfaces import predicted
from tests.vol3d.scans.dicom.maker import write_series
from vol3d.errors import UsageError
from vol3d.scans import read_labels

pytest.importorskip("trimesh")
pytest.importorskip("skimage")

SAMPLE = Path(vol3d.__file__).parents[1] / "medical" / "samples"


def scan() -> Path:
    return next(iter(sorted(SAMPLE.rglob("*.nii.gz"))))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    model = vol3d.load("unetr-hippocampus").with_options({"formats": "csv,html,png,stl,rtstruct", "smooth": 3})
    (row,) = model.predict_files([str(scan())], out)
    assert row.status == "written", row.error
    assert "no-rtstruct" in {note.code for note in row.notes}
    return out


def test_every_file_is_there(written: Path) -> None:
    stem = scan().name.removesuffix(".nii.gz")
    names = {path.name.removeprefix(stem) for path in written.iterdir()}
    assert names == {".nii.gz", ".vol3d.json", ".csv", ".html", ".png", ".Anterior.stl", ".Posterior.stl"}


def test_the_page_says_what_it_must(written: Path) -> None:
    text = next(written.glob("*.html")).read_text("utf-8")
    assert WARNING in text and "unetr-hippocampus" in text and "http" not in text.split("<main>")[1]
    assert "Anterior" in text and vol3d.__version__ in text


def again(out: Path, formats: str, **options: Any) -> str:
    model = vol3d.load("unetr-hippocampus").with_options({"formats": formats, **options})
    (row,) = model.predict_files([str(scan())], out)
    return str(row.error or row.status)


def test_what_is_there_is_not_made_again_unless_the_smoothing_differs(tmp_path: Path) -> None:
    for options in ({}, {"smooth": 3}, {"smooth": 4}, {}):  # the default too is another than 4
        before = [path.read_bytes() for path in tmp_path.glob("*.stl")]
        assert again(tmp_path, "stl", **options) == "written"
        assert [path.read_bytes() for path in tmp_path.glob("*.stl")] != before
        assert again(tmp_path, "stl", **options) == "skipped"


def test_files_of_an_earlier_run_stay_known(tmp_path: Path) -> None:
    assert again(tmp_path, "png,stl") == "written" and again(tmp_path, "csv") == "written"
    assert again(tmp_path, "png,stl") == "skipped", "they are still those of the same scan, model and settings"
    assert again(tmp_path, "png", background="light") == "written" and again(tmp_path, "csv,stl") == "skipped"
    assert "--overwrite" in again(tmp_path, "csv", roi="Anterior")
    model = vol3d.load("unetr-hippocampus").with_options({"formats": "csv", "roi": "Anterior"})
    assert model.predict_files([str(scan())], tmp_path, overwrite=True)[0].status == "written"
    assert again(tmp_path, "stl", roi="Anterior") == "written", "the surface lying there is of all classes' run"


def test_a_picture_that_was_drawn_on_is_not_replaced(tmp_path: Path) -> None:
    assert again(tmp_path, "png") == "written"
    picture = next(tmp_path.glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"a person's work")
    assert "changed since vol3d wrote it" in again(tmp_path, "png", background="light")


def test_pictures_are_light_where_asked_for(tmp_path: Path) -> None:
    def status(shade: str) -> str:
        model = vol3d.load("unetr-hippocampus").with_options({"formats": "png,html", "background": shade})
        return str(model.predict_files([str(scan())], tmp_path)[0].status)

    assert status("light") == "written"
    with Image.open(next(tmp_path.glob("*.png"))) as picture:
        assert np.asarray(picture.convert("L"))[:20].mean() > 220
    assert next(tmp_path.glob("*.html")).is_file()
    assert status("light") == "skipped" and status("dark") == "written"
    with Image.open(next(tmp_path.glob("*.png"))) as picture:
        assert np.asarray(picture.convert("L"))[:20].mean() < 60
    with pytest.raises(UsageError, match=r"--background: unknown background; got grey, wanted dark or light"):
        status("grey")


def test_the_table_is_that_of_the_mask(written: Path) -> None:
    with next(written.glob("*.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = read_labels(next(written.glob("*.nii.gz"))).array[0]
    assert [row["class"] for row in rows] == ["Anterior", "Posterior"] and tuple(rows[0]) == COLUMNS
    assert [int(row["voxels"]) for row in rows] == [int((labels == label).sum()) for label in (1, 2)]


def test_a_class_that_was_not_found_has_no_intensity() -> None:
    found = predicted()
    found.volume.array[:, found.mask == 1] = np.arange((found.mask == 1).sum())
    ball, none = class_rows(found)
    assert ball["min"] == 0 and ball["median"] == ball["mean"] == (ball["voxels"] - 1) / 2
    assert none["voxels"] == 0 and none["mean"] is None


def test_regions_have_rows_of_their_own() -> None:
    found = predicted()
    regions = {"both": (1, 2), "second": (2,), "ball": (1,)}
    found = replace(found, segmentation=replace(found.segmentation, regions=regions))
    rows = class_rows(found)
    voxels = [int((found.mask == 1).sum()), int((found.mask == 2).sum())]
    assert [(row["label"], row["class"]) for row in rows][2:] == [("1+2", "both"), (2, "second")]
    assert [row["voxels"] for row in rows] == [*voxels, sum(voxels), voxels[1]]
    assert [row["voxels"] for row in found.rows()] == [row["voxels"] for row in rows]
    ball = pytest.approx(found.volumes_ml["ball"])
    assert found.facts()["regions_ml"] == {"both": ball, "second": 0, "ball": ball}
    part = replace(found, segmentation=replace(found.segmentation, roi=("ball",)))
    assert part.facts()["regions_ml"] == {"ball": ball}, "of a part of a region there is no volume"


def test_only_the_classes_that_were_asked_for(tmp_path: Path) -> None:
    model = vol3d.load("unetr-hippocampus").with_options({"roi": "posterior", "formats": "stl"})
    (row,) = model.predict_files([str(scan())], tmp_path)
    assert set(np.unique(read_labels(row.output).array)) == {0, 2}  # labels keep their numbers
    assert list(row.facts["volumes_ml"]) == ["Posterior"] and "roi" in row.facts
    assert {path.suffix for path in tmp_path.glob("*.Anterior*")} == set()


def test_a_dicom_series_gets_structures(tmp_path: Path) -> None:
    write_series(tmp_path / "s", count=8)
    model = vol3d.load("unetr-hippocampus").with_options({"formats": "rtstruct"})
    (row,) = model.predict_files([str(tmp_path / "s")], tmp_path / "out")
    assert row.status == "written" and (tmp_path / "out" / "s.rtstruct.dcm").is_file()


def test_bad_words() -> None:
    with pytest.raises(UsageError, match="no format of masks"):
        chosen_formats("stl,dxf")
    with pytest.raises(UsageError, match="no class of the model"):
        chosen_classes("spleen", ("background", "Anterior"))
    with pytest.raises(UsageError, match="no class is left"):
        chosen_classes(" , ", ("background", "Anterior"))
    names = ("background", "L", "l", "Spleen")
    assert chosen_classes("L, spleen", names) == ("L", "Spleen") and chosen_classes("l", names) == ("l",)
