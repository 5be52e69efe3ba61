"""From generated drives to the official score: our numbers are the devkit's on the same tables and result file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from pointcloud.evaluation.nuscenes_truth import benchmark, benchmark_truth
from pointcloud.generate.drives.write import write_drives
from pointcloud.metrics.nuscenes.boxes import CLASSES, NuscenesDetections, NuscenesTruth
from pointcloud.metrics.nuscenes.scores import nuscenes_scores
from pointcloud.metrics.nuscenes.submission import LIDAR_ONLY, Submission, write_submission
from tests.pointcloud.datasets.devkit import devkit_scores
from tests.pointcloud.datasets.nuscenes_maker import write_small_nuscenes
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections


def test_the_benchmark_gets_all_boxes_of_its_classes(tmp_path: Path) -> None:
    root = write_small_nuscenes(tmp_path / "data")
    sample = NuScenesSettings(root=root, min_points=99).split().train[1]
    truth = benchmark_truth(sample)  # type: ignore[arg-type]
    assert [CLASSES[label] for label in truth.labels] == ["car", "traffic_cone"] and truth.points.tolist() == [9, 4]
    np.testing.assert_allclose(truth.boxes[0], [430.4, 1105, 0.8, 4.6, 1.9, 1.7, 0, 2, 0], atol=1e-5)
    assert truth.attributes[1] == -1 and truth.bicycle_racks.shape == (0, 7)
    np.testing.assert_allclose(truth.ego_position, [402, 1100.32, 0])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drives")
    write_drives(out, 2, seed=5, workers=0, seconds=1.0)
    return out


def perturbed(truth: NuscenesTruth, rng: np.random.Generator) -> NuscenesDetections:
    """Most boxes, moved and resized a little, and some that are not there."""
    kept = rng.random(len(truth)) < 0.8
    rows = np.concatenate([np.flatnonzero(kept), rng.integers(0, len(truth), 20)])
    boxes = np.nan_to_num(truth.boxes[rows]) + rng.normal(0, [0.6, 0.6, 0.2, 0, 0, 0, 0.2, 0.4, 0.4], (len(rows), 9))
    boxes[:, 3:6] *= rng.lognormal(0, 0.1, (len(rows), 3))
    attributes = np.where(rng.random(len(rows)) < 0.8, truth.attributes[rows], -1)
    return NuscenesDetections(boxes, rng.random(len(rows)), truth.labels[rows], attributes)


def test_scores_are_those_of_the_devkit(root: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = NuScenesSettings(root=root).split().validation
    truth = {one.name: benchmark_truth(one) for one in samples}  # type: ignore[arg-type]
    found = {name: perturbed(one, rng) for name, one in truth.items()}
    scores = nuscenes_scores(found, truth)
    write_submission(tmp_path / "results.json", Submission(LIDAR_ONLY, found))
    wanted = devkit_scores(root, "v1.0-drives", tmp_path / "scores.json", "validation", tmp_path / "results.json")
    assert scores.mean_ap == pytest.approx(wanted["mean_ap"], abs=1e-6) and scores.mean_ap > 0.1
    assert scores.nds == pytest.approx(wanted["nd_score"], abs=1e-6)
    for name, row in zip(CLASSES, scores.ap, strict=True):
        assert row.mean() == pytest.approx(wanted["mean_dist_aps"][name], abs=1e-6)


def test_fewer_classes_are_scored_as_they_are_among_all(root: Path) -> None:
    names = ("pedestrian", "car")  # in another order than the benchmark has them
    samples = NuScenesSettings(root=root).split().validation
    boxes = {one.read().cloud.xyz.tobytes(): one.read().truth for one in samples}

    def summary_of(class_names: tuple[str, ...]) -> dict[str, Any]:
        def detect(cloud: PointCloud) -> Detections:
            found = boxes[cloud.xyz.tobytes()]
            scores = np.linspace(0.9, 0.1, len(found)).astype(np.float32)
            return replace(found, scores=scores).of_classes(class_names)

        return benchmark(samples, detect, class_names, lambda *_: None).summary  # type: ignore[arg-type]

    few, every = summary_of(names), summary_of(CLASSES)
    for name in names:
        row = few["classes"][name]
        assert row == pytest.approx(every["classes"][name], nan_ok=True) and row["ground_truths"] > 0
    assert few["map"] == pytest.approx(np.mean([few["classes"][name]["ap"] for name in names]))
    assert few["ground_truths"] == sum(few["classes"][name]["ground_truths"] for name in names)
    assert few["mave_m_s"] == pytest.approx(np.mean([few["classes"][name]["ave_m_s"] for name in names]))
    assert few["classes_scored"] == "2 of the benchmark's 10" and "classes_scored" not in every


def test_a_mean_error_that_no_class_has_is_not_in_the_score() -> None:
    cone = np.array([[5.0, 0, 0, 0.4, 0.4, 0.8, 0, 0, 0]])
    label = np.array([CLASSES.index("traffic_cone")])
    truth = NuscenesTruth(cone, label, np.array([-1]), np.array([9]), np.zeros(3), np.zeros((0, 7)))
    found = NuscenesDetections(cone, np.ones(1), label, np.array([-1]))
    scores = nuscenes_scores({"a": found}, {"a": truth}, ("traffic_cone",))
    assert np.isnan(scores.mean_errors).tolist() == [False, False, True, True, True]
    assert scores.nds == pytest.approx(1.0)
