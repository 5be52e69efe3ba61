"""The evaluation of KITTI runs: boxes of the LiDAR in, the benchmark's scores, tables and pictures out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti
from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects, write_kitti_objects
from pointcloud.evaluation.kitti import KittiScored, evaluate_kitti
from pointcloud.metrics.kitti.boxes import objects_in_image, projected
from pointcloud.metrics.kitti.rules import CLASSES
from vol3d.engine import results
from vol3d.errors import DataError
from vol3d.files import plain
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

SIZE = (1242, 375)
P2 = np.array([[700.0, 0, 600, 0], [0, 700, 180, 0], [0, 0, 1, 0]])
# The camera looks along the LiDAR's x, 0.3 m in front of it.
LIDAR_FROM_CAMERA = np.array([[0.0, 0, 1, 0.3], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def detections(*boxes: tuple[float, ...], scores: list[float] | None = None, label: int = 0) -> Detections:
    n = len(boxes)
    values = np.ones(n) if scores is None else np.array(scores)
    table = np.array(boxes, np.float32).reshape(-1, 7)
    return Detections(table, values.astype(np.float32), np.full(n, label), CLASSES, "lidar")


def car(x: float, y: float = 0) -> tuple[float, ...]:
    return (x, y, -1, 4, 1.6, 1.5, 0)


def frame(name: str, found: Detections, truth: Detections) -> KittiScored:
    """The labels are what the camera sees of `truth`."""
    rows, _ = objects_in_image(truth, LIDAR_FROM_CAMERA, P2, SIZE)
    labels = KittiObjects(
        rows.types, np.zeros(len(rows)), np.zeros(len(rows), int), rows.alpha, rows.bbox, rows.dimensions_hwl,
        rows.location, rows.rotation_y, np.ones(len(rows)),
    )  # fmt: skip
    points = np.random.default_rng(0).uniform((0, -20, -2), (40, 20, 1), (400, 3)).astype(np.float32)
    return KittiScored(name, PointCloud(points), found, labels, LIDAR_FROM_CAMERA, P2, SIZE)


def test_a_box_ahead_is_seen_where_the_lens_puts_it():
    objects, rows = objects_in_image(detections((20.3, 0, 0, 4, 2, 1, 0)), LIDAR_FROM_CAMERA, P2, SIZE)
    near = 20 - 2  # the rear of the car
    wanted = [600 - 700 / near, 180 - 350 / near, 600 + 700 / near, 180 + 350 / near]
    np.testing.assert_allclose(objects.bbox, [wanted])
    np.testing.assert_allclose(objects.location, [[0, 0.5, 20]], atol=1e-6)
    assert objects.alpha[0] == pytest.approx(-math.pi / 2) and rows.tolist() == [0]


def test_alpha_is_the_heading_seen_along_the_ray():
    objects, _ = objects_in_image(detections((10.3, -10, 0, 4, 2, 1, 0)), LIDAR_FROM_CAMERA, P2, (9999, 375))
    assert objects.rotation_y[0] == pytest.approx(-math.pi / 2)
    assert objects.alpha[0] == pytest.approx(-math.pi / 2 - math.pi / 4)


def test_boxes_beside_and_behind_are_not_seen_and_one_around_the_lens_is_cut():
    found = detections(car(-10), car(5, 30), (0.3, 0, 0, 4, 2, 1, 0), car(12))
    objects, rows = objects_in_image(found, LIDAR_FROM_CAMERA, P2, SIZE)
    assert rows.tolist() == [2, 3] and np.isfinite(objects.bbox).all()
    np.testing.assert_allclose(objects.bbox[0], [0, 0, SIZE[0] - 1, SIZE[1] - 1])


def test_no_detection_is_seen_as_none():
    objects, rows = objects_in_image(detections(), LIDAR_FROM_CAMERA, P2, SIZE)
    assert len(objects) == len(rows) == 0


def test_labels_of_a_real_frame_have_the_boxes_in_the_image_that_their_annotators_drew(data_root: Path):
    folder = data_root / "kitti" / "training"
    checked = 0
    for path in sorted((folder / "label_2").glob("*.txt")):
        lines = dict(
            line.split(":", 1) for line in (folder / "calib" / path.name).read_text().splitlines() if ":" in line
        )
        p2, r0, velo = (np.array(lines[k].split(), float) for k in ("P2", "R0_rect", "Tr_velo_to_cam"))
        camera_from_lidar = np.eye(4)
        camera_from_lidar[:3] = r0.reshape(3, 3) @ velo.reshape(3, 4)
        motion = np.linalg.inv(camera_from_lidar)
        labels = read_kitti_objects(path)
        labels = labels.select(np.isin(labels.types, CLASSES))
        columns = (labels.location, labels.dimensions_hwl, labels.rotation_y)
        boxes = boxes_from_kitti(KittiBoxes(*map(torch.from_numpy, columns)), torch.from_numpy(motion))
        found = detections(*map(tuple, boxes.tolist()))
        objects, rows = objects_in_image(found, motion, p2.reshape(3, 4), SIZE)
        assert rows.tolist() == list(range(len(labels)))
        np.testing.assert_allclose(objects.bbox, labels.bbox, atol=12)  # drawn by hand
        np.testing.assert_allclose(objects.alpha, labels.alpha, atol=0.05)
        np.testing.assert_allclose(objects.location, labels.location, atol=1e-4)
        checked += len(rows)
    assert checked >= 6


def test_frames_are_scored_in_three_ways():
    truth = detections(*(car(8 + 6 * i) for i in range(4)))
    evaluation = evaluate_kitti([frame("a", truth, truth), frame("b", detections(), detections(car(10)))])
    summary = evaluation.summary
    assert evaluation.score_name == "ap3d_moderate_area" and evaluation.score == summary["ap3d_moderate_area"]
    row = summary["classes"]["Car"]
    assert (row["ground_truths"], row["detections"]) == (5, 4)
    assert row["ap3d_moderate"] == row["apbev_moderate"] == row["apbbox_moderate"] == pytest.approx(3 / 40)
    assert summary["with_11_recalls"]["Car"]["ap3d_moderate"] == pytest.approx(1 / 11)
    # Four of five cars are found: the benchmark stops at the fourth of its 41 steps, the area does not.
    assert row["ap3d_moderate_area"] == summary["ap3d_moderate_area"] == pytest.approx(4 / 5)
    assert math.isnan(summary["classes"]["Cyclist"]["ap3d_easy"])
    assert [r["Car_ground_truths"] for r in summary["ranges"].values()] == [4, 1, 0]
    json.dumps(plain(summary), allow_nan=False)


def test_a_car_off_by_a_metre_is_found_with_looser_overlaps_only():
    truth = detections(*(car(8 + 8 * i) for i in range(4)))
    boxes = truth.boxes.copy()
    boxes[:, 0] += 1.0  # of 4 m: an IoU of 3/5
    summary = evaluate_kitti([frame("a", replace(truth, boxes=boxes), truth)]).summary
    assert summary["classes"]["Car"]["ap3d_moderate"] == summary["classes"]["Car"]["apbev_moderate"] == 0
    loose = summary["with_loose_overlaps"]["Car"]
    assert loose["ap3d_moderate"] == loose["apbev_moderate"] == pytest.approx(3 / 40)
    assert not any(key.startswith("apbbox") for key in loose)
    assert summary["loose_overlap"] == "Car 0.5, Pedestrian 0.25, Cyclist 0.25"


def test_rows_count_what_counts():
    truth = detections(car(8), car(14))
    found = detections(
        car(8), (14.1, 0, -1, 4, 1.6, 1.5, 0), car(30), car(60), car(-9), scores=[0.9, 0.8, 0.4, 0.3, 0.9]
    )
    evaluation = evaluate_kitti([frame("a", found, truth), frame("b", detections(car(9), scores=[0.85]), detections())])
    assert evaluation.summary["best_f1_from_score"] == pytest.approx(0.8)
    first, second = evaluation.rows
    assert (first["hits"], first["false_alarms"], first["missed"]) == (2, 0, 0)
    assert 0.95 < first["mean_iou"] < 1  # one of the two is 10 cm off
    assert (second["scene"], second["ground_truths"], second["false_alarms"]) == ("b", 0, 1)


def test_the_report_has_the_tables_the_curves_and_the_pictures(tmp_path: Path):
    pairs = {"a": (car(8), car(8)), "b": (car(8), car(20)), "c": (car(14), car(14.4))}
    frames = (frame(name, detections(one), detections(other)) for name, (one, other) in pairs.items())
    evaluation = evaluate_kitti(frames, {"split": "val"}, pictures="dark")
    assert all(picture.startswith(b"\x89PNG") for picture in evaluation.pictures.values())
    results.write(tmp_path, evaluation, step=1)
    page = (tmp_path / "report.html").read_text("utf-8")
    for words in (
        "AP 3D moderate",
        "AP 3D moderate area",
        "AP BEV hard",
        "AOS easy",
        "With 11 recalls",
        "20 to 40 m",
        "Precision and recall",
    ):
        assert words in page, words
    assert page.count("<img") == 3


def test_result_files_score_the_same(tmp_path: Path):
    truth = detections(*(car(8 + 6 * i) for i in range(4)))
    objects, _ = objects_in_image(truth, LIDAR_FROM_CAMERA, P2, SIZE)
    write_kitti_objects(tmp_path / "a.txt", objects, scored=True)
    back = read_kitti_objects(tmp_path / "a.txt", scored=True)
    for name in ("bbox", "location", "dimensions_hwl", "rotation_y", "alpha", "scores"):
        np.testing.assert_allclose(getattr(back, name), getattr(objects, name), atol=1e-6)


def test_what_cannot_be_scored_is_told():
    good, bad = detections(car(9)), detections((math.nan, *car(9)[1:]))
    with pytest.raises(DataError, match="no frame"):
        evaluate_kitti([])
    with pytest.raises(DataError, match="there twice; got a"):
        evaluate_kitti([frame("a", good, good)] * 2)
    with pytest.raises(DataError, match="detection of frame 'a' is not finite"):
        evaluate_kitti([frame("a", bad, good)])


def test_the_score_is_the_benchmarks_own_where_there_are_objects_enough():
    truth = detections(*(car(8 + 6 * i) for i in range(6)))
    enough, few = (evaluate_kitti([frame(str(n), truth, truth) for n in range(count)]) for count in (7, 6))
    assert enough.score_name == "ap3d_moderate" and enough.score == pytest.approx(1)
    assert few.score_name == "ap3d_moderate_area" and few.score == pytest.approx(1)


def test_labels_without_a_box_in_the_image_are_looked_for_where_they_are_seen():
    labels = frame("a", detections(), detections(car(10), car(18, 3), car(-9))).truth
    bare = replace(labels, bbox=np.array([[0, 0, 0, 0], [-1, -1, -1, -1]], float))
    filled, count = projected(bare, LIDAR_FROM_CAMERA, P2, SIZE)
    np.testing.assert_allclose(filled.bbox, labels.bbox, atol=1e-4)
    assert count == 2 and projected(labels, LIDAR_FROM_CAMERA, P2, SIZE)[1] == 0
    found = detections(car(10), car(18, 3))
    given = KittiScored("a", PointCloud(np.ones((9, 3), np.float32)), found, filled, LIDAR_FROM_CAMERA, P2, SIZE, count)
    evaluation = evaluate_kitti([given])
    assert evaluation.score == pytest.approx(1) and evaluation.summary["image_boxes"].startswith("2 objects have none")
