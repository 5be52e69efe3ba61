"""The demo's third part on short drives: with a network that knows nothing, and with those that are shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointcloud import demo_drive as demo
from pointcloud.structures.class_names import NUSCENES_CLASSES
from tests.pointcloud.tasks.test_lidar import RECIPE
from tests.vol3d.untrained import save_untrained
from vol3d.cli.main import main
from vol3d.config import load_task
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.points.read import read_points
from vol3d.scans.results.read import read_detections


def check_results(out: Path, said: str) -> None:
    for name in demo.MODELS:
        assert (out / Path(name).name / "report.html").read_text("utf-8").count("<img") >= 2, "best and worst frame"
    for picture in ("drive.png", "from_above.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    assert read_detections(out / "boxes" / "drive.json").class_names == NUSCENES_CLASSES
    assert set(read_points(out / "scans" / "drive.npy").columns) == {"intensity", "time"}
    assert all(word in said for word in ("NDS", "mAP", "car AP", "report", "vol3d view", "vol3d predict"))


@pytest.fixture
def untrained(tmp_path: Path) -> str:
    """A run's folder with a very small network that knows nothing."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    task = load_task(recipe)
    task = type(task)(task.settings.model_copy(update={"class_names": NUSCENES_CLASSES}))
    return save_untrained(tmp_path / "run", task)


def test_with_an_untrained_network(untrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo, "MODELS", (untrained,))
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    assert main(["demo", "-o", str(tmp_path / "out"), "--only", "drive", "--background", "light"]) == 0
    check_results(tmp_path / "out" / "drive", capsys.readouterr().out)
    for name in ("drive.png", "from_above.png"):
        with Image.open(tmp_path / "out" / "drive" / name) as picture:
            assert np.asarray(picture.convert("L"))[:20].mean() > 220


def test_with_the_shipped_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(demo, "SECONDS", 1.0)
    assert main(["demo", "-o", str(tmp_path / "out"), "--only", "drive"]) == 0
    said = capsys.readouterr().out
    check_results(tmp_path / "out" / "drive", said)
    for name, cars in zip(demo.MODELS, (0.5, 0.2), strict=True):
        line = next(line for line in said.splitlines() if line.strip().startswith(name))
        assert float(line.split()[-1]) > cars


def test_points_keep_their_columns(tmp_path: Path):
    xyz = np.random.default_rng(0).uniform(-40, 40, (50, 3)).astype(np.float32)
    columns: dict[str, np.ndarray] = {
        "intensity": np.arange(50, dtype=np.float32),
        "ring": np.arange(50),
        "time": np.full(50, 0.05),
    }
    demo.write_points(tmp_path / "a.npy", PointCloud(xyz, columns))
    read = read_points(tmp_path / "a.npy", up="z", units="m")
    np.testing.assert_array_equal(read.xyz, xyz)
    np.testing.assert_array_equal(read.columns["intensity"], columns["intensity"])
    np.testing.assert_allclose(read.columns["time"], 0.05)
