"""A bundle as a model: the given one against MONAI's own output, names of labels, records, and the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

import vol3d
from medical.bundle.metadata import card
from medical.bundle.task import BundleTask
from tests.medical.bundle.maker import (
    ARGMAX,
    INVERT,
    LOAD,
    NAMES,
    SAVE,
    SCALE,
    SIGMOID,
    SOFTMAX,
    THRESHOLD,
    UNET,
    by_monai,
    config,
    metadata,
    write_bundle,
    write_scan,
)
from vol3d.cli.main import main
from vol3d.errors import CheckpointError, DataError
from vol3d.model import Model
from vol3d.prediction import MaskPrediction


@pytest.fixture
def given(oracle_root: Path) -> Path:
    return oracle_root / "monai_bundle"


def image_of(path: Path | None) -> nibabel.Nifti1Image:
    assert path is not None
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def predicted(model: Model, scan: Any, **options: Any) -> MaskPrediction:
    found = model.predict(scan, **options)
    assert isinstance(found, MaskPrediction)
    return found


def test_the_given_bundle_gives_the_mask_that_monai_wrote(given: Path, tmp_path: Path) -> None:
    scan = given / "inputs" / "imagesTs" / "spleen_2_part.nii.gz"
    assert main(["predict", str(given / "spleen_ct_tiny"), str(scan), "-o", str(tmp_path), "--device", "cpu"]) == 0
    found = image_of(tmp_path / "spleen_2_part.nii.gz")
    wanted = image_of(given / "outputs" / "spleen_2_part" / "spleen_2_part_trans.nii.gz")
    steps = np.load(given / "outputs" / "steps.npz")
    two = np.sort(steps["probabilities"], axis=0)[-2:]
    clear = (two[1] - two[0] > 1e-3) | (two[1] == 0)
    differ = np.asarray(found.dataobj) != np.asarray(wanted.dataobj)
    assert not (differ & clear).any() and np.abs(found.affine - wanted.affine).max() < 1e-6


def test_the_given_network_and_preprocessing(given: Path) -> None:
    from medical.bundle.predict import prepare

    model = vol3d.load(given / "spleen_ct_tiny", "cpu")
    forward, steps = (np.load(given / "outputs" / name) for name in ("forward.npz", "steps.npz"))
    with torch.inference_mode():
        output = model.models[0](torch.from_numpy(forward["input"]))
    assert np.abs(output.numpy() - forward["output"]).max() < 1e-4
    assert isinstance(model.task, BundleTask)
    scan = vol3d.read(given / "inputs" / "imagesTs" / "spleen_2_part.nii.gz")
    ready = prepare(model.task.bundle.workflow, scan)  # type: ignore[arg-type]
    assert np.abs(ready.image.numpy() - steps["preprocessed"]).max() < 1e-4
    assert np.abs(ready.affine - steps["preprocessed_affine"]).max() < 1e-6


def test_its_card(given: Path) -> None:
    said = card(given / "spleen_ct_tiny")
    assert said["version"] == "0.0.1" and said["task"] == "Spleen segmentation" and said["modality"] == "CT"
    assert said["classes"] == ["background", "spleen"] and "diagnostic" in said["intended_use"]
    assert said["copyright"].startswith("Copyright")


def test_overlapping_outputs_have_a_label_for_each_combination(tmp_path: Path) -> None:
    doc = config(post=[SIGMOID, INVERT, THRESHOLD, SAVE])
    root = write_bundle(tmp_path / "bundle", doc, metadata({"0": "core", "1": "whole", "2": "enhancing"}))
    scan = write_scan(tmp_path / "scan.nii.gz")
    model = vol3d.load(root, "cpu")
    assert model.class_names[:5] == ("background", "core", "whole", "core + whole", "enhancing")
    bits, _ = by_monai(root, scan)
    found = predicted(model, scan)
    assert (found.mask != (bits * np.array([1, 2, 4]).reshape(3, 1, 1, 1)).sum(axis=0)).mean() < 2e-4
    assert "bundle-overlap" in [note.code for note in found.notes]
    voxel = found.segmentation.grid.voxel_volume_ml
    volumes = {name: pytest.approx(inside.sum() * voxel, abs=2) for name, inside in zip(("core", "whole"), bits)}  # noqa: B905
    assert volumes.items() <= found.regions_ml.items() and list(found.regions_ml) == ["core", "whole", "enhancing"]


def test_a_background_among_overlapping_outputs_is_no_bit(tmp_path: Path) -> None:
    doc = config(post=[SIGMOID, INVERT, THRESHOLD, SAVE])
    model = vol3d.load(write_bundle(tmp_path / "bundle", doc), "cpu")
    assert model.class_names == ("background", "liver", "spleen", "liver + spleen")


def test_numbers_that_a_lambda_writes(tmp_path: Path) -> None:
    change = {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: torch.where(x[[2]] > 0, 4, x[[1]] * 2)"}
    doc = config(post=[SIGMOID, INVERT, THRESHOLD, change, SAVE])
    root, scan = write_bundle(tmp_path / "bundle", doc), write_scan(tmp_path / "scan.nii.gz")
    found = predicted(vol3d.load(root, "cpu"), scan)
    assert found.class_names == ("background", "label 1", "label 2", "label 3", "label 4")
    assert set(np.unique(found.mask)) <= {0, 2, 4}
    assert (found.mask != by_monai(root, scan)[0][0]).mean() < 2e-4


def test_without_a_decision_or_a_way_back_both_are_noted(tmp_path: Path) -> None:
    pre: list[dict[str, Any]] = [*LOAD, {"_target_": "Orientationd", "keys": "image", "axcodes": "SLP"}, SCALE]
    root, scan = write_bundle(tmp_path / "bundle", config(pre, [SOFTMAX, SAVE])), write_scan(tmp_path / "scan.nii.gz")
    found = predicted(vol3d.load(root, "cpu"), scan)
    assert {"bundle-decision", "bundle-grid"} <= {note.code for note in found.notes}
    doc = json.loads((root / "configs" / "inference.json").read_text())
    doc["postprocessing"]["transforms"] = [SOFTMAX, INVERT, ARGMAX, SAVE]
    other = write_bundle(tmp_path / "other", doc)
    assert np.array_equal(found.mask, predicted(vol3d.load(other, "cpu"), scan).mask)


def test_several_files_are_the_channels_in_the_order_of_the_metadata(tmp_path: Path) -> None:
    said = metadata(NAMES, {"0": "T1c", "1": "FLAIR"})
    root = write_bundle(tmp_path / "bundle", config([*LOAD, SCALE], network={**UNET, "in_channels": 2}), said)
    whole = write_scan(tmp_path / "whole.nii.gz", channels=2)
    image = image_of(whole)
    for number, name in enumerate(("T1c", "FLAIR")):
        one = nibabel.Nifti1Image(np.asarray(image.dataobj)[..., number], image.affine)
        nibabel.save(one, tmp_path / f"case_{name}.nii.gz")
    model = vol3d.load(root, "cpu")
    files = [tmp_path / f"case_{name}.nii.gz" for name in ("FLAIR", "T1c")]
    rows = model.predict_files(files, tmp_path / "out")
    assert [row.status for row in rows] == ["written"]
    assert np.array_equal(np.asarray(image_of(rows[0].output).dataobj), predicted(model, whole).mask)
    with pytest.raises(DataError):
        model.predict(files[0])


def test_keys_of_their_own_are_joined(tmp_path: Path) -> None:
    pre: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": ["a", "b"]},
        {"_target_": "EnsureChannelFirstd", "keys": ["a", "b"]},
        {**SCALE, "keys": ["a", "b"]},
        {"_target_": "ConcatItemsd", "keys": ["a", "b"], "name": "image"},
        {"_target_": "DeleteItemsd", "keys": ["a", "b"]},
    ]
    network = {**UNET, "in_channels": 2}
    joined = write_bundle(tmp_path / "joined", config(pre, network=network))
    plain = write_bundle(tmp_path / "plain", config([*LOAD, SCALE], network=network))
    scan = write_scan(tmp_path / "scan.nii.gz", channels=2)
    models = [vol3d.load(root, "cpu") for root in (joined, plain)]
    assert models[0].task.channel_names == ("a", "b")  # type: ignore[attr-defined]
    masks = [predicted(model, scan).mask for model in models]
    assert np.array_equal(masks[0], masks[1])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 40)])
def test_a_scan_of_one_voxel_and_a_thin_one(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    pre: list[dict[str, Any]] = [
        *LOAD,
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2, 2, 2], "mode": "bilinear"},
        SCALE,
    ]
    model = vol3d.load(write_bundle(tmp_path / "bundle", config(pre)), "cpu")
    found = predicted(model, np.full(shape, 50.0, np.float32), affine=np.eye(4))
    assert found.mask.shape == shape


def test_nothing_but_air_is_one_clear_error(tmp_path: Path) -> None:
    model = vol3d.load(write_bundle(tmp_path / "bundle", config()), "cpu")
    with pytest.raises(DataError, match="CropForegroundd"):
        model.predict(np.full((20, 20, 20), -1000.0, np.float32), affine=np.eye(4))
    with pytest.raises(DataError, match="not finite"):
        model.predict(np.full((20, 20, 20), np.nan, np.float32), affine=np.eye(4))


def test_mirrored_views(tmp_path: Path) -> None:
    root, scan = write_bundle(tmp_path / "bundle", config([*LOAD, SCALE])), write_scan(tmp_path / "scan.nii.gz")
    model = vol3d.load(root, "cpu")
    plain, mirrored = predicted(model, scan).mask, predicted(model, scan, mirror="ij").mask
    assert plain.shape == mirrored.shape and (plain != mirrored).any()


def test_a_network_that_does_not_take_its_windows_is_named(tmp_path: Path) -> None:
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [15, 15, 15]}
    doc = config(network={**UNET, "num_res_units": 0}, inferer=inferer)
    model = vol3d.load(write_bundle(tmp_path / "bundle", doc), "cpu")
    with pytest.raises(CheckpointError, match=r"network_def: UNet: cannot be applied to windows of \(15, 15, 15\)"):
        model.predict(write_scan(tmp_path / "scan.nii.gz"))


def test_a_scan_that_is_no_ct_is_noted(tmp_path: Path) -> None:
    model = vol3d.load(write_bundle(tmp_path / "bundle", config([*LOAD, SCALE])), "cpu")
    values = np.random.default_rng(0).uniform(0, 900, (20, 20, 20)).astype(np.float32)
    for shift, noted in ((0, True), (-200, False)):
        codes = {note.code for note in model.predict(values + shift, affine=np.eye(4)).notes}
        assert ("hounsfield-unlike-training" in codes) == noted
