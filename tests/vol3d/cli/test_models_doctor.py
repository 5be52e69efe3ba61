"""`vol3d models` and `vol3d doctor`: what there is, even where something is broken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vol3d import catalog
from vol3d.cli import machine
from vol3d.cli.main import main
from vol3d.cli.models import first_comment
from vol3d.released.readers import RELEASED

TITLES = ("Volumes (segmentation)", "Rooms (detection)", "LiDAR (detection)")


def test_models_lists_everything(capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*catalog.MODELS, *RELEASED, *catalog.DATASETS, "unetr_hippocampus_small"))


def test_models_json(capsys):
    assert main(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"format", "shipped_models", "released_weights", "architectures", "data_sets", "recipes"} == set(said)
    assert said["format"] == 2 and all(recipe["task"] for recipe in said["recipes"])
    classes = {model["name"]: model["classes"] for model in said["shipped_models"]}
    assert len(classes["3detr-rooms"]) == 18, "lists are whole"
    assert all(weights["published by"] for weights in said["released_weights"])
    assert all(recipe["summary"] for recipe in said["recipes"])


def test_models_are_grouped_by_task(capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    volumes, rooms, lidar = (said.index(f"{title}: recipes") for title in TITLES)
    assert said.index("unetr_hippocampus_small") < rooms < said.index("3detr_rooms_small") < lidar
    assert volumes < rooms and lidar < said.index("centerpoint_pillars_drives_small")
    assert said.count("own clouds: a folder and a small JSON") == 2, "of rooms and of LiDAR"


def test_limits_of_threads_are_told_in_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert main(["doctor"]) == 0
    assert "OMP_NUM_THREADS=3" in capsys.readouterr().out


def test_a_card_says_what_a_scan_must_be(capsys):
    for name, wanted in (
        ("unetr-hippocampus", "a volume with 1 channel: MRI; turned to RAS, at its own spacing"),
        ("kitti-cars", "points with x, y, z, intensity; z points up, in m"),
        ("3detr-rooms", "points with x, y, z; the axis that points up is detected"),
        ("centerpoint-drives", "points with x, y, z, intensity, time; z points up, in m"),
    ):
        assert main(["models", name, "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)["models"]
        assert said["expected input"].startswith(wanted) and said["seen in training"] and said["licence"]


def test_models_describes_one(tmp_path: Path, capsys):
    assert main(["models", "kitti-cars", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["models"]
    assert said["architecture"] == "second" and "Car" in said["classes"] and "NC" in said["licence"]
    assert said["started from"] == "street-cars" and len(said["SHA-256"]) == 64
    assert main(["models", "kitti-cars"]) == 0
    assert "street-cars" in capsys.readouterr().out
    assert main(["models", "kitti-car"]) == 2
    assert "no such checkpoint" in capsys.readouterr().err
    (tmp_path / "bare.safetensors").write_bytes(b"0" * 40)
    assert main(["models", str(tmp_path / "bare.safetensors")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_released_weights_have_a_card_of_each_published_file(capsys):
    assert main(["models", "centerpoint-voxel", "--json"]) == 0
    ours, theirs = json.loads(capsys.readouterr().out)["models"]
    assert ours["publisher"] == "mmdetection3d" and ours["import"] == "vol3d import centerpoint-voxel -o OUT"
    assert theirs["url"] is None and "FILE" in theirs["import"] and "NC" in theirs["data"]
    assert main(["models", "centerpoint-voxel"]) == 0
    assert "–" not in capsys.readouterr().out  # what nobody states is no row


def test_first_comment(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text("\n# UNETR on data.\nmodel: x\n")
    assert first_comment(path) == "UNETR on data."
    path.write_text("model: x\n")
    assert first_comment(path) == ""


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("torch", "memory", "/dev/shm", "GB free", "cuda:", "sparse:", "optional:"))
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["versions"]["python"]


def test_doctor_survives_what_it_cannot_look_up(monkeypatch: pytest.MonkeyPatch):
    def broken() -> str:
        raise OSError("no such device")

    monkeypatch.setitem(machine._MACHINE, "memory", broken)
    monkeypatch.setattr(machine, "_cuda", broken)
    report = machine.examine()
    assert report["machine"]["memory"] == "unknown (OSError: no such device)"
    assert report["cuda"]["state"].startswith("unknown")


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(machine.EXTRAS, "viewer", ("no-such-package",))
    assert machine.optional("viewer") == "not installed: pip install 'vol3d[viewer]'"
    monkeypatch.setitem(machine.EXTRAS, "viewer", ("torch", "no-such-package"))
    said = machine.optional("viewer")
    assert said.startswith("torch 2.") and said.endswith("; no-such-package not installed: pip install 'vol3d[viewer]'")


def test_doctor_knows_every_extra_and_its_packages():
    tomllib = pytest.importorskip("tomllib")  # of Python 3.11
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    wanted = {
        extra: tuple(re.split(r"[\[<>=;]", one)[0].strip() for one in packages)
        for extra, packages in project["optional-dependencies"].items()
        if extra not in ("all", "docs", "test")
    }
    assert wanted == machine.EXTRAS
