"""Which point files a path means, and what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vol3d.errors import DataError, UsageError
from vol3d.scans import Detections, find_point_files, points_file_stem
from vol3d.scans.points.read import read_points
from vol3d.scans.results.box_lines import write_box_lines


def test_everything_a_folder_holds(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".cache").mkdir()
    names = ["a.ply", "b.PCD", "c.pcd.bin", "d.npy", "e.laz", "deep/f.xyz", "deep/g.bin"]
    for name in [*names, "notes.txt", "table.csv", ".hidden.ply", "._a.ply", "x.json", ".cache/y.ply"]:
        (tmp_path / name).write_bytes(b"x")
    assert find_point_files([tmp_path]) == [tmp_path / name for name in names]
    assert find_point_files([tmp_path / "notes.txt", tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]
    assert find_point_files([str(tmp_path / "*.csv"), tmp_path / "a.ply"]) == [
        tmp_path / "table.csv",
        tmp_path / "a.ply",
    ]


def test_boxes_that_were_drawn_beside_the_scans_are_no_scans(tmp_path: Path) -> None:
    scan, drawn, moving = (tmp_path / name for name in ("room.npy", "room.boxes.ply", "moving.boxes.ply"))
    for path in (scan, moving):
        path.write_bytes(b"ply")
    write_box_lines(drawn, Detections(np.ones((1, 7)), np.ones(1), np.zeros(1, np.int64), ("chair",), "scan"))
    assert find_point_files([tmp_path]) == [moving, scan]
    assert find_point_files([tmp_path / "*.ply", drawn]) == [moving]


def test_columns_of_a_prepared_scene_are_no_scans(tmp_path: Path) -> None:
    names = ["a.points.npy", "b.rgb.npy", "v1.2.npy"]
    for name in [*names, "a.rgb.npy"]:
        (tmp_path / name).write_bytes(b"x")
    assert find_point_files([tmp_path]) == [tmp_path / name for name in names]


def test_kinds_that_must_be_named_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "315966.feather").write_bytes(b"x")
    with pytest.raises(DataError, match=r"Of \.feather files give the names or a pattern, '.*/\*\*/\*\.feather'"):
        find_point_files([tmp_path])


def test_of_a_drives_folder_the_sweeps_are_pointed_out(tmp_path: Path) -> None:
    for name in ("val/LOG/annotations.feather", "val/LOG/sensors/lidar/315966.feather"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"a pattern, '.*/\*\*/lidar/\*\.feather'"):
        find_point_files([tmp_path])


@pytest.mark.parametrize(
    ("file", "name", "beside"),
    [
        ("SUNRGBD/kv1/NYU0001/depth_bfx/NYU0001.png", "sun_rgbd", "intrinsics.txt"),
        ("scans/scene0000_00/scene0000_00.sens", "scannet", "scene0000_00.txt"),
    ],
)
def test_what_a_depth_camera_recorded_must_be_prepared(tmp_path: Path, file: str, name: str, beside: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"recorded")
    (tmp_path / beside).write_bytes(b"x")
    for folder in (tmp_path, path.parent):
        with pytest.raises(DataError, match=f"`vol3d data prepare {name} ROOT -o READY`"):
            find_point_files([folder])
    with pytest.raises(DataError, match=f"not a file of points.*`vol3d data prepare {name} ROOT -o READY`"):
        read_points(path)
    (tmp_path / "screenshot.png").write_bytes(b"x")
    with pytest.raises(DataError) as raised:
        read_points(tmp_path / "screenshot.png")
    assert "prepare" not in str(raised.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        find_point_files([tmp_path / "none.ply"])
    with pytest.raises(DataError, match="no point file in this folder"):
        find_point_files([tmp_path])


@pytest.mark.parametrize(
    ("name", "stem"),
    [("sweep.pcd.bin", "sweep"), ("a.b.PLY", "a.b"), ("000008.bin", "000008"), ("plain", "plain"), (".ply", ".ply"),
     ("x.pcd", "x"), ("Größe 1.laz", "Größe 1"), ("v1.2", "v1.2")],
)  # fmt: skip
def test_stem(name: str, stem: str) -> None:
    assert points_file_stem(Path("folder") / name) == stem
