"""Training with a tenth of the labels, from a recipe: both methods, any network, resume, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from medical.datasets.cases import IGNORED
from medical.unlabelled.pseudo_labels import fingerprint
from tests.medical.synthetic import blobs, ras_affine, write_json, write_msd, write_nifti
from vol3d import terminal
from vol3d.config import load_task
from vol3d.engine.learner import Learner
from vol3d.engine.loop import train
from vol3d.engine.resume import read
from vol3d.errors import CheckpointError, DataError, UsageError

RECIPE = """
model: {name: unetr, patch: 8, width: 16, depth: 2, heads: 2, mlp: 16, features: 4, skips: [1, 2], deep_supervision: 1}
data: {name: msd, root: ROOT, folds: FOLDS, fold: 0}
window: {size: [16, 24, 16]}
augment: {noise: 0.5, flip: [0.5, 0, 0]}
optim: {lr: 1e-2}
train: {epochs: 2, batch: 2, evaluate_every: 2, ema: 0.9}
"""
UNETR_OFF = "model={name: dynunet, kernels: [[3,3,3],[3,3,3],[3,3,3]], strides: [[1,1,1],[2,2,2],[2,2,2]], "
UNETR_OFF += "filters: [4, 8, 8]}"


@pytest.fixture
def root(tmp_path):
    return write_msd(tmp_path / "data", cases=6, tests=1)


@pytest.fixture
def recipe(tmp_path, root):
    folds = write_folds(tmp_path / "tenth.json", train=[1, 2], val=[6])
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root)).replace("FOLDS", str(folds)))
    return path


def write_folds(path, train, val):
    write_json(path, [{"train": [f"blobs_{n:03d}" for n in train], "val": [f"blobs_{n:03d}" for n in val]}])
    return path


def test_unlabelled_scans_are_neither_labelled_nor_validated(recipe, root, tmp_path, capsys):
    with terminal.speaking(True):
        samples = load_task(recipe, [f"unlabelled={root}"]).samples()
    assert [name.rpartition("_")[2] for name in samples.names] == [
        "003.nii.gz",
        "004.nii.gz",
        "005.nii.gz",
        "007.nii.gz",
    ]
    assert "4 unlabelled scans" in capsys.readouterr().err and len(samples) == 2
    copies = tmp_path / "copies"
    shutil.copytree(root / "imagesTr", copies)
    again = load_task(recipe, [f"unlabelled={copies}"]).samples()
    assert [name.rpartition("_")[2] for name in again.names] == ["003.nii.gz", "004.nii.gz", "005.nii.gz"]


def test_windows_beside_the_labelled_ones(recipe, root):
    words = [f"unlabelled={{root: {root}, windows: 2}}", "augment.noise=1"]
    samples, alone = load_task(recipe, words).samples(), load_task(recipe, ["augment.noise=1"]).samples()
    window, beside = samples.sample(1, np.random.default_rng(5))
    same = alone.sample(1, np.random.default_rng(5))
    assert (window.image == same.image).all() and (window.target == same.target).all()
    assert len(beside) == 2
    for one in beside:
        assert one.image.shape == one.other.shape == (1, 16, 24, 16)
        assert 0 < float((one.image - one.other).abs().max()) < 1  # the same place, with noise of at most 0.1
    batch = samples.collate([(window, beside)] * 2)
    assert batch.inputs["labelled"].shape[0] == 2 and batch.inputs["other"].shape[0] == 4 and len(batch.ids) == 6


@pytest.mark.parametrize("words", [[], [UNETR_OFF]])
def test_mean_teacher_trains_and_resumes_to_the_bit(recipe, root, tmp_path, words, monkeypatch):
    words = [*words, f"unlabelled={{root: {root}, ramp: 2, threshold: 0}}", "train.save_every_s=1e-9"]
    whole = train(load_task(recipe, words), tmp_path / "whole")
    assert (tmp_path / "whole" / "metrics.csv").read_text().splitlines()[0].count("consistency") == 1

    class Cut(Exception):
        pass

    apply = Learner.apply

    def stop(learner, step):
        if step == 1:
            raise Cut
        apply(learner, step)

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr("vol3d.engine.learner.Learner.apply", stop)
        train(load_task(recipe, words), tmp_path / "cut")
    assert read(tmp_path / "cut").step == 1
    again = train(load_task(recipe, words), tmp_path / "cut")
    assert again.rows == whole.rows
    ends = [read(tmp_path / name).state["model"] for name in ("whole", "cut")]
    assert any("teacher" in name for name in ends[0])
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])
    info = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert info["settings"]["unlabelled"]["method"] == "mean_teacher"


def test_pseudo_labels_of_a_run(recipe, root, tmp_path, capsys):
    train(load_task(recipe, ["train.epochs=12", "train.evaluate_every=12"]), tmp_path / "teacher")
    words = [f"unlabelled={{root: {root}, method: pseudo_labels, teacher: {tmp_path / 'teacher'}, threshold: 0.5}}"]
    with terminal.speaking(True):
        samples = load_task(recipe, words).samples()
    said = capsys.readouterr().err
    assert "4 scans labelled by" in said and "% of their voxels left out" in said
    for name in samples.names:
        case = samples.read(name)
        assert case.label.shape == (1, *case.image.shape[1:]) and set(np.unique(case.label)) <= {0, 1, 2, IGNORED}
    sure = load_task(recipe, [words[0].replace("0.5", "0.999999")]).samples()
    assert (sure.read(sure.names[0]).label == IGNORED).sum() > (samples.read(samples.names[0]).label == IGNORED).sum()

    evaluation = train(load_task(recipe, words), tmp_path / "run")
    assert 0 <= evaluation.score <= 1
    written = (tmp_path / "run" / "config.yaml").read_text()
    assert fingerprint(str(tmp_path / "teacher")) in written
    known = json.loads((tmp_path / "run" / "config.json").read_text())["trained_on"]["scans"]
    assert {how: len(keys) for how, keys in known.items()} == {"training": 2, "unlabelled": 4, "teacher": 2}
    assert known["teacher"] == sorted(known["training"]) and not set(known["training"]) & set(known["unlabelled"])
    with pytest.raises(CheckpointError, match=r"not the weights that unlabelled\.sha256 names"):
        load_task(recipe, [*words, "unlabelled.sha256=abc"]).samples()
    with pytest.raises(CheckpointError, match="the teacher has other preprocessing"):
        load_task(recipe, [*words, "preprocess.spacing_mm=[2, 2, 2]"]).samples()


def test_a_teacher_works_where_the_training_does(recipe, root, tmp_path, monkeypatch):
    def never(name, where="device"):
        raise AssertionError("the device of the training was given")

    asked = []

    def load(where, device):
        asked.append(device)
        raise UsageError("far enough")

    monkeypatch.setattr("medical.unlabelled.pseudo_labels.fingerprint", lambda where: "abc")
    monkeypatch.setattr("medical.unlabelled.pseudo_labels.checkpoint.load", load)
    monkeypatch.setattr("medical.task.pick_device", never)
    monkeypatch.setattr("vol3d.checkpoint.said_by", lambda where: [])
    words = [f"unlabelled={{root: {root}, method: pseudo_labels, teacher: {tmp_path / 'teacher'}}}"]
    with pytest.raises(UsageError, match="far enough"):
        train(load_task(recipe, words), tmp_path / "run", device="cpu")
    assert asked == [torch.device("cpu")]


def test_bad_input(recipe, root, tmp_path):
    def refused(kind, match, *words):
        with pytest.raises(kind, match=match):
            load_task(recipe, [f"unlabelled={tmp_path / 'scans'}", *words]).samples()

    refused(UsageError, "no such folder")
    scans = tmp_path / "scans"
    shutil.copytree(root / "imagesTr", scans, ignore=shutil.ignore_patterns("*003*", "*004*", "*005*"))
    refused(DataError, "no scan is unlabelled.*got 3 scans, of which 3 train with labels or validate")

    image, _ = blobs()
    write_nifti(scans / "coarse.nii.gz", image[0], ras_affine((4, 4, 4)))
    refused(DataError, "an unlabelled scan is unlike the labelled ones: voxels are 4 mm long left-right")
    load_task(recipe, [f"unlabelled={scans}", "preprocess.spacing_mm=[1, 1, 1]"]).samples()  # resampled, so no matter
    (scans / "coarse.nii.gz").unlink()

    write_nifti(scans / "two.nii.gz", np.stack([image[0], image[0]], axis=-1), ras_affine())
    refused(DataError, r"two\.nii\.gz: the image has 2 channels, the data set 1 \(MRI\)")


def test_labels_without_a_class_are_refused_by_its_name(recipe, root):
    import nibabel as nib

    for n in (1, 2):
        path = root / "labelsTr" / f"blobs_{n:03d}.nii.gz"
        label = nib.load(path)
        array = np.asarray(label.dataobj).copy()
        array[array == 2] = 0
        nib.save(nib.Nifti1Image(array, label.affine, label.header), path)
    load_task(recipe).samples()  # as before
    with pytest.raises(DataError, match="none of the 2 labelled training cases has a voxel of posterior"):
        load_task(recipe, [f"unlabelled={root}"]).samples()


def test_what_cannot_work_is_refused_before_the_data_are_read(recipe):
    with pytest.raises(UsageError, match="mean teacher"):
        load_task(recipe, ["unlabelled=/nowhere", "train.shard=true"])
    assert load_task(recipe, ["unlabelled=/nowhere"]).overfit(1).settings.unlabelled is None
