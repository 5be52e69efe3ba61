"""`vol3d data` on small data sets, clean and faulty."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.medical.synthetic import write_msd
from tests.pointcloud.datasets.makers import room, write_point_folder, write_scannet
from vol3d import catalog
from vol3d.cli.data import find_tools
from vol3d.cli.main import main


@pytest.fixture
def msd(tmp_path: Path) -> Path:
    return write_msd(tmp_path)


def test_check(msd: Path, capsys):
    assert main(["data", "check", "msd", str(msd), "--workers", "0"]) == 0
    capsys.readouterr()
    next((msd / "labelsTr").glob("*.nii.gz")).unlink()
    assert main(["data", "check", "msd", str(msd), "--workers", "0", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] >= 1
    assert {"code", "severity", "case", "what", "do", "numbers"} == set(said["faults"][0])
    assert "absent-file" in [fault["code"] for fault in said["faults"]]
    assert main(["data", "check", "msd", str(msd), "--workers", "0"]) == 1
    assert "does not exist" in capsys.readouterr().out


def test_stats(msd: Path, capsys):
    assert main(["data", "stats", "msd", str(msd), "--workers", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cases"]) >= 1
    assert main(["data", "stats", "msd", str(msd), "--workers", "0"]) == 0
    assert "spacing_mm" in capsys.readouterr().out


def test_prepare(msd: Path, tmp_path: Path, capsys):
    words = ["data", "prepare", "msd", str(msd), "--recipe", "unetr_hippocampus_small", "--workers", "0"]
    assert main([*words, "-o", str(tmp_path / "ready")]) == 0
    assert (tmp_path / "ready" / "prepared.json").is_file()
    assert "is ready in" in capsys.readouterr().err


def test_faults(tmp_path: Path, capsys):
    assert main(["data", "check", "msd", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["data", "stats", "msd", str(tmp_path)]) == 1
    assert "dataset.json" in capsys.readouterr().err


def test_volumes_need_a_recipe_and_scenes_take_none(msd: Path, tmp_path: Path, capsys):
    assert main(["data", "prepare", "msd", str(msd), "-o", str(tmp_path / "ready")]) == 2
    assert "volumes are prepared for a recipe" in capsys.readouterr().err
    assert not (tmp_path / "ready").exists()
    rooms = write_scannet(tmp_path / "rooms", 1, 1, 0)
    words = ["data", "prepare", "scannet", str(rooms), "--recipe", "unetr_hippocampus_small"]
    assert main([*words, "-o", str(tmp_path / "ready")]) == 2
    assert capsys.readouterr().err and not (tmp_path / "ready").exists()
    assert main(["data", "prepare", "scannet", str(rooms), "-o", str(rooms)]) == 2
    assert "this is the data set itself" in capsys.readouterr().err


def test_scenes_from_raw_files_to_a_prepared_folder(tmp_path: Path, capsys):
    rooms, ready = write_scannet(tmp_path / "rooms"), tmp_path / "ready"
    assert main(["data", "check", "scannet", str(rooms), "--workers", "0"]) == 0
    assert "ScanNet: 4 cases, errors: 0, warnings: 1" in capsys.readouterr().err
    assert main(["data", "prepare", "scannet", str(rooms), "-o", str(ready), "--workers", "0"]) == 0
    assert "ScanNet is ready in" in capsys.readouterr().err
    for root in (rooms, ready):
        assert main(["data", "stats", "scannet", str(root), "--workers", "0", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["classes"]["table"]["boxes"] == 3 and facts["parts"]["train"] == 2
    assert main(["data", "stats", "scannet", str(ready), "--workers", "0"]) == 0
    out = capsys.readouterr().out
    assert "cannot be read" not in out and "garbagebin" in out and "0.48 x 0.49 x 0.58" in out


def test_own_clouds_with_a_fault(tmp_path: Path, capsys):
    root = write_point_folder(tmp_path / "mine")
    (root / "room1.npy").unlink()
    assert main(["data", "check", "point_folder", str(root), "--workers", "0", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["errors"] == 1 and said["cases"] == 4
    assert said["faults"][0]["case"] == "room1" and said["faults"][0]["what"].endswith("room1.npy does not exist")
    assert main(["data", "prepare", "point_folder", str(root), "-o", str(tmp_path / "out")]) == 1
    assert "room1.npy does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["check", "stats", "prepare"])
def test_own_clouds_are_read_as_the_words_say(tmp_path: Path, capsys, verb: str):
    root, out = write_point_folder(tmp_path / "mine"), tmp_path / "out"
    for path in root.glob("*.npy"):
        np.save(path, 1000 * np.load(path)[:, [0, 2, 1]] * [1, 1, -1])
    words = [
        "data",
        verb,
        "point_folder",
        str(root),
        "--workers",
        "0",
        *(["-o", str(out)] if verb == "prepare" else []),
    ]
    assert main([*words, "up=y", "units=mm"]) == 0
    assert "found" not in capsys.readouterr().out
    assert main([*words, "data.up=y", "data.units=mm"]) == 0  # as a recipe calls them
    capsys.readouterr()
    if verb == "prepare":
        xyz = np.load(out / "scenes/room0.points.npy")
        np.testing.assert_allclose(np.ptp(xyz, axis=0), np.ptp(room(0).xyz, axis=0), atol=1e-3)
    assert main([*words, "unit=mm"]) == 2
    assert "'unit=mm': unknown setting 'unit'; did you mean 'units'?" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "up=w"]) == 2
    assert main([*words, "mm"]) == 2
    assert "an override reads key.path=value" in capsys.readouterr().err


def test_every_data_set_has_its_tools():
    for name in catalog.DATASETS:
        tools = find_tools(name)
        assert all(callable(getattr(tools, verb)) for verb in ("check", "stats", "tables", "prepare"))


def test_what_nothing_generates_is_refused(tmp_path: Path, capsys):
    assert main(["data", "generate", "castles", str(tmp_path / "out")]) == 2
    assert "got castles, wanted rooms, frames, drives, kitti" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["drives", "--streets", "nice"], "no such streets"),
        (["drives", "--streets", "realistic", "--scanner", "hdl"], "no such scanner"),
        (["drives", "--scanner", "vlp-16"], "simple streets have a scanner of their own"),
        (["drives", "--seconds", "0"], "not a length of a drive"),
        (["kitti", "--scanner", "hdl"], "no such scanner"),
        (["kitti", "--seconds", "3"], "kitti have no such option"),
        (["rooms", "--scenes", "1"], "not a number of rooms"),
    ],
)
def test_a_refused_option_leaves_no_folder(tmp_path: Path, capsys, words: list[str], message: str):
    kind, *rest = words
    assert main(["data", "generate", kind, str(tmp_path / "out"), *rest]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_drives_last_as_long_as_asked(tmp_path: Path, capsys):
    out = tmp_path / "drives"
    words = ["--scenes", "2", "--seconds", "1", "--workers", "0"]
    assert main(["data", "generate", "drives", str(out), *words]) == 0
    assert len(list((out / "samples/LIDAR_TOP").iterdir())) == 2 * 3


def test_converting_names_classes_that_differ_in_their_spelling_only(tmp_path, capsys):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("1 2 0 4 2 1.5 0.5 Car\n9 2 0 4 2 1.5 0.5 car\n")
    assert main(["data", "convert", str(tmp_path / "labels"), "--from", "openpcdet", "-o", str(tmp_path / "out")]) == 0
    assert "note: Car and car are classes of their own" in capsys.readouterr().err
