"""A score on training cases is noted: of a run, of folds, of what it started from, whatever files are called."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

import vol3d
from medical.datasets.prepare import prepare
from medical.datasets.prepared import load_prepared
from tests.medical.synthetic import write_msd
from tests.medical.test_task import RECIPE
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine import loop
from vol3d.engine.loop import train
from vol3d.engine.trained_on import remarks

WORDS = ("train.epochs=1", "model.features=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set, its recipe and two folds."""
    place = tmp_path_factory.mktemp("trained_on")
    root = write_msd(place / "data")
    (place / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(root)))
    for fold in (0, 1):
        train(load_task(place / "recipe.yaml", [*WORDS, f"data.fold={fold}"]), place / f"cv/fold{fold}", device="cpu")
    return place


def root_of(place):
    return next((place / "data").rglob("dataset.json")).parent


def known(folder):
    return json.loads((folder / "config.json").read_text())["trained_on"]


def test_validation_is_silent_and_training_is_not(place):
    run, root = place / "cv/fold0", root_of(place)
    split = load_task(place / "recipe.yaml").split
    own = vol3d.evaluate(run, root, device="cpu").summary
    assert own["split"] == "validation" and own["seen_cases"] == 0 and "remarks" not in own
    on_all = vol3d.evaluate(run, root, split="all", device="cpu").summary
    assert on_all["seen_cases"] == len(split.train) == len(known(run)["scans"]["training"])
    (text,) = remarks(on_all)
    assert text.startswith(f"{len(split.train)} of {len(split.labelled)} scored cases were trained on by this model;")
    assert vol3d.evaluate(run, root, split="train", device="cpu").summary["seen_cases"] == len(split.train)


def test_an_ensemble_has_seen_what_any_of_its_models_has(place):
    root, split = root_of(place), load_task(place / "recipe.yaml").split
    summary = vol3d.evaluate(place / "cv", root, split="all", device="cpu").summary
    assert summary["seen_cases"] == len(split.labelled)
    assert "by 2 of the 2 models of this ensemble" in remarks(summary)[0]


def test_printed_reported_and_in_the_json(place, tmp_path, capsys):
    run, root = str(place / "cv/fold0"), str(root_of(place))
    assert (
        main(["evaluate", run, "--data", root, "--split", "all", "-o", str(tmp_path / "out"), "--device", "cpu"]) == 0
    )
    said = capsys.readouterr().err
    assert (
        "note: " in said and "scored cases were trained on by this model; the score is not one of unseen data" in said
    )
    assert "remarks" not in said and "seen cases" in said
    report = (tmp_path / "out" / "report.html").read_text()
    assert "the score is not one of unseen data" in report
    assert main(["evaluate", run, "--data", root, "--split", "all", "--json", "--device", "cpu"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in facts["remarks"]] == ["training-cases-scored"]
    assert facts["remarks"][0]["numbers"]["seen"] == facts["seen_cases"]
    assert main(["evaluate", str(place / "cv"), "--data", root, "--folds", "--device", "cpu"]) == 0
    assert "trained on by" not in capsys.readouterr().err


def test_renamed_repacked_and_relabelled_copies_are_seen_and_equal_names_are_not(place, tmp_path):
    run, root, split = place / "cv/fold0", root_of(place), load_task(place / "recipe.yaml").split
    for folder in ("images", "labels"):
        (tmp_path / "copies" / folder).mkdir(parents=True)
    (tmp_path / "copies" / "dataset.json").write_bytes(
        json.dumps(json.loads((root / "dataset.json").read_text()) | {"training": [
            {"image": f"./images/other_{n}.nii", "label": f"./labels/other_{n}.nii"} for n in range(2)
        ], "test": []}).encode()
    )  # fmt: skip
    for n, case in enumerate((split.train[0], split.validation[0])):
        nib.save(nib.load(case.images[0]), tmp_path / f"copies/images/other_{n}.nii")  # unpacked
        label = nib.load(case.label)
        labels = np.asarray(label.dataobj).copy()
        labels[0, 0, 0] = 1  # corrected
        nib.save(nib.Nifti1Image(labels, label.affine), tmp_path / f"copies/labels/other_{n}.nii")
    assert vol3d.evaluate(run, tmp_path / "copies", split="all", device="cpu").summary["seen_cases"] == 1

    shutil.copytree(root, tmp_path / "same_names")
    for path in (tmp_path / "same_names").rglob("imagesTr/blobs_*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 2, image.affine), path)
    summary = vol3d.evaluate(run, tmp_path / "same_names", split="all", device="cpu").summary
    assert summary["seen_cases"] == 0 and "remarks" not in summary


def test_fine_tuning_takes_over_what_was_seen(place, tmp_path):
    words = [*WORDS, "data.fold=1", f"start_from={place / 'cv/fold0'}"]
    train(load_task(place / "recipe.yaml", words), tmp_path / "tuned", device="cpu")
    scans = known(tmp_path / "tuned")["scans"]
    assert scans["start_from"] == sorted(known(place / "cv/fold0")["scans"]["training"])
    summary = vol3d.evaluate(tmp_path / "tuned", root_of(place), device="cpu").summary
    assert summary["seen_cases"] and "only by the model that it started from" in remarks(summary)[0]


def test_an_older_checkpoint_says_nothing_and_its_card_says_so(place, tmp_path, capsys):
    tensors, info = checkpoint.read_checkpoint(place / "cv/fold0/best.safetensors")
    older = {key: value for key, value in info.items() if key not in ("sha256", "trained_on")}
    (tmp_path / "older").mkdir()
    checkpoint.write_checkpoint(tmp_path / "older/best.safetensors", tensors, older)
    summary = vol3d.evaluate(tmp_path / "older", root_of(place), split="all", device="cpu").summary
    assert "seen_cases" not in summary and "remarks" not in summary
    for folder, wanted in ((tmp_path / "older", "not recorded"), (place / "cv/fold0", "3 with labels")):
        assert main(["models", str(folder), "--json"]) == 0
        (card,) = json.loads(capsys.readouterr().out)["models"]
        assert card["training scans"] == wanted
    train(
        load_task(place / "recipe.yaml", [*WORDS, f"start_from={tmp_path / 'older'}"]), tmp_path / "run", device="cpu"
    )
    assert known(tmp_path / "run")["not_recorded"] == ["start_from"]
    summary = vol3d.evaluate(tmp_path / "run", root_of(place), device="cpu").summary
    assert summary["seen_cases"] == 0 and "by the model that it started from" in remarks(summary)[0]
    (tmp_path / "older/trained_on.json").write_text('{"scans": []}')
    assert main(["models", str(tmp_path / "older")]) == 1
    assert "its record of training scans or terms cannot be read" in capsys.readouterr().err


def test_prepared_cases_are_known_by_their_originals(place, tmp_path):
    task = load_task(place / "recipe.yaml")
    keys = prepare(task.split, task.settings.preprocess, tmp_path / "prepared", workers=0).keys
    training = task.trained_on(lambda *_: None).scans["training"]
    assert tuple(keys[case.name] for case in task.split.train) == training
    mapped = load_task(place / "recipe.yaml", [f"prepared={tmp_path / 'prepared'}"])
    assert mapped.trained_on(lambda *_: None).scans["training"] == training
    for path in (tmp_path / "prepared/cases").glob("*.json"):  # as an earlier release left it
        path.write_text(json.dumps({key: one for key, one in json.loads(path.read_text()).items() if key != "scan"}))
    assert prepare(task.split, task.settings.preprocess, tmp_path / "prepared", workers=0).keys == keys
    index = json.loads((tmp_path / "prepared/prepared.json").read_text())
    for one in index["cases"].values():
        del one["scan"]
    (tmp_path / "prepared/prepared.json").write_text(json.dumps(index))
    assert load_prepared(tmp_path / "prepared").keys == {}
    assert mapped.trained_on(lambda *_: None).scans["training"] == training


def test_a_run_that_was_stopped_records_the_same(place, tmp_path, monkeypatch):
    words = [*WORDS, "train.epochs=2", f"start_from={place / 'cv/fold1'}"]
    step = loop.Learner.step

    def stopping(self, batch, number, total):
        if number == 1:
            raise KeyboardInterrupt
        return step(self, batch, number, total)

    monkeypatch.setattr(loop.Learner, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(load_task(place / "recipe.yaml", [*words, "train.save_every_s=1e-9"]), tmp_path / "run", device="cpu")
    monkeypatch.setattr(loop.Learner, "step", step)
    train(load_task(place / "recipe.yaml", [*words, "train.save_every_s=1e-9"]), tmp_path / "run", device="cpu")
    assert set(known(tmp_path / "run")["scans"]) == {"training", "start_from"}
