"""`vol3d predict --fast` and `predict.coarser`: what they change, for every kind of model, and that it is noted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vol3d
from medical.fast import fast_window
from medical.preprocess import PreprocessSettings, prepared_shape, with_coarser_voxels
from medical.window import WindowSettings
from tests.medical.bundle.maker import LOAD, SCALE, config, write_bundle
from tests.medical.nnunet.made import write_model
from tests.medical.nnunet.test_preprocess import noise
from tests.medical.synthetic import ras_affine, write_msd
from tests.medical.test_task import RECIPE
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import UsageError
from vol3d.scans.volumes.volume import Grid

FAST = "fast: windows overlap by 25% in place of 50%, 1 view in place of"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fast")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(write_msd(folder / "data"))))
    train(load_task(recipe, ["window.mirror_axes=[0]", "train.epochs=1"]), folder / "run")
    return folder / "run"


def codes(result: object) -> list[str]:
    return [note.code for note in result.notes]  # type: ignore[attr-defined]


def test_windows() -> None:
    assert fast_window(WindowSettings(overlap=0.5, mirror_axes=(0, 2))) == WindowSettings(overlap=0.25)
    assert fast_window(WindowSettings(overlap=0.1)).overlap == 0.1  # never slower than without


def test_coarser_voxels_are_those_of_the_settings_or_of_the_scan() -> None:
    grid = Grid((20, 24, 16), np.diag([-0.5, 1.0, 2.0, 1.0])[[2, 0, 1, 3]] @ np.eye(4))
    own = with_coarser_voxels(PreprocessSettings(), grid, 2)
    assert prepared_shape(grid, own) == tuple(n // 2 for n in prepared_shape(grid, PreprocessSettings()))
    stated = PreprocessSettings(spacing_mm=(1, 1.5, 2))
    assert with_coarser_voxels(stated, grid, 1.5).spacing_mm == (1.5, 2.25, 3)


def test_a_run_predicts_as_with_these_settings(run: Path) -> None:
    array, model = noise(40, 40, 40), vol3d.load(run, "cpu")
    fast = model.predict(array, affine=ras_affine(), fast=True)
    stated = vol3d.load(run, "cpu", {"window.overlap": 0.25, "window.mirror_axes": []}).predict(
        array, affine=ras_affine()
    )
    assert np.array_equal(fast.mask, stated.mask)
    assert any(f"{FAST} 2" in str(note) for note in fast.notes) and "fast" not in codes(stated)
    assert fast.record.settings == {"predict.fast": True}
    assert "fast" not in codes(model.predict(array, affine=ras_affine()))


def test_a_score_says_so(run: Path) -> None:
    model = vol3d.load(run, "cpu", {"predict.fast": True, "predict.coarser": 1.5})
    summary = model.task.evaluate(model.network(), torch.device("cpu"), lambda *_: None).summary  # type: ignore[attr-defined]
    assert FAST in summary["fast"] and "1.5 times" in summary["coarser voxels"] and "mirrored" not in summary


def test_by_the_command_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = next((run.parent / "data").rglob("imagesTr/*.nii.gz"))
    command = ["predict", str(run), str(scan), "-o", str(tmp_path), "--device", "cpu", "--json", "--fast"]
    assert main(command) == 0
    row = json.loads(capsys.readouterr().out)["results"][0]
    assert any(FAST in text for text in row["noted"])
    assert main([*command, "predict.coarser=2", "--overwrite"]) == 0
    assert any("voxels 2 times as long" in text for text in json.loads(capsys.readouterr().out)["results"][0]["noted"])
    assert main([*command, "--mirror", "i"]) == 2
    assert "--fast averages no mirrored views; got i, wanted none" in " ".join(capsys.readouterr().err.split())


def test_a_folder_of_nnu_net(tmp_path: Path) -> None:
    folder, array = write_model(tmp_path, folds=(0, 1)), noise(14, 15, 16)
    fast = vol3d.load(folder, "cpu").predict(array, affine=np.eye(4), fast=True)
    stated = vol3d.load(folder, "cpu", {"step": 0.75}).predict(array, affine=np.eye(4), mirror="none")
    assert np.array_equal(fast.mask, stated.mask) and any(f"{FAST} 8" in str(note) for note in fast.notes)
    coarse = vol3d.load(folder, "cpu", {"predict.coarser": 2}).predict(array, affine=np.eye(4))
    assert coarse.mask.shape == array.shape and "coarser-voxels" in codes(coarse)


def test_a_bundle_without_windows_is_refused(tmp_path: Path) -> None:
    simple = {"_target_": "SimpleInferer"}
    model = vol3d.load(write_bundle(tmp_path / "whole", config([*LOAD, SCALE], inferer=simple)), "cpu")
    with pytest.raises(UsageError, match="--fast: the model has no windows that could overlap less"):
        model.predict(noise(16, 16, 16), affine=np.eye(4), fast=True)
    windows = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.5}
    folder = write_bundle(tmp_path / "windows", config([*LOAD, SCALE], inferer=windows))
    assert "fast" in codes(vol3d.load(folder, "cpu").predict(noise(20, 20, 20), affine=np.eye(4), fast=True))
    with pytest.raises(UsageError, match="a bundle's voxels are those of its configuration"):
        vol3d.load(folder, "cpu", {"predict.coarser": 2})
