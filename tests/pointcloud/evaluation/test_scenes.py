"""Evaluation over scenes: what is counted, what is shown, and scenes with nothing in them."""

from __future__ import annotations

import gc
import json
import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pointcloud.evaluation.pictures import CANDIDATES, Candidates, ScoredScene
from pointcloud.evaluation.scenes import evaluate_scenes
from pointcloud.metrics.counts import best_threshold, count_scene
from pointcloud.metrics.matches import match_scene
from tests.vol3d.view.scenes import pixels
from vol3d.engine import results
from vol3d.errors import DataError
from vol3d.files import plain
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections

NAMES = ("chair", "table")


def cubes(*places: tuple[float, int, float]) -> Detections:
    """Unit cubes along x: place, label, score."""
    boxes = np.array([(x, 0, 0.5, 1, 1, 1, 0) for x, _, _ in places], np.float32).reshape(-1, 7)
    scores = np.array([score for _, _, score in places], np.float32)
    return Detections(boxes, scores, np.array([label for _, label, _ in places], np.int64), NAMES)


def scene(name: str, truth: Detections, found: Detections, points: int = 500) -> ScoredScene:
    xyz = np.random.default_rng(0).uniform((-1, -2, 0), (8, 2, 2), (points, 3)).astype(np.float32)
    return ScoredScene(name, PointCloud(xyz), truth, found)


TRUTH = cubes((0, 0, 1), (3, 0, 1), (6, 1, 1))


def three() -> list[ScoredScene]:
    return [
        scene("good", TRUTH, cubes((0, 0, 0.9), (3, 0, 0.8), (6, 1, 0.7))),
        scene("half", TRUTH, cubes((0.2, 0, 0.9), (3.9, 0, 0.8), (6, 1, 0.7), (6, 1, 0.1))),
        scene("bad", TRUTH, cubes((9, 0, 0.95))),
    ]


def test_summary_rows_and_curves():
    result = evaluate_scenes(three(), NAMES, {"split": "validation"})
    summary = result.summary
    chair, table = summary["classes"]["chair"], summary["classes"]["table"]
    assert (chair["ground_truths"], chair["detections"]) == (6, 5) and (
        table["ground_truths"],
        table["detections"],
    ) == (3, 3)
    assert chair["recall25"] == pytest.approx(0.5) and table["ap25"] == pytest.approx(2 / 3)
    # chairs from the best score: false alarm, hit, hit, hit, false alarm; the best precision from there on is 3/4.
    assert chair["ap25"] == pytest.approx(3 / 4 * 3 / 6)
    assert result.score == summary["ap25"] == pytest.approx((3 / 8 + 2 / 3) / 2) and result.score_name == "ap25"
    assert summary["ap50"] <= summary["ap25"] and summary["ar25"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert summary["scenes"] == 3 and summary["split"] == "validation"
    assert summary["best_f1"] == pytest.approx(2 * 5 / (7 + 9)) and summary["best_f1_from_score"] == pytest.approx(0.7)
    assert len(summary["precision_recall"]["recall"]) == len(summary["precision_recall"]["ap25"]["chair"]) == 101
    low, high = summary["ap25_interval"]
    assert 0 <= low <= high <= 1
    half = [row for row in result.rows if row["scene"] == "half"]
    assert [(r["class"], r["hits"], r["false_alarms"], r["missed"]) for r in half] == [
        ("chair", 1, 1, 1),
        ("table", 1, 0, 0),
    ]
    assert half[0]["mean_iou"] == pytest.approx(0.8 / 1.2) and len(result.rows) == 6


def test_report_of_an_evaluation(tmp_path: Path):
    results.write(tmp_path, evaluate_scenes(three(), NAMES, pictures="dark"), step=3)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "AP25" in page and "AP50" in page and "Precision and recall" in page and page.count("<img") == 3
    assert json.loads((tmp_path / "evaluation.json").read_text())["summary"]["precision_recall"]["ap50"]["chair"]
    assert "false_alarms" in (tmp_path / "cases.csv").read_text()
    assert math.isfinite(results.read(tmp_path).score)


def test_pictures_of_best_median_and_worst():
    pictures = evaluate_scenes(three(), NAMES, pictures="dark").pictures
    assert set(pictures) == {"best scene good, F1 1.000", "median scene half, F1 0.667", "worst scene bad, F1 0.000"}
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert list(evaluate_scenes(three()[:1], NAMES, pictures="dark").pictures) == ["best scene good, F1 1.000"]
    assert evaluate_scenes(three(), NAMES).pictures == {}


def test_nothing_found_nothing_there_and_no_points():
    nothing_found = evaluate_scenes([scene("a", TRUTH, cubes(), points=0)], NAMES, pictures="dark")
    assert nothing_found.score == 0 and nothing_found.summary["best_f1"] == 0
    assert [row["missed"] for row in nothing_found.rows] == [2, 1] and len(nothing_found.pictures) == 1
    nothing_there = evaluate_scenes([scene("a", cubes(), TRUTH, points=1)], NAMES, pictures="dark")
    assert math.isnan(nothing_there.score) and list(nothing_there.pictures) == ["best scene a, F1 0.000"]
    assert "no scene has an annotated box" in nothing_there.summary["no_score"]
    assert "no_score" not in nothing_found.summary
    neither = evaluate_scenes([scene("a", cubes(), cubes())], NAMES, pictures="dark")
    assert math.isnan(neither.score) and neither.rows == [] and neither.pictures == {}
    for result in (nothing_found, nothing_there, neither):
        json.dumps(plain(result.summary), allow_nan=False)


def test_scenes_are_let_go():
    alive: list[weakref.ref[PointCloud]] = []

    def scenes() -> Iterator[ScoredScene]:
        for index in range(4):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            one = scene(f"scene {index}", TRUTH, TRUTH)
            alive.append(weakref.ref(one.cloud))
            yield one

    assert evaluate_scenes(scenes(), NAMES, pictures="dark").score == 1.0


def test_candidates_for_pictures_are_few_and_spread():
    candidates = Candidates()
    cloud = PointCloud(np.zeros((120_000, 3), np.float32))
    for index in range(3 * CANDIDATES):
        candidates.add(ScoredScene(str(index), cloud, TRUTH, TRUTH))
    kept = [int(one.name) for one in candidates.scenes]
    assert kept == list(range(0, 3 * CANDIDATES, 4)) and len(candidates.scenes[0].cloud) <= 50_000


def test_detections_of_equal_score_count_together():
    match = match_scene(cubes((0, 0, 0.5), (9, 0, 0.5), (3, 0, 0.25)), TRUTH)
    threshold, f1 = best_threshold([match], 0.25)
    assert threshold == 0.25 and f1 == pytest.approx(2 * 2 / (3 + 3))
    assert count_scene(match, 0.25, 0.5)[0][:4] == (2, 1, 1, 1)


def test_bad_scenes_are_named():
    with pytest.raises(DataError, match="no scene to evaluate"):
        evaluate_scenes([], NAMES)
    with pytest.raises(DataError, match="annotation of scene 'good' in other classes"):
        evaluate_scenes(three(), ("chair", "sofa"))
    with pytest.raises(DataError, match="two scenes are called 'good'"):
        evaluate_scenes([three()[0], three()[0]], NAMES)
    with pytest.raises(DataError, match="a score of scene 'x' is NaN"):
        evaluate_scenes([scene("x", TRUTH, cubes((0, 0, math.nan)))], NAMES)


def test_pictures_have_the_background_that_was_asked_for():
    dark, light = (
        pixels(next(iter(evaluate_scenes(three(), NAMES, pictures=shade).pictures.values())))
        for shade in ("dark", "light")
    )
    assert dark[:10].mean() < 60 and light[:10].mean() > 220
