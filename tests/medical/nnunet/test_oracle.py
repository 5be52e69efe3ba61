"""The numbers of nnU-Net itself, on models and scans of its own."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

import vol3d
from medical.nnunet.predict import averaged, planes, probabilities
from medical.nnunet.preprocess import Prepared, prepare, turned
from medical.segment import inference

CPU = torch.device("cpu")
HIPPOCAMPUS = "Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres"
SLICES = "Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__2d"
SPLEEN = "Dataset109_SpleenCrop/nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture
def root(oracle_root: Path) -> Path:
    folder = oracle_root / "nnunet"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


def model_of(folder: Path, **settings):
    return vol3d.load(folder, "cpu", settings)


@pytest.mark.parametrize(
    ("name", "folder", "fold"),
    [("3d_fullres_fold0", HIPPOCAMPUS, 0), ("2d_fold0", SLICES, 0), ("ct_foldall", SPLEEN, "all")],
)
def test_every_head_of_the_network(root, name, folder, fold):
    known = np.load(root / "steps" / f"forward_{name}.npz")
    network = model_of(root / folder, folds=[fold]).models[0]
    image = torch.from_numpy(known["input"])
    with torch.inference_mode():
        heads = network.logits(image.unsqueeze(2) if network.flat else image)
    for number, head in enumerate(heads):
        np.testing.assert_allclose(
            head.squeeze(2).numpy() if network.flat else head.numpy(), known[f"head_{number}"], atol=1e-4
        )


@pytest.mark.parametrize(
    ("name", "folder", "scan"),
    [
        ("3d_fullres_hippocampus_017", HIPPOCAMPUS, "hippocampus/hippocampus_017"),
        ("3d_fullres_hippocampus_205oblique", HIPPOCAMPUS, "hippocampus/hippocampus_205oblique"),
        ("3d_fullres_hippocampus_090border", HIPPOCAMPUS, "hippocampus_border/hippocampus_090border"),
        ("2d_hippocampus_205oblique", SLICES, "hippocampus/hippocampus_205oblique"),
        ("ct_spleen", SPLEEN, "spleen/spleen"),
    ],
)
def test_prepared_scans(root, name, folder, scan):
    known = np.load(root / "steps" / f"preprocessed_{name}.npz")["data"]
    stage = model_of(root / folder).task.cascade.stages[-1]
    ready = prepare(vol3d.read(root / "inputs" / f"{scan}_0000.nii.gz"), stage.plans)
    np.testing.assert_allclose(ready.image, known, atol=1e-5)


def test_logits_before_they_are_resampled(root):
    known = np.load(root / "steps" / "logits_3d_fullres_fold0_mirror_hippocampus_205oblique.npz")
    stage = model_of(root / HIPPOCAMPUS, folds=[0]).task.cascade.stages[-1]
    ready = Prepared(known["data"], (0, 0, 0), known["data"].shape[1:], ((1.0,) * 3, (1.0,) * 3))
    with inference(stage.networks, CPU), torch.inference_mode():
        logits = torch.cat([slab.scores.clone() for slab in averaged(stage, ready, CPU, None)], dim=1)
    apart = np.abs(logits.float().numpy() - known["logits"].astype(np.float32))
    assert apart.max() <= 0.016 and (apart > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("name", "folder", "scan", "settings"),
    [
        ("3d_fullres_fold0_nomirror_border", HIPPOCAMPUS, "hippocampus_border/hippocampus_090border", {"folds": [0]}),
        ("3d_fullres_folds01_nomirror", HIPPOCAMPUS, "hippocampus/hippocampus_017", {}),
        ("2d_fold0_nomirror", SLICES, "hippocampus/hippocampus_205oblique", {}),
        pytest.param(
            "ct_3d_fullres_foldall_mirror", SPLEEN, "spleen/spleen", {"folds": ["all"]}, marks=pytest.mark.slow
        ),
    ],
)
def test_probabilities_and_masks(root, name, folder, scan, settings):
    mirror = {} if name.endswith("_mirror") else {"mirror": ""}
    model = model_of(root / folder, **settings, **mirror)
    volume = vol3d.read(root / "inputs" / f"{scan}_0000.nii.gz")
    case = root / "outputs" / name / scan.rpartition("/")[2]

    stage = model.task.cascade.stages[-1]
    ready = prepare(volume, stage.plans)
    found = np.zeros((stage.labels.outputs, *volume.grid.shape), np.float32)
    found[0] = 1
    inside = tuple(slice(start, start + n) for start, n in zip(ready.start, ready.cropped, strict=True))
    crop = turned(found, stage.plans)[(slice(None), *inside)]
    mask = np.zeros(volume.grid.shape, np.uint8)
    decided = turned(mask, stage.plans)[inside]
    with inference(stage.networks, CPU), torch.inference_mode():
        for index, logits in planes(stage, ready, CPU):
            crop[:, index] = probabilities(logits, stage.labels).numpy()
            decided[index] = logits.argmax(dim=0).numpy()

    known = np.load(case.with_suffix(".npz"))["probabilities"]
    apart = np.abs(found.transpose(0, 3, 2, 1).astype(known.dtype).astype(np.float32) - known.astype(np.float32))
    rounded = 5e-4 if known.dtype == np.float16 else 0  # a step of float16 near 1
    assert apart.max() <= 1e-3 + rounded and apart.mean() <= 1e-6
    truth = nibabel.load(case.with_suffix(".nii.gz"))
    first, second = np.sort(known.astype(np.float32), axis=0)[[-1, -2]].transpose(0, 3, 2, 1)
    clear = first - second > 1e-3
    assert np.array_equal(mask[clear], np.asarray(truth.dataobj)[clear])
    np.testing.assert_allclose(volume.affine, truth.affine, atol=1e-6)


def test_plans_of_the_old_form_are_the_same(root, tmp_path):
    new = root / HIPPOCAMPUS
    (tmp_path / "plans.json").symlink_to(root / "old_format" / "plans.json")
    for name in ("dataset.json", "fold_0"):
        (tmp_path / name).symlink_to(new / name)
    plans = model_of(tmp_path).task.cascade.stages[0].plans
    assert plans == model_of(new).task.cascade.stages[0].plans
