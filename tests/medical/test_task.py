"""Segmentation from a recipe to masks: train, evaluate, predict, on small volumes in seconds."""

import csv
import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from medical.datasets.cases import IGNORED
from medical.datasets.folder import FolderSettings
from medical.datasets.pairs import read_image
from medical.preprocess import PreprocessSettings
from medical.training_set import prepare_in_memory
from tests.medical.synthetic import CLASSES, write_folder, write_json, write_msd
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
GOLDEN = [1.55656, 1.292155, 1.131101, 1.027787, 0.9743045]  # losses, torch 2.13 on a CPU


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
    message = r"other classes.*got liver, tumour, wanted one or more of anterior, posterior"
    with pytest.raises(CheckpointError, match=message):
        task.for_dataset(task.settings.data.model_copy(update={"root": other}))
    with pytest.raises(UsageError, match="no data set of volumes"):
        task.for_dataset(task.settings.train)


def test_only_common_classes_are_scored_and_labels_are_matched_by_name(tmp_path, recipe):
    """Truth in other numbers: tumour 1, posterior 2, so that the model's anterior (1) must never meet it."""
    task = load_task(recipe)
    other = write_msd(tmp_path / "other", class_names=("background", "tumour", "posterior"))
    data = task.settings.data.model_copy(update={"root": other})
    torch.manual_seed(0)
    model = task.model()
    evaluation = task.for_dataset(data, "train").evaluate(model, CPU, lambda *_: None)
    same = task.for_dataset(task.settings.data, "train").evaluate(model, CPU, lambda *_: None)

    rows, twin = evaluation.summary["classes"], same.summary["classes"]
    assert list(rows) == ["anterior", "posterior", "tumour"] and rows["anterior"] == {}
    assert rows["posterior"] == twin["posterior"]  # both label it 2
    assert rows["tumour"]["dice"] == 0 and rows["tumour"]["missed"] == evaluation.summary["cases"]
    assert evaluation.score == rows["posterior"]["dice"] and evaluation.summary["missed"] == rows["posterior"]["missed"]
    absent, unknown = evaluation.summary["remarks"]
    assert (absent["value"], unknown["value"]) == ("anterior", "tumour")
    assert absent["numbers"]["left_out"] > 0 and unknown["numbers"]["missed"] > 0
    assert "remarks" not in same.summary


def test_the_same_classes_in_other_numbers_have_the_same_scores(tmp_path, recipe, root):
    task, swapped = load_task(recipe), tmp_path / "swapped"
    shutil.copytree(root, swapped)
    document = json.loads((swapped / "dataset.json").read_text())
    write_json(swapped / "dataset.json", document | {"labels": {"0": "background", "1": "posterior", "2": "anterior"}})
    for path in (swapped / "labelsTr").glob("blobs*"):
        image = nib.load(path)
        labels = np.array([0, 2, 1], np.uint8)[np.asarray(image.dataobj)]
        nib.save(nib.Nifti1Image(labels, image.affine, image.header), path)
    model = task.model()
    one, other = (
        task.for_dataset(task.settings.data.model_copy(update={"root": where})).evaluate(model, CPU, lambda *_: None)
        for where in (root, swapped)
    )
    assert other.summary["classes"] == one.summary["classes"] and "remarks" not in other.summary


def test_ignored_voxels_of_other_data_stay_ignored(tmp_path, recipe):
    """The number of ignored voxels, 1, is the model's anterior."""
    task = load_task(recipe)
    root = write_folder(tmp_path / "own", classes=["background", "ignore", "posterior"])
    evaluation = task.for_dataset(FolderSettings(root=root), "all").evaluate(task.model(), CPU, lambda *_: None)
    summary = evaluation.summary
    assert summary["ignored_voxels"] > 0 and set(summary["classes"]) == {"anterior", "posterior"}
    assert summary["classes"]["anterior"] == {} and [one["value"] for one in summary["remarks"]] == ["anterior"]
    assert {row["class"] for row in evaluation.rows} == {"posterior"}


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


RESIDUAL = (
    "model={name: residual_unet, features: [4, 8, 8], kernels: [[3, 3, 3], [3, 3, 3], [3, 3, 3]],"
    " strides: [[1, 1, 1], [2, 2, 2], [2, 2, 2]], blocks: [1, 1, 1]}"
)


@pytest.mark.parametrize("words", [[], [RESIDUAL]])
def test_ignored_voxels_and_regions_through_the_whole_run(tmp_path, root, words):
    document = json.loads((root / "dataset.json").read_text())
    document["labels"] = {"background": 0, "whole": [1, 2], "posterior": 2, "ignore": 3}
    write_json(root / "dataset.json", document)
    for path in (root / "labelsTr").glob("blobs*.nii.gz"):
        image = nib.load(path)
        values = np.asarray(image.dataobj).copy()
        values[:3] = 3
        nib.save(nib.Nifti1Image(values, image.affine), path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(root)))
    task = load_task(recipe, ["train.epochs=1", *words])
    assert task.classes.output_names == ("whole", "posterior") and task.class_names[1] == "rest of whole"
    window = task.samples().sample(0, np.random.default_rng(0))
    assert window.target.shape[0] == 2 and set(window.target.unique().tolist()) == {0, 1, IGNORED}
    evaluation = train(task, tmp_path / "run")
    assert set(evaluation.summary["classes"]) == {"whole", "posterior"}
    assert evaluation.summary["ignored_voxels"] == 3 * 3 * 24 * 16
    assert task.seen().ranges["extent-left-right"].high == 20 and "volume-whole" not in task.seen().ranges
    loaded = checkpoint.load(tmp_path / "run", CPU)
    assert loaded.task.classes == task.classes


def test_a_prediction_notes_what_the_model_does_not_know(tmp_path, recipe, root, capsys):
    train(load_task(recipe, ["train.epochs=1"]), tmp_path / "run")
    loaded = checkpoint.load(tmp_path / "run", CPU)
    known = loaded.task.read(ScanSource(next(root.rglob("imagesTr/blobs*.nii.gz")), "a"))
    done = []
    found = loaded.task.predict(loaded.models, known, CPU, lambda *counts: done.append(counts))
    assert not [note for note in found.notes if note.code.startswith(("spacing", "extent", "low", "high"))]
    assert done and done[-1][0] == done[-1][1] == len(done), "progress counts the windows"
    far = replace(known, grid=replace(known.grid, affine=known.affine @ np.diag([1.0, 1, 5, 1])))
    codes = {note.code: dict(note.numbers) for note in loaded.task.predict(loaded.models, far, CPU).notes}
    assert codes["spacing-head-foot-unlike-training"] == {"found": 5.0, "low": 1.0, "high": 1.0}
    assert "extent-head-foot-unlike-training" in codes


def test_mirroring_of_sides_is_noted(tmp_path, recipe, root):
    document = json.loads((root / "dataset.json").read_text())
    document["labels"] = {"0": "background", "1": "kidney_L", "2": "kidney_R"}
    write_json(root / "dataset.json", document)
    task = load_task(recipe, ["augment.flip=[0.5, 0, 0]", "window.mirror_axes=[0]"])
    assert [note.code for note in task.notes()] == ["left-right-flipped", "left-right-mirrored"]
    assert not load_task(recipe).notes()
    image = task.read(ScanSource(next(root.rglob("imagesTr/blobs*.nii.gz")), "a"))
    models = [task.model()]
    assert "left-right-mirrored" in {note.code for note in task.predict(models, image, CPU).notes}
    plain = task.with_options({"mirror": "jk"})
    assert "left-right-mirrored" not in {note.code for note in plain.predict(models, image, CPU).notes}


def test_one_file_per_channel_is_predicted_as_it_is_trained(tmp_path):
    root = write_folder(tmp_path / "data", channel_names=("T1", "T2"))
    for case in sorted((root / "images").iterdir()):
        for file in sorted(case.iterdir()):
            file.rename(root / "images" / f"{case.name}_{file.name}")
        case.rmdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(root)).replace("name: msd", "name: folder"))
    task = load_task(recipe)
    sources = task.find_inputs([root / "images"])
    assert [source.name for source in sources] == ["case0", "case1", "case2", "case3"]
    case = next(case for case in task.split.labelled if case.name == "case1")
    np.testing.assert_array_equal(task.read(sources[1]).array, read_image(case.images).array)


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


def test_the_losses_of_the_first_five_steps_are_these(tmp_path, recipe):
    train(load_task(recipe, ["train.epochs=5", "train.evaluate_every=5"]), tmp_path / "run")
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses[:5] == pytest.approx(GOLDEN, rel=1e-3)  # what sampling, network, loss and optimiser do changes them
