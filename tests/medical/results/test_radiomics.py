"""Radiomic features: what pyradiomics is given and how its answer is written; a stand-in answers in its place."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medical.results import radiomics
from medical.results.options import chosen_formats
from medical.results.radiomics import write_radiomics
from tests.medical.results.test_surfaces import predicted
from vol3d.errors import DataError, Vol3dError
from vol3d.prediction import MaskPrediction
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume


class Extractor:
    """The volume of a class from its image alone, as pyradiomics sees it."""

    def execute(self, image: Any, mask: Any, label: int) -> dict[str, Any]:
        import SimpleITK as sitk

        assert image.GetDirection() == mask.GetDirection() and image.GetOrigin() == mask.GetOrigin()
        inside = sitk.GetArrayFromImage(mask) == label
        if inside.sum() == 1:
            raise ValueError("mask only contains 1 segmented voxel")
        values = sitk.GetArrayFromImage(image)[inside]
        volume = np.array(inside.sum() * np.prod(image.GetSpacing()))
        return {
            "diagnostics_Versions": "x",
            "original_shape_VoxelVolume": volume,
            "original_firstorder_Mean": values.mean(),
        }


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("radiomics")
    module.featureextractor = SimpleNamespace(RadiomicsFeatureExtractor=Extractor)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "radiomics", module)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_class(tmp_path: Path, installed: None) -> None:
    found = predicted()
    (note,) = write_radiomics(found, tmp_path / "r.csv")
    ball, none = rows_of(tmp_path / "r.csv")
    assert list(ball) == ["label", "class", "channel", "original_shape_VoxelVolume", "original_firstorder_Mean"]
    ml = found.volumes_ml[ball["class"]]
    assert float(ball["original_shape_VoxelVolume"]) == pytest.approx(1000 * ml)
    wanted = found.volume.array[0][found.mask == 1].mean()
    assert float(ball["original_firstorder_Mean"]) == pytest.approx(wanted, abs=1e-5)
    assert note.value == none["class"] and none["original_firstorder_Mean"] == ""


def test_one_voxel_has_none(tmp_path: Path, installed: None) -> None:
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = 1
    grid = Grid(labels.shape, np.eye(4))
    mask = Segmentation(labels, grid, ("background", "dot"))
    (note,) = write_radiomics(MaskPrediction(mask, Volume(np.ones((1, 3, 3, 3), np.float32), grid)), tmp_path / "r.csv")
    assert note.value == "dot" and rows_of(tmp_path / "r.csv") == [{"label": "1", "class": "dot", "channel": "0"}]


@pytest.mark.bad_input
def test_sheared_axes(tmp_path: Path, installed: None) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    grid = Grid((3, 3, 3), affine)
    mask = Segmentation(np.ones((3, 3, 3), np.uint8), grid, ("background", "all"))
    with pytest.raises(DataError, match="not at right angles"):
        write_radiomics(MaskPrediction(mask, Volume(np.ones((1, 3, 3, 3), np.float32), grid)), tmp_path / "r.csv")
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.bad_input
def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radiomics.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Vol3dError, match="pip install pyradiomics"):
        chosen_formats("csv,radiomics")
