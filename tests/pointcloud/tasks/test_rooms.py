"""Detection from a recipe to boxes in a file: train, evaluate, predict, on small rooms in seconds."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from pointcloud.tasks.rooms import DetectionTask
from tests.pointcloud.synthetic import CLASSES, room, write_rooms
from tests.vol3d.view.scenes import pixels
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.scans.results.read import read_detections
from vol3d.scans.source import ScanSource

RECIPE = """
model:
  name: 3detr
  aggregation: {points: 64, radius_m: 0.4, neighbours: 16, widths: [16, 32]}
  width: 32
  encoder_layers: 1
  encoder_dropout: 0
  queries: 16
  decoder_layers: 2
  decoder_dropout: 0
  head_dropout: 0
  loss: {giou: 2, size: 5}
data: {name: point_folder, root: ROOT, up: z, units: m}
points: 512
augment: {flip_x: 0.5, flip_y: 0.5, axis_aligned: true}
optim: {lr: 2e-3}
train: {epochs: 2, batch: 2, evaluate_every: 2}
"""
CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path):
    return write_rooms(tmp_path / "data")


@pytest.fixture
def recipe(tmp_path, root):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(root)))
    return path


def test_from_recipe_to_boxes(tmp_path, recipe, root):
    evaluation = train(load_task(recipe, ["train.background=light"]), tmp_path / "run")
    assert evaluation.score_name == "ap25" and 0 <= evaluation.score <= 1
    assert all(pixels(png)[:10].mean() > 220 for png in evaluation.pictures.values())
    assert set(evaluation.summary["classes"]) == set(CLASSES)
    assert all(png[:4] == b"\x89PNG" for png in evaluation.pictures.values()) and evaluation.pictures
    loaded = checkpoint.load(tmp_path / "run", CPU)
    root.rename(tmp_path / "moved")  # a checkpoint predicts without the data set
    task = loaded.task.with_options({"score": 0.0, "up": "z", "units": "m"})
    out = tmp_path / "out"
    predicted = task.predict(loaded.models, task.read(ScanSource(tmp_path / "moved" / "room6.npy", "scan")), CPU)
    assert predicted.save(out) == out / "room6.json"
    found = read_detections(out / "room6.json")
    assert predicted.facts()["boxes"] == len(found) > 0
    assert found.class_names == CLASSES and json.loads((out / "room6.json").read_text())["units"] == "m"
    assert (out / "room6.boxes.ply").read_bytes().startswith(b"ply")
    beside = tmp_path / "moved"  # into the folder of the scans: nothing of theirs is touched or taken for a result
    (beside / "room6.ply").write_bytes(b"another scan")
    task.predict(loaded.models, task.read(ScanSource(beside / "room6.npy", "scan")), CPU).save(beside)
    assert (beside / "room6.ply").read_bytes() == b"another scan"
    assert beside / "room6.boxes.ply" not in task.find_inputs([beside])


def test_more_training_beats_less(tmp_path, recipe):
    short = train(load_task(recipe, ["train.epochs=1"]).overfit(4), tmp_path / "short")
    words = ["train.epochs=200", "train.batch=6", "train.evaluate_every=200", "optim.lr=5e-3"]
    longer = train(load_task(recipe, words).overfit(4), tmp_path / "long")
    assert longer.score > 0.25 > short.score


def test_the_number_of_workers_changes_nothing(tmp_path, recipe):
    for workers in (0, 2):
        train(load_task(recipe, [f"train.workers={workers}"]), tmp_path / str(workers))
    one, other = (checkpoint.load(tmp_path / run, CPU).models[0].state_dict() for run in ("0", "2"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_overfit_uses_the_training_scenes_undistorted(recipe):
    task = DetectionTask(load_task(recipe).settings).overfit(1)
    assert [scene.name for scene in task.split.train] == [scene.name for scene in task.split.validation]
    assert task.settings.augment.flip_x == 0


def test_evaluating_on_another_data_set(tmp_path, recipe):
    task = DetectionTask(load_task(recipe).settings)
    other = task.settings.data.model_copy(update={"root": write_rooms(tmp_path / "other", 2, 1)})
    assert (
        len(task.for_dataset(other, "all").split.validation) == 3 and len(task.for_dataset(other).split.validation) == 1
    )
    relabel(other.root, ["sofa", "lamp"], {"box": "sofa", "pillar": "lamp"})
    with pytest.raises(CheckpointError, match=r"trained for other classes.*got sofa, lamp, wanted one or more of box"):
        task.for_dataset(other)


def relabel(root, class_names, renamed):
    """Names the classes of `boxes.json` anew; objects of a class without a new name are no longer annotated."""
    path = root / "boxes.json"
    content = json.loads(path.read_text())
    for file, objects in content["scenes"].items():
        kept = [one | {"class": renamed[one["class"]]} for one in objects if one["class"] in renamed]
        content["scenes"][file] = kept
    path.write_text(json.dumps(content | {"class_names": class_names}))


def perfect(task, scenes):
    """What a detector would find that finds all, by the name of the scene's points."""
    truth = {scene.cloud.xyz.tobytes(): scene.truth for scene in (reader.read() for reader in scenes)}
    return lambda models, cloud, *_, **__: truth[cloud.xyz.tobytes()].of_classes(task.class_names)


def test_only_common_classes_are_scored_and_they_are_matched_by_name(tmp_path, recipe, monkeypatch):
    task = DetectionTask(load_task(recipe).settings)
    everything = task.split.labelled
    mine = task.settings.data.model_copy(update={"root": write_rooms(tmp_path / "pillars")})
    relabel(mine.root, ["sofa", "pillar"], {"pillar": "pillar", "box": "sofa"})  # label 1 is the model's 0 and no box
    monkeypatch.setattr(DetectionTask, "detect", staticmethod(perfect(task, everything)))

    evaluation = task.for_dataset(mine, "all").evaluate(task.model(), CPU, lambda *_: None)
    rows, (absent, unknown) = evaluation.summary["classes"], evaluation.summary["remarks"]
    assert evaluation.score == evaluation.summary["ap50"] == rows["pillar"]["ap25"] == 1.0
    assert list(rows) == ["box", "pillar", "sofa"] and rows["box"] == {}
    assert rows["sofa"] == dict.fromkeys(("ap25", "ap50", "recall25", "recall50"), 0.0) | {
        "ground_truths": 8,
        "detections": 0,
    }
    assert absent["value"] == "box" and absent["numbers"]["left_out"] == 8
    assert unknown["value"] == "sofa" and unknown["numbers"]["missed"] == 8
    assert evaluation.summary["ground_truths"] == evaluation.summary["detections"] == 8
    assert {row["class"] for row in evaluation.rows} == {"pillar"}


def test_other_numbers_of_the_same_classes_change_nothing(tmp_path, recipe):
    task = DetectionTask(load_task(recipe).settings)
    mine = task.settings.data.model_copy(update={"root": write_rooms(tmp_path / "turned")})
    one = task.for_dataset(mine).evaluate(model := task.model(), CPU, lambda *_: None)
    relabel(mine.root, ["pillar", "box"], {"box": "box", "pillar": "pillar"})
    other = task.for_dataset(mine).evaluate(model, CPU, lambda *_: None)
    assert one.rows == other.rows and "remarks" not in other.summary
    assert one.summary["classes"] == other.summary["classes"]


def test_scenes_without_an_object_of_a_common_class_are_refused(tmp_path, recipe):
    task = DetectionTask(load_task(recipe).settings)
    mine = task.settings.data.model_copy(update={"root": write_rooms(tmp_path / "sofas")})
    relabel(mine.root, ["box", "sofa"], {"pillar": "sofa"})
    with pytest.raises(DataError, match=r"no validation scene has a box of any class; got sofa \(2\), wanted .* box"):
        task.for_dataset(mine).evaluate(task.model(), CPU, lambda *_: None)


def test_an_ensemble_takes_the_proposals_of_all(recipe):
    task = load_task(recipe)
    models = nn.ModuleList([task.model(), task.model()])
    evaluation = task.evaluate(models, CPU, lambda done, total, name: None)
    assert evaluation.summary["models"] == "proposals of 2 together"


def test_prediction_in_bfloat16_on_a_gpu_where_trained_so_and_on_a_cpu_where_asked_for(recipe, monkeypatch):
    monkeypatch.setattr("pointcloud.tasks.precision.has_bfloat16", lambda device: True)
    trained = load_task(recipe, ["train.amp=bf16"])
    assert trained.in_bfloat16(torch.device("cuda")) and not trained.in_bfloat16(CPU)
    assert not load_task(recipe).in_bfloat16(torch.device("cuda"))

    plain, low = (load_task(recipe, [f"predict.amp={amp}", "predict.score=0"]) for amp in ("off", "bf16"))
    models, cloud = [plain.model().eval()], plain.split.validation[0].read().cloud
    (one, _), (other, seen) = (task.find(models, cloud, CPU) for task in (plain, low))
    assert other.boxes.dtype == one.boxes.dtype == np.float32 and not np.array_equal(one.scores, other.scores)
    assert [note.value for note in seen.notes if note.code == "precision"] == ["bf16"]
    condition = low.evaluate(models[0], CPU, lambda done, total, name: None).summary["precision"]
    assert condition == "bfloat16 (predict.amp)"


def test_options_of_predict(recipe):
    task = load_task(recipe)
    assert task.with_options({"columns": "x,y,z,ring"}).settings.predict.columns == ("x", "y", "z", "ring")
    assert task.with_options({"up": "+Y", "units": "MM"}).settings.predict.up == "y"
    with pytest.raises(UsageError, match="--dicom-seg: detection has no such option"):
        task.with_options({"dicom_seg": True})
    with pytest.raises(UsageError, match="--units"):
        task.with_options({"units": "furlong"})
    with pytest.raises(UsageError, match="--mirror: detection has no such option"):
        task.with_options({"mirror": "i"})


def test_heights_begin_at_the_floor_of_the_settings(recipe):
    changes = ["model.features=[height]", "model.floor_percent=100"]  # all points lie below
    task = load_task(recipe, changes)
    sample = task.samples().sample(0, np.random.default_rng(0))
    assert sample.cloud[:, 3].min() < -0.5 and sample.cloud[:, 3].max() <= 0

    seen, model = [], task.model().eval()
    model.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    task.evaluate(model, CPU, lambda done, total, name: None)
    scan = task.scan_of(task.split.train[0].read().cloud, None)
    task.predict([model], scan, CPU)
    assert len(seen) > 1 and all(cloud[:, 3].max() <= 0 for cloud in seen)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((5, 3), np.nan)])
def test_a_scan_without_points_is_one_message(tmp_path, recipe, points):
    task = load_task(recipe)
    np.save(tmp_path / "scan.npy", points.astype(np.float32))
    with pytest.raises(DataError, match=r"scan\.npy"):
        task.read(ScanSource(tmp_path / "scan.npy", "scan"))


@pytest.mark.parametrize("points", [np.ones((1, 3)), np.ones((700, 3)), room(0)[0] + 5000])
def test_odd_scans_are_predicted(tmp_path, recipe, points):
    task = load_task(recipe).with_options({"score": 0.0})
    np.save(tmp_path / "scan.npy", points.astype(np.float32))
    found = task.predict([task.model()], task.read(ScanSource(tmp_path / "scan.npy", "scan")), CPU).save(tmp_path)
    assert np.isfinite(read_detections(found).boxes).all()


def test_scenes_without_boxes_train(tmp_path, recipe, root):
    boxes = json.loads((root / "boxes.json").read_text())
    boxes["scenes"] = {
        name: [] if number < 4 else objects for number, (name, objects) in enumerate(boxes["scenes"].items())
    }
    (root / "boxes.json").write_text(json.dumps(boxes))
    evaluation = train(load_task(recipe), tmp_path / "run")
    assert np.isfinite(evaluation.score)


def test_a_data_set_without_folds_is_told(tmp_path, recipe, root, capsys):
    train(load_task(recipe, ["train.epochs=1"]), tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(root), "--fold", "0"]) == 2
    assert "--fold: this data set has no folds" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scenes"] == 2


def test_a_scene_that_cannot_be_learnt_is_named(tmp_path, recipe, capsys):
    words = ["train", str(recipe), "model.queries=1", "-o", str(tmp_path / "run")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "room" in said and "targets[0]: more boxes than queries; got 2, wanted 1 at most" in said
    assert "model.queries" in said
