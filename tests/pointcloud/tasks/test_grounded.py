"""A detector with `model.ground` is trained, scored and applied with the ground of every sweep at one height."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vol3d
from pointcloud.datasets.scenes import Scene
from pointcloud.inference import ground as grounds
from pointcloud.inference.ground import find_ground
from pointcloud.tasks.grounded import GroundedScene, GroundRule, lifted
from pointcloud.tasks.lidar import LidarTask
from tests.pointcloud.inference.test_ground import street
from vol3d import checkpoint
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import CheckpointError, DataError
from vol3d.prediction import BoxPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

RECIPE = """
model:
  name: pointpillars
  features: []
  ground: -1.73
  voxels: {point_range_m: [-20.48, -20.48, -3, 20.48, 20.48, 1], voxel_size_m: [0.64, 0.64, 4], max_points: null}
  pillars: {widths: [16]}
  backbone: {widths: [16, 16], layers: [1, 1], strides: [1, 2]}
  neck: {widths: [16, 16], upsample: [1, 2]}
  head: {anchors: {car: {size_m: [4, 2, 1.6], z_m: -0.9}}, score: 0.01}
data: {name: point_folder, root: ROOT, up: z, units: m}
optim: {lr: 5e-3}
repeat: 12
train: {epochs: 8, batch: 2, evaluate_every: 8}
"""
NO_BOX = np.zeros((0, 7), np.float32)
KITTI = GroundRule(-1.73, usual_m=-1.73)


def with_cars(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A street in whole millimetres, as scanners write, and two cars of it."""
    rng, z = np.random.default_rng(seed), -1.8
    boxes = np.array([[8, -5 + rng.uniform(-1, 1), z + 0.8, 4, 2, 1.6, 0], [-9, 4, z + 0.8, 4, 2, 1.6, 1.0]])
    cars = []
    for box in boxes:
        local = (rng.random((600, 3)) - 0.5) * box[3:6]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        cars.append(local @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + box[:3])
    return np.round(np.concatenate([street(seed, ground_m=z), *cars]), 3).astype(np.float32), boxes


def write(root: Path, raised_m: float) -> Path:
    """A folder of such streets, of a scanner that stands elsewhere."""
    scenes = {}
    root.mkdir()
    for seed in range(4):
        xyz, boxes = with_cars(seed)
        np.save(root / f"{seed}.npy", xyz + np.float32([0, 0, raised_m]))
        scenes[f"{seed}.npy"] = [
            {"class": "car", "center": [*box[:2], box[2] + raised_m], "size": list(box[3:6]), "yaw": box[6]}
            for box in boxes
        ]
    (root / "boxes.json").write_text(
        json.dumps({"format": 1, "class_names": ["car"], "scenes": scenes, "validation": ["0.npy"]})
    )
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grounded")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("ROOT", str(write(folder / "low", 0.0))))
    write(folder / "high", 2.0)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    train(load_task(recipe), recipe.parent / "run", device="cpu")
    return recipe.parent / "run"


@pytest.mark.parametrize("ground_m", [0.0, -0.5, -1.73, -2.5])
def test_the_same_sweep_gives_the_same_boxes_wherever_its_ground_lies(run: Path, ground_m: float) -> None:
    xyz, _ = with_cars(7)
    ground = find_ground(xyz)
    assert ground is not None
    model, moved = vol3d.load(run, "cpu"), np.float32(round(ground_m - ground.height_m, 3))
    usual = model.predict(PointCloud(xyz), score=0.02)
    found = model.predict(PointCloud(xyz + np.float32([0, 0, moved])), score=0.02)
    assert isinstance(usual, BoxPrediction) and isinstance(found, BoxPrediction) and len(found.boxes) > 1
    np.testing.assert_allclose(found.boxes[:, 2] - moved, usual.boxes[:, 2], atol=1e-4)
    np.testing.assert_allclose(np.delete(found.boxes, 2, 1), np.delete(usual.boxes, 2, 1), atol=1e-4)
    np.testing.assert_allclose(found.scores, usual.scores, atol=1e-5)
    (note,) = [note for note in found.notes if note.code == "ground-shifted"]
    assert note.numbers["found"] == pytest.approx(ground_m, abs=2e-3) and note.numbers["trained"] == -1.73


def test_training_and_scores_do_not_depend_on_the_scanners_height(run: Path, recipe: Path) -> None:
    here, there = (load_task(recipe, [f"data.root={recipe.parent / name}"]) for name in ("low", "high"))
    one, other = (task.samples().sample(1, np.random.default_rng(0)) for task in (here, there))
    torch.testing.assert_close(one.cloud, other.cloud, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.targets.boxes, other.targets.boxes, atol=1e-5, rtol=0)
    scores = [vol3d.evaluate(run, recipe.parent / name, split="all", device="cpu") for name in ("low", "high")]
    assert scores[0].score == pytest.approx(scores[1].score, abs=1e-6) and scores[0].score > 0.05
    assert scores[0].summary["ground"] == "as found in each sweep, shifted to -1.73 m"


def test_a_checkpoint_knows_the_ground_as_its_network_saw_it(run: Path) -> None:
    seen = checkpoint.load(run).task.settings.seen
    assert seen is not None and seen.ranges["ground"].low == pytest.approx(-1.73, abs=1e-3)


@pytest.mark.parametrize(("ground", "searches"), [(None, 1), (-1.6, 1)])
def test_the_ground_of_a_file_is_looked_for_once(
    run: Path, monkeypatch: pytest.MonkeyPatch, ground: float | None, searches: int
) -> None:
    calls = []
    monkeypatch.setattr(grounds, "find_ground", lambda xyz: calls.append(len(xyz)) or find_ground(xyz))
    vol3d.load(run, "cpu").predict(PointCloud(with_cars(7)[0]), ground=ground)
    assert len(calls) == searches


def test_a_stated_height_takes_the_place_of_the_found_one(run: Path) -> None:
    found = vol3d.load(run, "cpu").predict(PointCloud(with_cars(7)[0]), ground=-1.6, score=0.02)
    (note,) = [note for note in found.notes if note.code == "ground-shifted"]
    assert note.value == "stated" and note.numbers["found"] == pytest.approx(-1.6)


def test_a_file_without_a_ground_is_refused(run: Path) -> None:
    scattered = np.random.default_rng(0).uniform(-15, 15, (3000, 3)).astype(np.float32)
    model = vol3d.load(run, "cpu")
    with pytest.raises(DataError, match=r"no ground was found to shift the points by.*--ground -1\.7"):
        model.predict(PointCloud(scattered))
    assert model.predict(PointCloud(scattered), ground=-1.7) is not None


def test_models_of_an_ensemble_have_one_ground(run: Path) -> None:
    task = checkpoint.load(run).task
    assert isinstance(task, LidarTask)
    other = task.settings.model.model_copy(update={"ground": None}).build(("car",))
    with pytest.raises(CheckpointError, match=r"have the ground elsewhere; got -1\.73, null"):
        task.detect([task.model(), other], PointCloud(with_cars(0)[0]), torch.device("cpu"))


class Reader:
    """A scene in memory."""

    name = "a"

    def __init__(self, xyz: np.ndarray, boxes: np.ndarray) -> None:
        labels, scores = np.zeros(len(boxes), np.int64), np.ones(len(boxes), np.float32)
        self.scene = Scene("a", PointCloud(xyz), Detections(boxes.astype(np.float32), scores, labels, ("car",)))

    def read(self) -> Scene:
        return self.scene

    def labels(self) -> np.ndarray:
        return self.scene.truth.labels

    def fingerprint(self, quick: bool = False) -> str:
        return "f"


@given(raised_m=st.integers(-3000, 3000).map(lambda mm: mm / 1000))
def test_points_and_boxes_move_alike_and_lie_where_the_model_has_the_ground(raised_m: float) -> None:
    xyz, boxes = with_cars(3)
    up = np.float32([0, 0, raised_m])
    scene = GroundedScene(Reader(xyz + up, boxes + np.pad(up, (0, 4))), KITTI).read()
    usual = GroundedScene(Reader(xyz, boxes), KITTI).read()
    np.testing.assert_allclose(scene.cloud.xyz, usual.cloud.xyz, atol=2e-6)
    np.testing.assert_allclose(scene.truth.boxes, usual.truth.boxes, atol=2e-6)
    found = find_ground(scene.cloud.xyz)
    assert found is not None and found.height_m == pytest.approx(-1.73, abs=1e-3)


@pytest.mark.parametrize("points", [0, 1])
def test_a_scene_without_a_ground_has_it_where_the_scanner_does(points: int) -> None:
    reader = Reader(np.zeros((points, 3), np.float32), NO_BOX)
    with pytest.warns(UserWarning, match="a: no ground was found in a sweep: it was assumed at -1.60 m"):
        scene = GroundedScene(reader, GroundRule(-1.73, usual_m=-1.6)).read()
    assert scene.cloud.xyz[:, 2] == pytest.approx(-0.13) and len(scene.truth) == 0
    with pytest.raises(DataError, match=r"a: no ground was found, which model\.ground needs"):
        GroundedScene(reader, GroundRule(-1.73, usual_m=None)).read()


def test_an_upside_down_scene_is_refused_and_another_rule_is_another_scene() -> None:
    with pytest.raises(DataError, match="a: the points seem to be upside down"):
        GroundedScene(Reader(street() * np.float32([1, -1, -1]), NO_BOX), KITTI).read()
    reader = Reader(street(), NO_BOX)
    prints = {GroundedScene(reader, GroundRule(aim, -1.7)).fingerprint() for aim in (-1.7, -1.8)}
    assert len(prints) == 2 and GroundedScene(reader, KITTI).labels().shape == (0,)
    empty = reader.scene.truth
    assert lifted(empty, 0.0) is empty
