"""The evaluation of nuScenes runs: frames of the LiDAR in, the benchmark's scores, tables, pictures and file out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pointcloud.evaluation.nuscenes import RINGS_M, NuscenesFrame, evaluate_nuscenes
from pointcloud.metrics.nuscenes.boxes import CLASSES, NuscenesTruth, moved
from pointcloud.metrics.nuscenes.scores import nuscenes_scores
from pointcloud.metrics.nuscenes.submission import read_submission
from vol3d.engine import results
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

NAMES = ("pedestrian", "car", "tree")


def pose(yaw: float, *place: float) -> np.ndarray:
    motion = np.eye(4)
    motion[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    motion[:3, 3] = place
    return motion


def frame(
    token: str, *found: tuple[float, float], truth: tuple[float, ...] = (5, 15, 25), width: int = 9
) -> NuscenesFrame:
    """Cars along x of the LiDAR, moving at 2 m/s along it; `found` are x and score."""
    motion = pose(2.5, 1000, 2000, 1.8)
    cars = np.array([(x, 0, -1, 4, 2, 1.5, 0, 2, 0) for x in truth], float).reshape(-1, 9)
    n = len(cars)
    moving = np.full(n, 5)
    annotation = NuscenesTruth(
        moved(cars, motion), np.zeros(n, int), moving, np.ones(n, int), motion[:3, 3], np.zeros((0, 7))
    )
    boxes = np.array([(x, 0, -1, 4, 2, 1.5, 0, 2, 0) for x, _ in found], np.float32).reshape(-1, 9)[:, :width]
    scores = np.array([score for _, score in found], np.float32)
    detections = Detections(boxes, scores, np.ones(len(found), np.int64), NAMES, "lidar")
    points = np.random.default_rng(0).uniform(-20, 20, (500, 3)).astype(np.float32)
    return NuscenesFrame(token, PointCloud(points), detections, annotation, motion)


def test_frames_of_the_lidar_are_scored_in_the_world():
    evaluation = evaluate_nuscenes([frame("a", (5, 0.9), (15, 0.8), (25, 0.7))])
    assert evaluation.score_name == "nds" and evaluation.score == evaluation.summary["nds"]
    car = evaluation.summary["classes"]["car"]
    assert car["ap"] == pytest.approx(1) and (car["ground_truths"], car["detections"]) == (3, 3)
    for name in ("ate_m", "ase", "aoe_rad", "ave_m_s", "aae"):
        assert car[name] == pytest.approx(0, abs=1e-4)
    assert evaluation.summary["map"] == pytest.approx(0.1)


def test_samples_that_nobody_annotated_have_no_score():
    evaluation = evaluate_nuscenes([frame("a", (5, 0.9), truth=())])
    assert math.isnan(evaluation.score) and "nothing to score" in evaluation.summary["no_score"]
    assert "no_score" not in evaluate_nuscenes([frame("a")]).summary


def test_detections_without_velocities_stand_still():
    car = evaluate_nuscenes([frame("a", (5, 0.9), truth=(5,), width=7)]).summary["classes"]["car"]
    assert car["ave_m_s"] == pytest.approx(2) and car["aae"] == 1


def test_unknown_classes_are_left_out_and_only_the_500_best_are_kept():
    many = frame("a", *[(5.0, 1 - i / 1000) for i in range(600)])
    assert evaluate_nuscenes([many]).summary["detections"] == 500
    trees = many._replace(found=Detections(many.found.boxes, many.found.scores, many.found.labels + 1, NAMES))
    assert evaluate_nuscenes([trees]).summary["detections"] == 0


def test_rows_count_each_sample_at_the_best_score():
    evaluation = evaluate_nuscenes([frame("a", (5, 0.9), (15, 0.8), (40, 0.1)), frame("b"), frame("c", truth=())])
    assert evaluation.rows == [
        {"scene": "a", "class": "car", "ground_truths": 3, "hits": 2, "false_alarms": 0, "missed": 1},
        {"scene": "b", "class": "car", "ground_truths": 3, "hits": 0, "false_alarms": 0, "missed": 3},
    ]
    assert evaluation.summary["best_f1_from_score"] == pytest.approx(0.8)
    assert evaluation.summary["best_f1"] == pytest.approx(4 / 8)


def test_ranges_share_out_the_objects():
    evaluation = evaluate_nuscenes([frame("a", (5, 0.9), (10.5, 0.95), (15, 0.8), (26, 0.7))])
    ranges = evaluation.summary["ranges"]
    assert [row["ground_truths"] for row in ranges.values()] == [1, 1, 1, 0, 0] and len(ranges) == len(RINGS_M)
    assert ranges["0 to 10 m"]["car"] == ranges["0 to 10 m"]["map"] == pytest.approx(1)
    assert 0 < ranges["10 to 20 m"]["car"] < 0.6  # a false alarm before the hit
    assert ranges["20 to 30 m"]["car"] == pytest.approx(0.5)  # 1 m away: at two of the four distances
    assert math.isnan(ranges["30 to 40 m"]["car"]) and math.isnan(ranges["0 to 10 m"]["bus"])


def test_the_result_file_scores_the_same(tmp_path: Path):
    frames = [frame("a", (5.3, 0.9), (16.5, 0.8)), frame("b", (26, 0.4))]
    evaluation = evaluate_nuscenes(frames, submission=tmp_path / "results.json")
    truth = {f.token: f.truth for f in frames}
    scores = nuscenes_scores(read_submission(tmp_path / "results.json", truth).results, truth)
    assert scores.nds == pytest.approx(evaluation.score, abs=1e-12) and 0 < scores.nds < 0.3


def test_the_report_has_the_tables_the_curves_and_the_pictures(tmp_path: Path):
    frames = (
        frame(token, *found) for token, found in {"a": [(5.0, 0.9)], "b": [(60.0, 0.8)], "c": [(15.0, 0.3)]}.items()
    )
    evaluation = evaluate_nuscenes(frames, {"split": "mini"}, pictures="dark")
    assert len(evaluation.pictures) == 3 and all(p.startswith(b"\x89PNG") for p in evaluation.pictures.values())
    results.write(tmp_path, evaluation, step=1)
    page = (tmp_path / "report.html").read_text("utf-8")
    for words in ("NDS", "mean AP", "0 to 10 m", "Ranges", "Precision and recall", "AP at 0.5 m", "mini", *CLASSES):
        assert words in page, words
    assert page.count("<img") == 3


def test_pictures_show_what_counts_only(monkeypatch: pytest.MonkeyPatch):
    shown = []
    monkeypatch.setattr("pointcloud.evaluation.pictures.draw_top_view", lambda *scene: shown.append(scene) or b"")
    evaluate_nuscenes([frame("a", (5, 0.9), (60, 0.95), truth=(5, 70))], pictures="dark")
    (_, truth, found, *_), *_ = shown
    np.testing.assert_allclose(truth.boxes[:, :2], [[5, 0]], atol=1e-3)
    np.testing.assert_allclose(found.boxes[:, [0, 1, 6, 7, 8]], [[5, 0, 0, 2, 0]], atol=1e-3)


def none() -> Iterator[NuscenesFrame]:
    yield from ()


def test_what_cannot_be_scored_is_told():
    with pytest.raises(DataError, match="no sample"):
        evaluate_nuscenes(none())
    with pytest.raises(DataError, match="there twice; got a"):
        evaluate_nuscenes([frame("a"), frame("a")])
    with pytest.raises(DataError, match="score of sample 'a' is not finite"):
        evaluate_nuscenes([frame("a", (5, math.nan))])
    with pytest.raises(DataError, match="not finite"):
        evaluate_nuscenes([frame("a", (math.nan, 0.5))])
