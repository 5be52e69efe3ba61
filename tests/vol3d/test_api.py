"""The Python front door: what it returns, what it refuses, and that it is quiet, lazy and equal to the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vol3d
from medical.demo import SAMPLES
from tests.conftest import PROJECT
from tests.medical.synthetic import write_msd
from tests.pointcloud.synthetic import room
from tests.vol3d.view.scenes import pixels
from vol3d.api import _words
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.config.chosen import Unread
from vol3d.errors import CheckpointError, DataError, UsageError, Vol3dError
from vol3d.scans import read_detections, read_labels
from vol3d.view.load.read import load_view
from vol3d.view.theme import DARK, LIGHT

SCAN = sorted((SAMPLES / "imagesTr").glob("*.nii.gz"))[0]


@pytest.fixture(scope="module")
def hippocampus() -> vol3d.Model:
    torch.set_num_threads(1)
    return vol3d.load("unetr-hippocampus", device="cpu")


def test_a_file_and_its_array_give_the_same_mask(hippocampus: vol3d.Model, tmp_path: Path, capsys) -> None:
    found = hippocampus.predict(SCAN)
    volume = vol3d.read(SCAN)
    again = hippocampus.predict(volume.array[0], affine=volume.affine)
    assert np.array_equal(found.mask, again.mask) and found.volumes_ml == again.volumes_ml
    assert np.array_equal(hippocampus.predict(volume).mask, found.mask)
    assert set(found.volumes_ml) == set(hippocampus.class_names[1:]) and found.mask.any()
    saved = found.save(tmp_path / "new")
    assert saved.name == SCAN.name and np.array_equal(read_labels(saved).array[0], found.mask)
    assert (
        np.array_equal(read_labels(again.save(tmp_path)).affine, volume.affine)
        and again.default_name() == "scan.nii.gz"
    )
    json.dumps(found.to_dict(), allow_nan=False)
    assert capsys.readouterr() == ("", "")  # a library call prints nothing


def test_points_go_the_way_of_files(tmp_path: Path) -> None:
    model = vol3d.load("3detr-rooms", device="cpu")
    points = room(0)[0].astype(np.float32) * 1000
    np.save(tmp_path / "room.npy", points)
    options = {"columns": ["x", "y", "z"], "units": "mm", "up": "z", "score": 0.0}
    of_array, of_file = model.predict(points, **options), model.predict(tmp_path / "room.npy", **options)
    assert np.array_equal(of_array.boxes, of_file.boxes) and of_array.names == of_file.names
    assert [str(note) for note in of_array.notes] == [str(note) for note in of_file.notes]
    saved = read_detections(of_file.save(tmp_path / "out"))
    assert np.allclose(saved.boxes, of_file.boxes, atol=1e-5) and len(of_file.scores) == len(saved) > 0
    assert [one["class"] for one in of_array.to_dict()["objects"]] == of_array.names
    told = of_array.to_dict()
    for key, assumed in (("assumptions", True), ("remarks", False)):
        assert [fact["code"] for fact in told[key]] == [note.code for note in of_array.notes if note.assumed is assumed]


def test_an_array_is_shown_as_it_was_read(tmp_path: Path) -> None:
    model = vol3d.load("3detr-rooms", device="cpu")
    lying = np.ascontiguousarray(room(0)[0][:, [0, 2, 1]] * 1000, np.float32)  # y up, in millimetres
    found = model.predict(lying, columns=["x", "y", "z"], units="mm", up="y", score=0.0)
    found.show(png=tmp_path / "room.png")
    assert (tmp_path / "room.png").read_bytes()[:4] == b"\x89PNG"
    for background, corner in (("dark", DARK), ("light", LIGHT)):
        assert tuple(pixels(found.picture(size=(320, 240), background=background))[0, 0]) == corner.rgb
    scan, written = found.on_disk(tmp_path)
    scene = load_view([scan, written.save(tmp_path / "out")])
    assert np.allclose(np.sort(scene.points[0].xyz, axis=0), np.sort(found.cloud.xyz, axis=0), atol=1e-3)


def test_the_command_line_gives_what_python_gives(hippocampus: vol3d.Model, tmp_path: Path) -> None:
    assert main(["predict", "unetr-hippocampus", str(SCAN), "-o", str(tmp_path), "--device", "cpu"]) == 0
    assert np.array_equal(read_labels(tmp_path / SCAN.name).array[0], hippocampus.predict(SCAN).mask)


def test_many_files(hippocampus: vol3d.Model, tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    rows = hippocampus.predict_files([SCAN, tmp_path / "bad.nii.gz"], tmp_path / "out")
    assert [row.status for row in rows] == ["written", "failed"] and "bad.nii.gz" in (rows[1].error or "")
    assert hippocampus.predict_files([SCAN], tmp_path / "out")[0].status == "skipped"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("unetr-hipocampus", "Did you mean the shipped model 'unetr-hippocampus'?"),
        ("3detr-scannet", "vol3d import 3detr-scannet -o OUT"),
        ("unetr_hippocampus_smal", "'unetr_hippocampus_small' is a recipe"),
        ("qqqq", "Shipped models: "),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_right_one(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)):
        vol3d.load(name)


def test_what_cannot_be_predicted_is_refused(hippocampus: vol3d.Model, tmp_path: Path) -> None:
    voxels = np.zeros((8, 8, 8))
    for wrong in (
        lambda: hippocampus.predict(voxels),
        lambda: hippocampus.predict(voxels, affine=np.eye(3)),
        lambda: hippocampus.predict(np.zeros((2, 2)), affine=np.eye(4)),
        lambda: hippocampus.predict(SCAN, affine=np.eye(4)),
        lambda: hippocampus.predict(SCAN, up="z"),
        lambda: hippocampus.predict(SAMPLES / "imagesTr"),
        lambda: hippocampus.predict(tmp_path / "none.nii.gz"),
        lambda: vol3d.load("unetr-hippocampus", device="warp:9"),
        lambda: vol3d.load("unetr-hippocampus", settings={"window.no_such": 1}),
        lambda: vol3d.train("no_such_recipe", tmp_path),
        lambda: vol3d.read(tmp_path / "none.ply"),
    ):
        with pytest.raises(UsageError):
            wrong()
    for damaged in (np.full((8, 8, 8), np.nan), np.full((8, 8, 8), "a")):
        with pytest.raises(DataError):
            hippocampus.predict(damaged, affine=np.eye(4))
    with pytest.raises(Vol3dError):
        hippocampus.predict(np.zeros((2, 8, 8, 8)), affine=np.eye(4))  # two channels


def test_settings_keep_the_type_that_they_have_in_python() -> None:
    model = vol3d.load("unetr-hippocampus", "cpu", {"window.overlap": np.float64(0.25), "window.mirror_axes": ()})
    window = model.task.settings.window  # type: ignore[attr-defined]
    assert (window.overlap, window.mirror_axes) == (0.25, ())
    settings = {"data.root": Path("a: b/[c]"), "data.fold": "all", "train.ema": None, "optim.lr": 1e-5}
    task = load_task("unetr_hippocampus_small", _words(settings)).settings
    assert (task.data.root, task.data.fold, task.train.ema, task.optim.lr) == (Path("a: b/[c]"), "all", None, 1e-5)
    with pytest.raises(UsageError, match="should be a valid number"):
        vol3d.load("unetr-hippocampus", settings={"window.overlap": "0.25"})


def test_settings_of_a_data_set_that_do_not_fit_are_refused_when_they_are_asked_for() -> None:
    with pytest.raises(CheckpointError, match="do not fit this release"):
        Unread("datasets", {"name": "nuscenes", "root": "x", "no_such": 1}).read()


def test_names_and_laziness() -> None:
    assert "3detr-rooms" in vol3d.models() and "unetr_hippocampus_small" in vol3d.recipes()
    assert set(vol3d.__all__) <= set(dir(vol3d)) and not hasattr(vol3d, "no_such_name")
    code = "import sys, vol3d; vol3d.models(); vol3d.recipes(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize(
    ("name", "family", "data"),
    [
        ("centerpoint-drives", "center_point", "nuscenes"),
        ("3detr-rooms", "three_detr", "scannet"),
        ("unetr-hippocampus", "unetr", "msd"),
    ],
)
def test_a_model_imports_no_other_model_and_no_data_set(name: str, family: str, data: str) -> None:
    code = f"import sys, vol3d; vol3d.load({name!r}, 'cpu'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    families = {"three_detr", "vote_net", "anchors", "center_point", "object_dgcnn", "unetr", "baselines"}
    assert {one for one in families for module in loaded if f".models.{one}" in module} == {family}
    sets = {"nuscenes", "kitti", "scannet", "sun_rgbd", "argoverse2", "point_folder", "msd", "btcv", "folder"}
    assert not {one for one in sets for module in loaded if f".datasets.{one}" in module}, data
    assert not {"matplotlib", "monai", "pandas", "pyarrow", "open3d"} & loaded


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.nii.gz").write_bytes(SCAN.read_bytes())
    np.save(tmp_path / "room.npy", room(0)[0].astype(np.float32))
    write_msd(tmp_path / "DATA" / "mine", cases=6)
    (labels,) = (tmp_path / "DATA" / "mine").rglob("labelsTr")
    shutil.copytree(labels, tmp_path / "predictions")
    vol3d.score("predictions", labels, out="other_scored")
    examples = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "python.md").read_text("utf-8"), re.S)
    assert len(examples) == 5
    tiny = '"model.width": 24, "model.heads": 2, "model.mlp": 48, "model.features": 4, "window.size": [16, 16, 16]'
    for example in (one.replace('"optim.clip": 0.5', tiny) for one in examples):
        example = example.replace("DATA/mine/labelsTr", str(labels))
        exec(compile(example, "docs/python.md", "exec"), {})
    assert {"scan.nii.gz", "room.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert (tmp_path / "runs/x/report.html").is_file() and (tmp_path / "scores/report.html").is_file()
