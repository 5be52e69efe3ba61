"""Boxes of a person's sweep as KITTI's text and as CSV: read back they are the boxes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti
from pointcloud.conventions.kitti_objects import read_kitti_objects
from pointcloud.datasets.kitti.calibration import read_calibration
from pointcloud.evaluation.exports import writer_of
from vol3d.errors import DataError, UsageError
from vol3d.prediction import BoxPrediction
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.scans.source import ScanSource

CALIBRATION = """P2: 700 0 621 0 0 700 187.5 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3
"""
BOXES = np.array([(15, 2, -0.8, 4, 1.8, 1.5, 0.3), (-15, 2, -0.8, 4, 1.8, 1.5, 0.3)], np.float32)


def found(**changes: object) -> BoxPrediction:
    boxes = Detections(BOXES, np.array([0.9, 0.5], np.float32), np.array([0, 0]), ("car",))
    return BoxPrediction(boxes, PointCloud(np.zeros((1, 3), np.float32), **changes))  # type: ignore[arg-type]


def sweep(folder: Path, calibrated: bool = True) -> ScanSource:
    for name in ("velodyne", "calib"):
        (folder / name).mkdir()
    if calibrated:
        (folder / "calib" / "000007.txt").write_text(CALIBRATION)
    return ScanSource(folder / "velodyne" / "000007.bin", "000007")


def test_kittis_text_holds_the_boxes_that_its_camera_sees(tmp_path: Path) -> None:
    out = tmp_path / "000007.txt"
    (note,) = writer_of("kitti", sweep(tmp_path), None).write(found(), out)
    assert str(note) == "1 boxes lie outside of the camera's image and are not in KITTI's text; the JSON has all"
    objects = read_kitti_objects(out, scored=True)
    labels = KittiBoxes(*map(torch.from_numpy, (objects.location, objects.dimensions_hwl, objects.rotation_y)))
    motion = read_calibration(tmp_path / "calib/000007.txt").lidar_from_camera
    np.testing.assert_allclose(boxes_from_kitti(labels, torch.from_numpy(motion)), BOXES[:1], atol=1e-5)
    assert objects.scores.tolist() == [0.9] and objects.types.tolist() == ["Car"]


def test_the_calibration_is_given_or_refused(tmp_path: Path) -> None:
    source = sweep(tmp_path, calibrated=False)
    with pytest.raises(UsageError, match=r"needs the calibration .*calib/000007\.txt\. Give it with --calib"):
        writer_of("kitti", source, None)
    (tmp_path / "mine.txt").write_text(CALIBRATION.replace("621", "320").replace("187.5", "240"))
    note, _ = writer_of("kitti", source, tmp_path / "mine.txt").write(found(), tmp_path / "a.txt")
    assert (note.code, note.numbers) == ("image-size-assumed", {"width": 640, "height": 480})
    turned = found(file_from_scan=np.diag([1000.0, 1000.0, 1000.0, 1.0]))
    with pytest.raises(UsageError, match="a sweep in metres with z up"):
        writer_of("kitti", source, tmp_path / "mine.txt").write(turned, tmp_path / "b.txt")


def test_kittis_text_has_a_word_for_a_class(tmp_path: Path) -> None:
    prediction, out = found(), tmp_path / "a.txt"
    prediction = replace(prediction, detections=replace(prediction.detections, class_names=("traffic cone",)))
    with pytest.raises(DataError, match=r"a class of several words cannot be written; got traffic cone"):
        writer_of("kitti", sweep(tmp_path), None).write(prediction, out)
    assert not out.exists()


def test_a_table_has_a_row_for_each_box_in_the_coordinates_of_the_json(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    writer_of("csv", sweep(tmp_path), None).write(found(origin=np.array([100.0, 0, 0])), out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["class"] for row in rows] == ["car", "car"] and float(rows[0]["x_m"]) == 115
    assert list(rows[0]) == ["class", "score", *["x_m", "y_m", "z_m", "length_m", "width_m", "height_m", "yaw_rad"]]
    assert float(rows[0]["yaw_rad"]) == pytest.approx(0.3)
