"""Labels of data sets: KITTI's text, OpenPCDet's lines and nuScenes' tables against values by hand and of others."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.exchange.convert import FORMATS, convert_labels
from pointcloud.exchange.scenes import LabelledBox, LabelledScene
from tests.pointcloud.exchange.test_convert import CAR, SCENES, VAN, close
from vol3d.cli.data import find_tools
from vol3d.errors import DataError

FORWARD = "0 -1 0 0 0 0 -1 0 1 0 0 0"  # a level camera in the LiDAR's place
CALIB = f"P2: 700 0 600 0 0 700 180 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: {FORWARD}\n"


def kitti(folder: Path, rows: str) -> Path:
    for name, text in (("label_2", rows), ("calib", CALIB)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "000007.txt").write_text(text, "utf-8")
    return folder


def test_kitti_by_hand(tmp_path: Path) -> None:
    # 10 m ahead, 2 m to the right, standing 1.7 m below the camera; rotation_y -90 degrees looks ahead, 0 to the right.
    rows = "Car 0.00 0 0.1 1 2 3 4 1.5 1.6 4.0 2.0 1.7 10.0 -1.5707963268\n"
    rows += "DontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n"
    rows += "Van 0.00 0 0.1 1 2 3 4 2.0 1.8 5.0 -3.0 1.0 6.0 0\n"
    (scene,) = FORMATS["kitti"].read(kitti(tmp_path / "training", rows))
    car, van = scene.boxes
    assert scene.file == "000007.bin"
    assert close(car, LabelledBox("Car", (10.0, -2.0, -1.7 + 0.75), (4.0, 1.6, 1.5), 0.0))
    assert close(van, LabelledBox("Van", (6.0, 3.0, -1.0 + 1.0), (5.0, 1.8, 2.0), -math.pi / 2))
    (tmp_path / "training" / "velodyne").mkdir()
    (tmp_path / "training" / "velodyne" / "000007.pcd").touch()
    (again,) = FORMATS["kitti"].read(tmp_path / "training" / "label_2")
    assert again.file == "000007.pcd"  # the cloud that is there


def test_kittis_first_pedestrian_is_where_openpcdet_has_it(data_root: Path) -> None:
    """`gt_boxes_lidar` of frame 000000 in OpenPCDet's infos, as printed in issue 4 of TRAILab/PDV."""
    folder = data_root / "kitti" / "training"
    if not folder.is_dir():
        pytest.skip("no KITTI sample here")
    scene = FORMATS["kitti"].read(folder)[0]
    box = scene.boxes[0]
    assert scene.file == "000000.bin" and box.name == "Pedestrian"
    wanted = [8.73138046, -1.85591757, -0.65469939, 1.2, 0.48, 1.89, -1.58079633]
    np.testing.assert_allclose([*box.center, *box.size, box.yaw], wanted, atol=2e-5)


def test_kittis_rows_as_written(tmp_path: Path) -> None:
    FORMATS["kitti"].write(SCENES, tmp_path)
    row = (tmp_path / "training" / "label_2" / "a.txt").read_text("utf-8").splitlines()[0].split()
    assert row[:8] == ["car", "-1.00", "-1", "-10.000000", *["-1.000000"] * 4]
    # h w l, then 2 m to the right, the bottom face 0.25 m below the LiDAR, 10 m ahead
    wanted = [1.5, 1.8, 4.0, 2.0, 0.25, 10.0, -0.25 - math.pi / 2]
    assert [float(word) for word in row[8:]] == pytest.approx(wanted, abs=1e-6)


def test_openpcdets_own_example(tmp_path: Path) -> None:
    """The lines of its tutorial for own data."""
    lines = "1.50 1.46 0.10 5.12 1.85 4.13 1.56 Vehicle\n5.54 0.57 0.41 1.08 0.74 1.95 1.57 Pedestrian\n"
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "000000.txt").write_text(lines, "utf-8")
    (scene,) = FORMATS["openpcdet"].read(tmp_path)
    assert scene.file == "000000.npy"
    assert close(scene.boxes[0], LabelledBox("Vehicle", (1.5, 1.46, 0.1), (5.12, 1.85, 4.13), 1.56))
    assert close(scene.boxes[1], LabelledBox("Pedestrian", (5.54, 0.57, 0.41), (1.08, 0.74, 1.95), 1.57))


@pytest.mark.parametrize(
    "line", ["1 2 3 4 2 1 car", "1 2 3 4 2 1 0.5 0.9 car", "car 1 2 3 4 2 1 0.5", "1 2 3 4 2 1 nan car"]
)
def test_lines_of_another_form_name_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text(f"1 2 3 4 2 1 0.5 car\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.txt:2"):
        FORMATS["openpcdet"].read(tmp_path)


def test_nuscenes_by_hand(tmp_path: Path) -> None:
    FORMATS["nuscenes"].write([LabelledScene("a.pcd", (CAR,))], tmp_path)
    half = math.sqrt(0.5)
    # The car stands at (100, 200) and looks along +y; on it the LiDAR, 1 m ahead and 2 m up, looks to the right.
    edit(tmp_path, "ego_pose", translation=[100, 200, 0], rotation=[half, 0, 0, half])
    edit(tmp_path, "calibrated_sensor", translation=[1, 0, 2], rotation=[half, 0, 0, -half])
    edit(tmp_path, "sample_annotation", translation=[100, 205, 2], size=[2, 4, 1.5], rotation=[half, 0, 0, half])
    for place in (tmp_path, tmp_path / "v1.0-own"):
        (scene,) = FORMATS["nuscenes"].read(place)
        assert close(scene.boxes[0], LabelledBox("car", (0, 4, 0), (4, 2, 1.5), math.pi / 2))


def edit(root: Path, table: str, **values: Any) -> None:
    path = root / "v1.0-own" / f"{table}.json"
    (row,) = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps([row | values]), "utf-8")


def test_tables_are_accepted_by_our_own_check_and_loader(tmp_path: Path) -> None:
    FORMATS["nuscenes"].write(SCENES, tmp_path)
    rng = np.random.default_rng(0)
    for scene in SCENES:
        points = np.zeros((4000, 5), np.float32)
        points[:, :3] = rng.uniform((-20, -20, -2), (20, 20, 2), (4000, 3))
        points[:, 3:] = rng.integers(0, 32, (4000, 2))
        points[:100, :3] = np.array(CAR.center) + rng.uniform(-0.5, 0.5, (100, 3))
        (tmp_path / "samples" / "LIDAR_TOP" / f"{scene.stem}.pcd.bin").write_bytes(points.tobytes())
    split = NuScenesSettings(root=tmp_path).split()
    assert (len(split.train), len(split.validation)) == (2, 0)
    found = split.train[0].read()
    np.testing.assert_allclose(found.truth.boxes[0, :7], [*CAR.center, *CAR.size, CAR.yaw], atol=1e-5)
    faults = find_tools("nuscenes").check(split, 0, lambda done, total, name: None)
    assert not [fault for fault in faults if fault.severity == "error"], faults


def test_several_versions_and_no_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sample_data"):
        FORMATS["nuscenes"].read(tmp_path)
    for version in ("v1.0-mini", "v1.0-test"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "sample_data.json").write_text("[]", "utf-8")
    with pytest.raises(DataError, match=r"v1\.0-mini, v1\.0-test"):
        FORMATS["nuscenes"].read(tmp_path)


def test_kitti_without_calibration_and_classes_of_two_words(tmp_path: Path) -> None:
    (tmp_path / "label_2").mkdir()
    (tmp_path / "label_2" / "a.txt").write_text("", "utf-8")
    with pytest.raises(DataError, match="no calibration"):
        FORMATS["kitti"].read(tmp_path)
    two = [LabelledScene("a.pcd", (LabelledBox("office chair", CAR.center, CAR.size, 0.0),))]
    for name in ("kitti", "openpcdet"):
        with pytest.raises(DataError, match="several words"):
            FORMATS[name].write(two, tmp_path / name)


def test_kitti_to_nuscenes_keeps_boxes(tmp_path: Path) -> None:
    FORMATS["kitti"].write(SCENES, tmp_path / "k")
    convert_labels(tmp_path / "k", "kitti", "nuscenes", tmp_path / "n")
    (first, second) = FORMATS["nuscenes"].read(tmp_path / "n")
    assert all(close(one, other) for one, other in zip(first.boxes, (CAR, VAN), strict=True)) and second.boxes == ()


def test_kittis_own_loader_reads_what_was_written(tmp_path: Path) -> None:
    named = [LabelledScene("000000.pcd", (LabelledBox("Car", (10.0, -2.0, -0.5), (4.0, 1.8, 1.5), 0.25),))]
    FORMATS["kitti"].write(named, tmp_path)
    points = np.zeros((3000, 4), np.float32)
    points[:, :3] = np.random.default_rng(0).uniform((0, -20, -2), (40, 20, 2), (3000, 3))
    points[:50, :3] = (10.0, -2.0, -0.5)
    (tmp_path / "training" / "velodyne").mkdir()
    (tmp_path / "training" / "velodyne" / "000000.bin").write_bytes(points.tobytes())
    split = KittiSettings(root=tmp_path, image_only=False, validation=0.5).split()
    found = split.labelled[0].read()
    np.testing.assert_allclose(found.truth.boxes[0, :7], [10, -2, -0.5, 4, 1.8, 1.5, 0.25], atol=1e-5)


def test_regions_that_nobody_annotated_are_no_boxes_however_they_are_spelled(tmp_path: Path) -> None:
    FORMATS["kitti"].write([LabelledScene("a.bin", (CAR,))], tmp_path)
    (file,) = tmp_path.rglob("label_2/a.txt")
    row = file.read_text().split()
    file.write_text("\n".join(" ".join([name, *row[1:]]) for name in ("car", "dontcare", "DONTCARE")))
    (scene,) = FORMATS["kitti"].read(tmp_path)
    assert [box.name for box in scene.boxes] == ["car"]
