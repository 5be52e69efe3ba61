"""Segmentation from a recipe to masks: train, evaluate, predict, on small volumes in seconds."""

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from medical.preprocess import PreprocessSettings
from medical.training_set import prepare_in_memory
from tests.medical.synthetic import CLASSES, write_msd
from vol3d import checkpoint
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.scans.source import ScanSource

RECIPE = """
model: {name: unetr, patch: 8, width: 16, depth: 2, heads: 2, mlp: 16, features: 8, skips: [1, 2]}
data: {name: msd, root: ROOT, folds: 2, fold: 0}
window: {size: [16, 24, 16]}
optim: {lr: 1e-2}
train: {epochs: 2, batch: 2, evaluate_every: 1}
"""
CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path):
    return write_msd(tmp_path / "data")


@pytest.fixture
def recipe(tmp_path, root):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root)))
    return path


def test_from_recipe_to_mask(tmp_path, recipe, root):
    evaluation = train(load_task(recipe), tmp_path / "run")
    assert evaluation.score_name == "mean_dice" and 0 <= evaluation.score <= 1
    assert set(evaluation.summary["classes"]) == set(CLASSES[1:])
    assert len(evaluation.pictures) == 3 and all(png[:4] == b"\x89PNG" for png in evaluation.pictures.values())
    loaded = checkpoint.load(tmp_path / "run", CPU)
    root.rename(tmp_path / "moved")  # a checkpoint predicts without the data set
    source = next((tmp_path / "moved").rglob("imagesTr/*.nii.gz"))
    found = loaded.task.predict(loaded.models, loaded.task.read(ScanSource(source, "scan")), CPU)
    mask, scan = nib.load(found.save(tmp_path / "out")), nib.load(source)
    assert mask.shape == scan.shape and mask.get_data_dtype() == np.uint8
    assert np.array_equal(mask.affine, scan.affine) and set(found.volumes_ml) == set(CLASSES[1:])


def test_more_training_beats_less(tmp_path, recipe):
    short = train(load_task(recipe, ["train.epochs=1"]), tmp_path / "short")
    longer = train(load_task(recipe, ["train.epochs=30", "train.evaluate_every=30"]), tmp_path / "long")
    assert longer.score > 0.8 > short.score


def test_ensemble_is_averaged(recipe):
    task = load_task(recipe)
    torch.manual_seed(0)
    models = nn.ModuleList([task.model(), task.model()])
    alone = task.evaluate(models[0], CPU, lambda *_: None)
    both = task.evaluate(models, CPU, lambda *_: None)
    twice = task.evaluate(nn.ModuleList([models[0], models[0]]), CPU, lambda *_: None)
    assert twice.rows == alone.rows and both.rows != alone.rows


def test_other_data_and_other_classes(tmp_path, recipe, root):
    task = load_task(recipe)
    part = task.for_dataset(task.settings.data, "train")
    assert part.split.validation == task.split.train
    other = write_msd(tmp_path / "other", class_names=("background", "liver", "tumour"))
    with pytest.raises(CheckpointError, match=r"other classes; got background, liver, tumour, wanted background"):
        task.for_dataset(task.settings.data.model_copy(update={"root": other}))
    with pytest.raises(UsageError, match="no data set of volumes"):
        task.for_dataset(task.settings.train)


def test_a_score_names_its_conditions(recipe):
    changed = ["window.mirror_axes=[0, 1]", "postprocess.largest_component=[anterior]"]
    task = load_task(recipe, changed)
    summary = task.evaluate(task.model(), CPU, lambda *_: None).summary
    assert summary["models"] == "one" and summary["mirrored"] == "axes i, j"
    assert summary["largest component kept of"] == "anterior"


def test_two_cases_are_enough_to_evaluate_on(tmp_path, recipe):
    task = load_task(recipe)
    few = task.settings.data.model_copy(update={"root": write_msd(tmp_path / "few", cases=2), "folds": 5})
    assert len(task.for_dataset(few, "all").split.validation) == 2
    with pytest.raises(UsageError, match="cannot be split into so many folds"):
        task.for_dataset(few, "validation")


def test_overfit_validates_on_what_it_trains(recipe):
    task = load_task(recipe).overfit(1)
    assert task.split.train == task.split.validation and len(task.split.train) == 1
    assert task.settings.augment.affine == 0
    assert len(task.samples()) == 1


def test_too_little_memory_says_what_to_do(recipe, monkeypatch):
    monkeypatch.setattr("medical.training_set.free_memory", lambda: 1000)
    task = load_task(recipe)
    with pytest.raises(DataError, match=r"do not fit into memory.*vol3d data prepare"):
        prepare_in_memory(task.split.train, task.class_names, task.channel_names, PreprocessSettings())


def test_channels_must_fit(tmp_path, recipe):
    task = load_task(recipe)
    scan = tmp_path / "two.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((16, 16, 16, 2), np.float32) + np.arange(2), np.eye(4)), scan)
    with pytest.raises(DataError, match=r"two\.nii\.gz: the image has 2 channels"):
        task.read(ScanSource(scan, "scan"))
    assert list(tmp_path.glob("two*")) == [scan]


def test_windows_that_do_not_fit_the_network(recipe):
    with pytest.raises(UsageError, match=r"got \(16, 20, 16\), wanted multiples of \(8, 8, 8\)"):
        load_task(recipe, ["window.size=[16, 20, 16]"]).model()


def test_a_loss_of_nothing_is_refused(recipe):
    with pytest.raises(UsageError, match="nothing would be learned"):
        load_task(recipe, ["loss.dice=0", "loss.cross_entropy=0"])


def test_predict_options_are_those_of_volumes(recipe):
    task = load_task(recipe)
    assert task.with_options({}).settings == task.settings
    assert task.with_options({"mirror": "kji"}).settings.window.mirror_axes == (0, 1, 2)
    assert task.with_options({"dicom_seg": True}) is task
    assert task.with_options({"mirror": "none"}).settings.window.mirror_axes == ()
    with pytest.raises(UsageError, match=r"--mirror: no such axes"):
        task.with_options({"mirror": "xy"})
    with pytest.raises(UsageError, match=r"--up: segmentation has no such option"):
        task.with_options({"up": "y"})
