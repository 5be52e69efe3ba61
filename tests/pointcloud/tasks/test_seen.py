"""What a training saw goes into its checkpoint, and decides what is changed or noted when a file is predicted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import vol3d
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.prepare import prepare
from pointcloud.generate.kitti.write import write_kitti
from pointcloud.inference.traits import BRIGHTEST, GROUND
from pointcloud.structures.generated import INDEXES, is_generated
from tests.pointcloud.inference.test_ground import street
from tests.pointcloud.synthetic import write_rooms
from vol3d import checkpoint
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.engine.loop import train
from vol3d.errors import UsageError
from vol3d.files import write_json
from vol3d.prediction import BoxPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.source import ScanSource

RECIPE = """
model:
  name: pointpillars
  voxels: {point_range_m: [0, -39.68, -3, 69.12, 39.68, 1], voxel_size_m: [1.28, 1.28, 4]}
  pillars: {widths: [8]}
  backbone: {widths: [8, 8], layers: [1, 1], strides: [1, 2]}
  neck: {widths: [8, 8], upsample: [1, 2]}
data: {name: kitti, root: ROOT}
train: {epochs: 1, batch: 2}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames laid out like KITTI's, of a scanner that writes bytes."""
    root = tmp_path_factory.mktemp("own") / "frames"
    write_kitti(root, 2, seed=1, workers=0)
    for path in root.rglob("*.bin"):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        points[:, 3] *= 255
        points.tofile(path)
    return root


@pytest.fixture(scope="module")
def run(own: Path) -> Path:
    recipe = own.parent / "recipe.yaml"
    recipe.write_text(RECIPE.replace("ROOT", str(own)))
    train(load_task(recipe), own.parent / "run")
    return own.parent / "run"


def test_a_checkpoint_keeps_what_its_training_saw_and_a_recipe_does_not(run: Path) -> None:
    seen = checkpoint.load(run).task.settings.seen
    assert seen is not None and seen.data == "KITTI" and seen.synthetic
    assert seen.ranges.keys() == {"points", "view", "reach", GROUND, BRIGHTEST}
    assert 100 < seen.ranges[BRIGHTEST].high <= 255 and -2 < seen.ranges[GROUND].low < -1.4
    assert "seen" not in (run / "config.yaml").read_text() and "seen" in json.loads((run / "config.json").read_text())
    assert checkpoint.load(run, changes=["predict.score=0.5"]).task.settings.seen == seen


def test_the_files_of_the_training_are_never_rescaled_and_others_are(run: Path, own: Path, tmp_path: Path) -> None:
    task = checkpoint.load(run).task.with_options({"columns": "x,y,z,intensity"})
    path = next((own / "training" / "velodyne").glob("*.bin"))
    bytes_ = task.read(ScanSource(path, "scan"))
    codes = {note.code for note in bytes_.notes}
    assert "intensity-scaled" not in codes and bytes_.columns["intensity"].max() > 100

    points = np.fromfile(path, "<f4").reshape(-1, 4)
    points[:, 3] /= 255
    points.tofile(tmp_path / "shares.bin")
    shares = task.read(ScanSource(tmp_path / "shares.bin", "scan"))
    assert np.allclose(shares.columns["intensity"], bytes_.columns["intensity"], rtol=1e-5)
    (note,) = [note for note in shares.notes if note.code == "intensity-scaled"]
    assert note.numbers["scale"] == 1 and note.numbers["learnt"] == 255


def test_data_of_another_scale_are_scored_on_that_of_the_training(run: Path, own: Path, tmp_path: Path) -> None:
    shares = shutil.copytree(own, tmp_path / "shares")
    for path in shares.rglob("*.bin"):
        points = np.fromfile(path, "<f4").reshape(-1, 4)
        points[:, 3] /= 255
        points.tofile(path)
    same, other = (vol3d.evaluate(run, folder, split="all", device="cpu").summary for folder in (own, shares))
    assert other["intensities"].endswith("were multiplied by 255: the model was trained on 0 to 255")
    assert "intensities" not in same


def test_rooms_are_measured_too(tmp_path: Path) -> None:
    root = write_rooms(tmp_path / "rooms")
    task = load_task("3detr_rooms_small", [f"data={{name: point_folder, root: {root}, up: z, units: m}}"])
    seen = task.seen()
    assert seen is not None and not seen.synthetic and seen.ranges["points"].low == seen.ranges["points"].high == 1500
    known = task.with_settings(task.settings.model_copy(update={"seen": seen}))
    cloud = PointCloud(np.random.default_rng(0).uniform(0, 4, (200, 3)).astype(np.float32))
    codes = {note.code for note in known.prepared(cloud).notes}
    assert codes == {"points-unlike-training", "density-unlike-training", "height-unlike-training"}


def test_prepared_synthetic_data_stay_synthetic(own: Path, tmp_path: Path) -> None:
    assert is_generated(own) and not is_generated(tmp_path)
    split = prepare(KittiSettings(root=own).split(), tmp_path, workers=0)
    assert split.synthetic and KittiSettings(root=tmp_path).split().synthetic


@pytest.mark.parametrize("content", [None, [], {"seed": 0}, {"format": 1}])
def test_a_generator_is_known_by_its_record(content: object, tmp_path: Path) -> None:
    write_json(tmp_path / INDEXES[0], content)
    assert is_generated(tmp_path) == (content == {"seed": 0})
    (tmp_path / INDEXES[0]).write_bytes(b"\xff{")
    assert not is_generated(tmp_path)


def test_the_generators_records_are_all_known() -> None:
    from pointcloud.generate.drives import write as drives
    from pointcloud.generate.frames import write as frames
    from pointcloud.generate.kitti import write as kitti
    from pointcloud.generate.rooms import write as rooms

    assert {drives.INDEX, frames.INDEX, kitti.INDEX, rooms.INDEX} == set(INDEXES)


@pytest.mark.parametrize("name", ["3detr-rooms", "centerpoint-drives", "object-dgcnn-drives"])
def test_shipped_models_of_synthetic_scenes_say_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = vol3d.load(name, "cpu")
    assert [note.code for note in model.notes] == ["trained-on-synthetic"]
    cloud = PointCloud(street(), {"intensity": np.full(len(street()), 120, np.float32)})
    assert "trained-on-synthetic" in {note.code for note in model.predict(cloud).notes}
    main(["predict", name, "nowhere", "-o", "out"])
    assert "trained on synthetic scans only" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("ground", ["auto", 0.4])
def test_boxes_come_back_in_the_frame_of_the_file(ground: str | float) -> None:
    model = vol3d.load("centerpoint-drives", "cpu")
    xyz = street(ground_m=-1.85, points=9000)
    dim = {"intensity": np.full(len(xyz), 120, np.float32)}
    as_trained = model.predict(PointCloud(xyz, dim), ground=None if ground == "auto" else -1.85)
    risen = xyz + np.float32([0, 0, 2.25])
    found = model.predict(PointCloud(risen, dim), ground=ground)
    assert isinstance(found, BoxPrediction) and isinstance(as_trained, BoxPrediction)
    assert np.array_equal(found.cloud.xyz, risen) and "ground-shifted" in {note.code for note in found.notes}
    assert len(found.boxes) == pytest.approx(len(as_trained.boxes), rel=0.1)
    assert np.median(found.boxes[:, 2]) == pytest.approx(np.median(as_trained.boxes[:, 2]) + 2.25, abs=0.1)


def test_only_sweeps_have_a_ground_to_shift() -> None:
    with pytest.raises(UsageError, match="--ground"):
        vol3d.load("3detr-rooms", "cpu").with_options({"ground": "auto"})
    with pytest.raises(UsageError, match="--ground"):
        vol3d.load("centerpoint-drives", "cpu").with_options({"ground": "floor"})
