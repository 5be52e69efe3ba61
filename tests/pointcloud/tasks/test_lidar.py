"""LiDAR detection from a recipe to boxes in a file and to a benchmark's result file, on short drives in seconds."""

import json
import shutil

import numpy as np
import pytest
import torch

from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.datasets.point_folder import PointFolderSettings
from pointcloud.metrics.nuscenes.submission import read_submission
from pointcloud.tasks.lidar import LidarTask
from tests.pointcloud.synthetic import write_rooms
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.engine.start_from import initial_model
from vol3d.errors import CheckpointError, DataError, UsageError
from vol3d.scans.points.read import points_of
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.read import read_detections
from vol3d.scans.source import ScanSource

RECIPE = """
model:
  name: centerpoint
  features: [intensity, time]
  voxels: {point_range_m: [-51.2, -51.2, -5, 51.2, 51.2, 3], voxel_size_m: [1.6, 1.6, 8]}
  pillars: {widths: [16]}
  backbone: {widths: [16, 16], layers: [1, 1], strides: [1, 2]}
  neck: {widths: [16, 16], upsample: [1, 2]}
  head: {shared_width: 16, width: 16}
data: {name: nuscenes, root: ROOT, sweeps: 2}
augment: {flip_x: 0.5, flip_y: 0.5, rotate_deg: 20, scale: [0.95, 1.05]}
optim: {lr: 2e-3}
train: {epochs: 1, batch: 2}
"""
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recipe(short_drives, tmp_path_factory):
    path = tmp_path_factory.mktemp("lidar") / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(short_drives)))
    return path


@pytest.fixture(scope="module")
def run(recipe):
    folder = recipe.parent / "run"
    train(load_task(recipe), folder)
    return folder


def silent(done, total, name):
    pass


def test_a_run_is_scored_by_the_benchmark_of_its_data(run):
    summary = json.loads((run / "evaluation.json").read_text())
    assert summary["score_name"] == "nds" and 0 <= summary["score"] <= 1
    assert (run / "report.html").is_file() and (run / "best.safetensors").is_file()


def test_the_submission_holds_every_sample_that_was_scored(run, short_drives, tmp_path):
    path = tmp_path / "deep" / "results_nusc.json"
    main(["evaluate", str(run), "--data", str(short_drives), "--submission", str(path), "--json"])
    validation = load_task(run / "config.yaml").split.validation
    assert set(read_submission(path).results) == {sample.name for sample in validation}


def test_a_submission_that_cannot_be_written_is_told_before_the_evaluation(run, tmp_path):
    task = checkpoint.load(run, CPU).task
    with pytest.raises(UsageError, match="a folder, not a file"):
        task.with_submission(tmp_path)


def test_a_folder_of_clouds_has_no_benchmark(recipe, tmp_path):
    root = write_rooms(tmp_path / "rooms")
    words = ["data={name: point_folder, root: " + str(root) + "}", "model.features=[]", "model.head.velocity=false"]
    task = load_task(recipe, words)
    with pytest.raises(UsageError, match="no benchmark"):
        task.with_submission(tmp_path / "x.json").evaluate(task.model(), CPU, silent)
    assert task.evaluate(task.model().eval(), CPU, silent).score_name == "ap25"


def write_street(root, class_names):
    """One sweep with an object of each class, 10 m apart; boxes as `boxes.json` has them."""
    root.mkdir(parents=True)
    np.save(root / "sweep.npy", np.random.default_rng(0).uniform(-20, 20, (400, 4)).astype(np.float32))
    sizes = {"center": [0.0, 0.0, 0.0], "size": [4.0, 2.0, 1.5], "yaw": 0.0}
    objects = [sizes | {"class": name, "center": [10.0 * n, 0.0, 0.0]} for n, name in enumerate(class_names)]
    content = {"format": 1, "class_names": class_names, "scenes": {"sweep.npy": objects}}
    (root / "boxes.json").write_text(json.dumps(content))
    return PointFolderSettings(root=root, columns=("x", "y", "z", "intensity"), up="z", units="m")


def test_own_clouds_with_some_of_the_classes_are_scored_for_these(run, tmp_path, monkeypatch):
    task = checkpoint.load(run, CPU).task
    data = write_street(tmp_path / "street", ["tram", "car"])
    found = Detections(
        np.array([[10.0, 0, 0, 4, 2, 1.5, 0], [0, 0, 0, 4, 2, 1.5, 0], [30.0, 0, 0, 9, 3, 3, 0]], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([task.class_names.index(name) for name in ("car", "truck", "bus")]),
        task.class_names,
    )
    monkeypatch.setattr(LidarTask, "detect", lambda *_: found)
    evaluation = task.for_dataset(data, "all").evaluate(task.model(), CPU, silent)
    rows, (absent, unknown) = evaluation.summary["classes"], evaluation.summary["remarks"]
    assert evaluation.score == rows["car"]["ap25"] == 1.0 and evaluation.summary["detections"] == 1
    assert rows["truck"] == {} and rows["tram"]["ground_truths"] == 1 and rows["tram"]["ap25"] == 0
    assert list(rows) == [*task.class_names, "tram"]
    assert absent["numbers"] == {"classes": 9, "of": 10, "common": 1, "left_out": 2}
    assert "truck" in absent["value"] and unknown["value"] == "tram"


def test_a_data_set_without_a_common_class_is_one_error_on_the_command_line(run, tmp_path, capsys):
    data = write_street(tmp_path / "street", ["tram"])
    assert main(["evaluate", str(run), "--data", str(data.root), "--dataset", "point_folder"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "street: the model was trained for other classes" in said and "got tram, wanted one or more of car" in said


def test_other_drives_are_seen_with_as_many_sweeps_as_in_training_unless_told(run, short_drives):
    task = checkpoint.load(run, CPU).task
    assert {sample.sweeps for sample in task.for_dataset(NuScenesSettings(root=short_drives)).split.validation} == {2}
    assert {
        one.sweeps for one in task.for_dataset(NuScenesSettings(root=short_drives, sweeps=1), "all").split.validation
    } == {1}


def test_one_sweep_of_a_file_becomes_boxes(run, short_drives, tmp_path):
    sweep = tmp_path / "sweep.bin"
    shutil.copy(next((short_drives / "samples" / "LIDAR_TOP").iterdir()), sweep)
    words = ["--columns", "x,y,z,intensity,ring", "--score", "0"]
    main(["predict", str(run), str(sweep), "-o", str(tmp_path / "out"), *words])
    found = read_detections(tmp_path / "out" / "sweep.json")
    assert len(found) > 0 and np.isfinite(found.boxes).all() and found.boxes.shape[1] == 9
    assert (tmp_path / "out" / "sweep.boxes.ply").is_file()


def test_a_wrong_list_of_columns_is_told_before_a_file_is_read(run, short_drives, tmp_path, capsys):
    sweep = next((short_drives / "samples" / "LIDAR_TOP").iterdir())
    for names, told in (("x,y,z,intnsity,_", "Did you mean 'intensity'"), ("x,y,w,intensity,_", "no good list")):
        words = ["predict", str(run), str(sweep), "-o", str(tmp_path / "out"), "--columns", names]
        assert main(words) == 2 and told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
    task = checkpoint.load(run, CPU).task
    assert task.with_options({"columns": "x,y,z,Intensities,mine"}).settings.predict.columns[3:] == (
        "intensities",
        "mine",
    )


def test_mirror_images_and_several_models_are_looked_at_together(run):
    loaded = checkpoint.load(run, CPU)
    flipped = loaded.task.with_settings(loaded.task.settings.model_copy(update={"test_flips": "xy"}))
    cloud = loaded.task.split.validation[0].read().cloud
    one, two = (task.detect(loaded.models, cloud, CPU) for task in (loaded.task, flipped))
    both = loaded.task.detect([*loaded.models, *loaded.models], cloud, CPU)
    assert len(one) and len(two) and not np.array_equal(one.boxes[:1], two.boxes[:1])
    assert both.scores.max() == pytest.approx(one.scores.max(), abs=1e-6)


def test_prediction_in_bfloat16_where_trained_so_and_the_device_has_it(run, monkeypatch):
    loaded = checkpoint.load(run, CPU, ["predict.score=0"])
    cloud, settings = loaded.task.split.validation[0].read().cloud, loaded.task.settings
    trained = settings.model_copy(update={"train": settings.train.model_copy(update={"amp": "bf16"})})
    for has in (True, False):
        monkeypatch.setattr("pointcloud.tasks.precision.has_bfloat16", lambda device, has=has: has)
        assert loaded.task.with_settings(trained).in_bfloat16(CPU) is has
        assert not loaded.task.in_bfloat16(CPU)

    found = []
    for amp in ("off", "bf16"):
        task = checkpoint.load(run, CPU, [f"predict.amp={amp}", "predict.score=0"]).task
        prediction = task.predict(loaded.models, task.scan_of(cloud, None), CPU)
        assert [note.value for note in prediction.notes if note.code == "precision"] == ["bf16"] * (amp == "bf16")
        found.append(prediction.detections)
    plain, low = found
    assert low.boxes.dtype == plain.boxes.dtype == np.float32 and not np.array_equal(plain.scores, low.scores)
    assert low.scores.max() == pytest.approx(plain.scores.max(), abs=0.02)


def test_weights_are_loaded_in_the_memory_format_of_the_training(run):
    from vol3d.engine.memory_format import to_channels_last

    loaded = checkpoint.load(run, CPU)
    other = checkpoint.load(run, CPU, ["train.channels_last=true"]).models[0]
    weights = [layer.weight for layer in other.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert weights and all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    volume = torch.nn.Conv3d(2, 2, 3)
    to_channels_last(volume, {2})
    assert volume.weight.is_contiguous()
    cloud = loaded.task.split.validation[0].read().cloud
    plain, found = (loaded.task.detect([model], cloud, CPU) for model in (loaded.models[0], other))
    assert found.scores.max() == pytest.approx(plain.scores.max(), abs=1e-5)


def test_rooms_are_not_turned_by_a_lidar_detector(run):
    with pytest.raises(UsageError, match="--align"):
        checkpoint.load(run, CPU).task.with_options({"align": False})


def test_where_the_scanner_of_map_coordinates_was_is_noted(run):
    points = np.random.default_rng(0).uniform(-20, 20, (500, 4)) * (1, 1, 0.1, 1) + (5e5, 5e6, 0, 30)
    task, columns = checkpoint.load(run, CPU).task, ("x", "y", "z", "intensity")
    for shift, there in (((0, 0, 0, 0), True), ((5e5, 5e6, 0, 0), False)):
        prepared = task.prepared(points_of(points - shift, columns=columns, up="z", units="m"))
        assert ("scanner-assumed" in [note.code for note in prepared.notes]) == there


def test_training_starts_from_parts_of_another_detector(run, recipe):
    task = load_task(recipe, [f"start_from={{checkpoint: {run}, parts: [encoder, backbone]}}"])
    fresh, begun, other = task.model(), initial_model(task), checkpoint.load(run, CPU).models[0]
    for name in ("encoder", "backbone"):
        pairs = zip(getattr(begun, name).parameters(), getattr(other, name).parameters(), strict=True)
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    assert not torch.equal(fresh.head.shared[0].weight, other.head.shared[0].weight)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["start_from={checkpoint: RUN, parts: [bakbone]}"], UsageError),
        (["start_from=RUN", "model.pillars.widths=[24]"], CheckpointError),
        (["start_from={checkpoint: /nowhere}"], UsageError),
        (["start_from={checkpoint: RUN}", "model.features=[time, intensity]"], UsageError),
    ],
)
def test_parts_that_do_not_fit_are_refused(run, recipe, words, fault):
    task = load_task(recipe, [word.replace("RUN", str(run)) for word in words])
    with pytest.raises(fault):
        initial_model(task)


def test_classes_of_a_recipe_must_be_those_of_the_data(recipe):
    message = r"class_names: not the classes of the data set .*; got truck, car, wanted car, .*\. Leave class_names out"
    with pytest.raises(UsageError, match=message):
        load_task(recipe, ["class_names=[truck, car]"]).samples()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["class_names=[]"], "at least 1 item"),
        (["test_flips=xy", "model.voxels.point_range_m=[0, -51.2, -5, 102.4, 51.2, 3]"], "test_flips: x cannot be"),
    ],
)
def test_what_no_run_can_end_with_is_refused_before_it_begins(recipe, words, message):
    with pytest.raises(UsageError, match=message):
        load_task(recipe, words)


def test_pasted_objects_and_noise_reach_the_samples(recipe, tmp_path):
    plain = load_task(recipe, ["augment={}"]).samples()
    words = [f"paste={{counts: {{car: 30}}, cache: {tmp_path}}}", "augment={}"]
    filled, moved = (load_task(recipe, [*words, *more]).samples() for more in ([], ["noise={rotate_deg: 20}"]))
    boxes = [samples.sample(0, np.random.default_rng(0)).targets.boxes for samples in (plain, filled, moved)]
    assert len(boxes[1]) > len(boxes[0]) and not torch.equal(boxes[1], boxes[2])


def test_overfitting_neither_distorts_nor_balances(recipe):
    task = load_task(recipe, ["balance=true", "noise={}"]).overfit(1)
    samples = task.samples()
    one, again = (samples.sample(0, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(samples) == 1 and torch.equal(one.targets.boxes, again.targets.boxes)


def test_a_file_without_what_the_model_sees_is_refused(run, tmp_path):
    np.save(tmp_path / "bare.npy", np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32))
    task = checkpoint.load(run, CPU).task
    with pytest.raises(DataError, match="intensity"):
        task.read(ScanSource(tmp_path / "bare.npy", "scan"))
