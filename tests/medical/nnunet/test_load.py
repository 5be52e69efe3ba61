"""Model folders as a person has them: by Python, by the command line, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

import vol3d
from medical.nnunet.card import card
from tests.medical.nnunet.made import LABELS, configuration, plans_of, write_model
from tests.medical.nnunet.test_preprocess import noise
from vol3d.cli.main import main
from vol3d.errors import CheckpointError, UsageError, Vol3dError
from vol3d.scans.results.record import read_record

NAME = "nnUNetTrainer__nnUNetPlans__"


def write_scan(path: Path, shape=(9, 10, 11), affine=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(noise(*shape), np.eye(4) if affine is None else affine), path)
    return path


def test_predict_and_card_by_the_command_line(tmp_path, capsys):
    folder = write_model(tmp_path / "model", folds=(0, 1))
    scan = write_scan(tmp_path / "scans" / "a_0000.nii.gz")
    assert main(["predict", str(folder), str(scan), "-o", str(tmp_path / "out"), "--json", "--set", "folds=[1]"]) == 0
    row = json.loads(capsys.readouterr().out)["results"][0]
    assert (
        set(row["volumes_ml"]) == {"front", "back"}
        and "saw the axes in the order of the file, RAS" in row["assumed"][0]
    )
    mask = nibabel.load(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == (9, 10, 11) and set(np.unique(mask.get_fdata())) <= {0, 1, 2}
    record = read_record(tmp_path / "out" / "a.nii.gz")[0]
    assert (
        record is not None and record.settings["folds"] == [1] and len(record.model_sha256) == 3
    )  # the fold, plans.json, dataset.json
    assert main(["models", str(folder), "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)["models"]
    assert card["dataset"] == "Dataset901_Made" and card["folds"] == [0, 1] and card["classes"] == list(LABELS)
    assert (card["patch"], card["configuration"], card["network"]) == ([8, 8, 6], "3d_fullres", "plain U-Net")


def test_changed_plans_make_another_result(tmp_path):
    folder, scan = write_model(tmp_path / "model"), write_scan(tmp_path / "a.nii.gz")
    out = tmp_path / "out"
    assert [row.status for row in vol3d.load(folder, "cpu").predict_files([scan], out)] == ["written"]
    assert [row.status for row in vol3d.load(folder, "cpu").predict_files([scan], out)] == ["skipped"]
    (folder / "plans.json").write_text(json.dumps(json.loads((folder / "plans.json").read_text()), indent=1))
    assert [row.status for row in vol3d.load(folder, "cpu").predict_files([scan], out)] == ["failed"]


def test_channels_are_joined_and_missing_ones_named(tmp_path):
    model = vol3d.load(write_model(tmp_path / "model", channels=("T1", "T2")), "cpu")
    for case in ("a", "b"):
        write_scan(tmp_path / "scans" / f"{case}_0000.nii.gz")
    write_scan(tmp_path / "scans" / "a_0001.nii.gz")
    rows = model.predict_files([tmp_path / "scans"], tmp_path / "out")
    assert [row.status for row in rows] == ["written", "failed"] and (tmp_path / "out" / "a.nii.gz").is_file()
    assert "the image has 1 channels" in str(rows[1].error) or "no file for the channels T2" in str(rows[1].error)


def test_folds_all_numbered_or_the_only_one(tmp_path):
    folder = write_model(tmp_path, folds=(0, 2, "all"))
    assert len(vol3d.load(folder, "cpu").models) == 2
    assert len(vol3d.load(folder, "cpu", {"folds": ["all"]}).models) == 1
    alone = write_model(tmp_path / "alone", folds=("all",))
    assert len(vol3d.load(alone, "cpu").models) == 1


def test_folds_whose_training_has_not_ended_are_left_out(tmp_path):
    folder = write_model(tmp_path, folds=(0, 1, 2))
    file = folder / "fold_1" / "checkpoint_final.pth"
    file.rename(file.with_name("checkpoint_latest.pth"))
    model = vol3d.load(folder, "cpu")
    assert len(model.models) == 2 and card(folder)["folds"] == [0, 2]
    assert [str(note) for note in model.task.cascade.notes] == ["left out, without such weights: fold_1"]
    assert not vol3d.load(folder, "cpu", {"folds": [0]}).task.cascade.notes
    with pytest.raises(CheckpointError, match=r"a fold without its weights; got checkpoint_latest\.pth"):
        vol3d.load(folder, "cpu", {"folds": [0, 1]})


@pytest.mark.parametrize(
    "named",
    [
        {"1": "T1", "2": "T2"},
        {"0000": "T1", "0001": "T2"},
        {"1": "T2", "0": "T1"},
        {"a": "T1", "b": "T2"},
        ["T1", "T2"],
    ],
)
def test_channels_are_counted_however_they_are_numbered(tmp_path, named):
    folder = write_model(tmp_path, channels=("T1", "T2"))
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "channel_names": named}), "utf-8")
    assert vol3d.load(folder, "cpu").task.channel_names == ("T1", "T2")


def test_mirrored_axes_are_those_of_the_scan(tmp_path):
    plans = plans_of({"3d_fullres": configuration()}, (1, 2, 0))
    folder = write_model(tmp_path / "model", plans, mirror=(0, 1))  # y and x, so j and i
    model = vol3d.load(folder, "cpu")
    stage = model.with_options({"mirror": "j"}).task.cascade.stages[0]
    assert stage.mirror == (0,)
    assert model.with_options({"mirror": "none"}).task.cascade.stages[0].mirror == ()
    assert vol3d.load(folder, "cpu", {"mirror": "ij"}).task.cascade.stages[0].mirror == (0, 1)
    with pytest.raises(UsageError, match="not trained on mirrored views; got k, wanted none, or some of ij"):
        model.with_options({"mirror": "k"})


def test_axes_are_turned_where_the_plan_says_so(tmp_path):
    plans = plans_of({"3d_fullres": configuration()})
    stored = write_model(tmp_path / "stored", plans)
    turning = write_model(tmp_path / "turning", {**plans, "image_reader_writer": "NibabelIOWithReorient"})
    total = write_model(tmp_path / "total", {**plans, "dataset_name": "Dataset291_TotalSegmentator_part1"})
    array = noise(9, 10, 11)
    flipped = np.diag([-1.0, 1, 1, 1])
    upright = vol3d.load(stored, "cpu").predict(array, affine=np.eye(4)).mask
    turned = {name: vol3d.load(folder, "cpu").predict(array[::-1], affine=flipped) for name, folder in
              (("stored", stored), ("turning", turning), ("total", total))}  # fmt: skip
    assert not np.array_equal(turned["stored"].mask[::-1], upright)
    assert np.array_equal(turned["turning"].mask[::-1], upright) and np.array_equal(turned["total"].mask[::-1], upright)
    codes = {name: [note.code for note in one.notes] for name, one in turned.items()}
    assert codes["stored"] == ["orientation-as-stored"] and "orientation-of-totalsegmentator" in codes["total"]
    as_file = vol3d.load(total, "cpu", {"orientation": "file"}).predict(array[::-1], affine=flipped)
    assert np.array_equal(as_file.mask, turned["stored"].mask)


def cascade_in(root: Path) -> Path:
    parts = {"3d_lowres": {**configuration(), "spacing": [2.0, 2.0, 2.0]}, "3d_fullres": configuration()}
    parts["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    for name in ("3d_lowres", "3d_cascade_fullres"):
        write_model(root / f"{NAME}{name}", plans_of(parts), name)
    return root / f"{NAME}3d_cascade_fullres"


def test_a_cascade_sees_what_the_first_stage_found(tmp_path):
    folder = cascade_in(tmp_path)
    array = noise(9, 10, 11)
    model = vol3d.load(folder, "cpu")
    first, last = model.task.cascade.stages
    assert (
        first.plans.spacing_mm == (2.0, 2.0, 2.0)
        and last.networks[0].encoder.stages[0][0].convs[0].conv.in_channels == 3
    )
    mask = model.predict(array, affine=np.eye(4)).mask
    moved = shutil.move(tmp_path / f"{NAME}3d_lowres", tmp_path / "elsewhere")
    with pytest.raises(
        CheckpointError, match=r"previous stage of the cascade is not there.*3d_lowres.*previous=FOLDER"
    ):
        vol3d.load(folder, "cpu")
    again = vol3d.load(folder, "cpu", {"previous": str(moved)})
    assert np.array_equal(again.predict(array, affine=np.eye(4)).mask, mask)


def test_an_unknown_trainer_is_noted(tmp_path):
    folder = write_model(tmp_path, trainer="nnUNetTrainerMine")
    notes = vol3d.load(folder, "cpu").predict(noise(8, 8, 8), affine=np.eye(4)).notes
    assert any("the trainer nnUNetTrainerMine is none of nnU-Net's own" in str(note) for note in notes)
    folder = write_model(tmp_path, trainer="nnUNetTrainer_4000epochs_NoMirroring")
    assert len(vol3d.load(folder, "cpu").task.cascade.notes) == 0


def no_plans(folder: Path) -> Path:
    (folder / "plans.json").unlink()
    return folder


def no_dataset(folder: Path) -> Path:
    (folder / "dataset.json").unlink()
    return folder


def of_version_1(folder: Path) -> Path:
    (folder / "plans.json").rename(folder / "plans.pkl")
    return folder


def no_folds(folder: Path) -> Path:
    shutil.rmtree(folder / "fold_0")
    return folder


def empty_fold(folder: Path) -> Path:
    file = folder / "fold_0" / "checkpoint_final.pth"
    file.rename(file.with_name("checkpoint_best.pth"))
    return folder


def several(folder: Path) -> Path:
    for name in ("2d", "3d_fullres"):
        shutil.copytree(folder, folder.parent / "all" / f"{NAME}{name}")
    return folder.parent / "all"


def damaged_json(folder: Path) -> Path:
    (folder / "plans.json").write_text('{"dataset_name": ', "utf-8")
    return folder


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (no_plans, "no plans of nnU-Net v2; wanted plans.json"),
        (no_dataset, "a model folder without its JSON file; wanted dataset.json"),
        (of_version_1, "a model of nnU-Net v1, which is not read"),
        (no_folds, "no fold of weights; got no fold_*, wanted fold_0/checkpoint_final.pth"),
        (empty_fold, "a fold without its weights; got checkpoint_best.pth, wanted checkpoint_final.pth"),
        (several, "several models in the folder"),
        (damaged_json, "not JSON"),
        (lambda folder: folder / "fold_0", "the folder of one fold, not of the model"),
    ],
)
def test_folders_that_are_refused(tmp_path, capsys, break_it, message):
    broken = break_it(write_model(tmp_path / "model"))
    scan = write_scan(tmp_path / "a.nii.gz")
    for command in (["predict", str(broken), str(scan), "-o", str(tmp_path / "out")], ["models", str(broken)]):
        assert main(command) in (1, 2)
        said = capsys.readouterr().err
        assert message in " ".join(said.split()) and "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": [4]}, "no such folds; got fold_4, wanted some of fold_0"),
        ({"folds": []}, "no such folds"),
        ({"checkpoint": "checkpoint_best.pth"}, "a fold without its weights"),
        ({"orientation": "RAX"}, "orientation must be 'file', or three of"),
        ({"fold": [0]}, "unknown setting 'fold'"),
        ({"step": 0}, "'step'"),
    ],
)
def test_settings_that_are_refused(tmp_path, settings, message):
    with pytest.raises(Vol3dError, match=message):
        vol3d.load(write_model(tmp_path), "cpu", settings)


@pytest.mark.bad_input
def test_it_is_not_scored(tmp_path):
    with pytest.raises(UsageError, match="a model of nnU-Net, which predicts only"):
        vol3d.evaluate(write_model(tmp_path / "model"), tmp_path)


def test_the_only_model_below_a_folder_is_meant(tmp_path):
    write_model(tmp_path / "Dataset901_Made" / f"{NAME}3d_fullres")
    assert vol3d.load(tmp_path / "Dataset901_Made", "cpu").class_names == ("background", "front", "back")
