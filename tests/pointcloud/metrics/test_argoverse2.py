"""Argoverse 2's benchmark: the numbers of its public evaluation (av2 0.3.6), its rules one by one, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pointcloud.conventions.argoverse2 import CATEGORIES, CUBOID, boxes_from_argoverse2
from pointcloud.conventions.feather import read_feather
from pointcloud.metrics.argoverse2.matching import MAX_FOUND, Cuboids, SweepMatches, match_sweep
from pointcloud.metrics.argoverse2.scores import WORST, Argoverse2Scores, argoverse2_scores
from pointcloud.metrics.argoverse2.submission import SweepDetections, write_submission
from tests.pointcloud.metrics.argoverse2_cases import CLASSES, Rows, cases

OFFICIAL = {
    "REGULAR_VEHICLE": (0.1451307, 0.64312451, 0.44905469, 0.55254796, 0.09934204),
    "PEDESTRIAN": (0.16092107, 0.92365487, 0.5111554, 0.5463722, 0.09940102),
    "BOLLARD": (0.1364071, 0.61444365, 0.4867443, 0.44312794, 0.09389273),
    "BICYCLE": (0.20855925, 0.30575952, 0.36728027, 0.19309263, 0.16812494),
    "WHEELED_RIDER": (0.0, 2.0, 1.0, 3.14159265, 0.0),
}
"""AP, ATE, ASE, AOE, CDS of `cases(1)` by `av2.evaluation.detection` without the region of interest."""
OFFICIAL_MEANS = (0.02503916, 1.78796087, 0.9159321, 2.72500689, 0.01772157)


def table(rows: Rows, sweep: int) -> Cuboids:
    mine = rows.sweeps == sweep
    boxes = boxes_from_argoverse2(torch.from_numpy(rows.cuboids[mine])).numpy()
    return Cuboids(boxes, rows.labels[mine], rows.last[mine])


def matches(seed: int) -> list[SweepMatches]:
    truth, found = cases(seed)
    return [match_sweep(table(found, sweep), table(truth, sweep)) for sweep in range(4)]


def test_the_numbers_are_those_of_the_public_evaluation() -> None:
    scores = argoverse2_scores(matches(1), len(CATEGORIES))
    for name, wanted in OFFICIAL.items():
        label = CATEGORIES.index(name)
        got = (scores.ap[label].mean(), *scores.errors[label], scores.class_cds[label])
        np.testing.assert_allclose(got, wanted, atol=1e-8)
    means = (scores.mean_ap, *scores.mean_errors, scores.cds)
    np.testing.assert_allclose(means, OFFICIAL_MEANS, atol=1e-8)


def test_the_case_has_more_detections_than_may_count() -> None:
    truth, found = cases(1)
    near = np.linalg.norm(found.cuboids[:, :3], axis=1) < 150
    counts = [int((near & (found.sweeps == sweep) & (found.labels == 15)).sum()) for sweep in range(4)]
    counted = [int((one.labels == 15).sum()) for one in matches(1)]
    assert max(counts) > MAX_FOUND and counted == [min(count, MAX_FOUND) for count in counts]
    assert 0 < sum(len(one.truth_rows) for one in matches(1)) < len(truth.labels)


def cars(*places: tuple[float, ...], values: tuple[float, ...]) -> Cuboids:
    boxes = np.array([(*place, 4, 2, 1.5, 0) for place in places], np.float64).reshape(-1, 7)
    return Cuboids(boxes, np.zeros(len(boxes), np.int64), np.array(values, np.float64))


def scored(found: Cuboids, truth: Cuboids, classes: int = 1) -> Argoverse2Scores:
    return argoverse2_scores([match_sweep(found, truth)], classes)


def test_the_best_detection_that_looks_at_an_object_takes_it_from_all_others() -> None:
    truth = cars((10, 0, 0), values=(5,))
    scores = scored(cars((13, 0, 0), (10, 0, 0), values=(0.9, 0.8)), truth)
    assert scores.ap[0] == pytest.approx(
        [0, 0, 0, 100.5 / 101]
    )  # the nearer one finds nothing, even where the first is too far
    assert scores.errors[0].tolist() == WORST.tolist()


def test_distances_are_in_space_and_must_stay_below_the_limit() -> None:
    truth = cars((10, 0, 0), values=(5,))
    assert scored(cars((10, 0, 1.5), values=(1.0,)), truth).ap[0] == pytest.approx([0, 0, 1, 1])
    assert scored(cars((11, 0, 0), values=(1.0,)), truth).ap[0] == pytest.approx([0, 0, 1, 1])


def test_far_and_empty_boxes_do_not_count() -> None:
    truth = cars((10, 0, 0), (20, 0, 0), (151, 0, 0), values=(5, 0, 9))
    found = cars((10, 0, 0), (152, 0, 0), values=(0.9, 1.0))
    scores = scored(found, truth)
    assert scores.objects.tolist() == [1] and scores.detections.tolist() == [1] and scores.mean_ap == pytest.approx(1)
    assert scores.cds == pytest.approx(1) and scores.mean_errors.tolist() == [0, 0, 0]


def test_errors_of_what_was_found() -> None:
    truth = cars((10, 0, 0), values=(5,))
    found = truth._replace(boxes=truth.boxes + np.array([0.3, 0.4, 0, 4, 0, 0, -np.pi - 0.25]), values=np.ones(1))
    scores = scored(found, truth)
    np.testing.assert_allclose(scores.errors[0], [0.5, 0.5, np.pi - 0.25], atol=1e-12)
    np.testing.assert_allclose(scores.cds, 0.75 * (0.75 + 0.5 + 0.25 / np.pi) / 3)  # found from 1 m on only


def test_an_empty_sweep_and_an_empty_split() -> None:
    nothing = cars(values=())
    assert scored(nothing, nothing).cds == 0 and argoverse2_scores([], 2).objects.tolist() == [0, 0]
    assert scored(nothing, cars((1, 0, 0), values=(1,)), 3).objects.tolist() == [1, 0, 0]


def test_rings_share_out_what_counts() -> None:
    for one in matches(1):
        rings = [one.within(near, near + 50) for near in (0, 50, 100)]
        assert sum(len(ring.labels) for ring in rings) == len(one.labels)
        assert sum(len(ring.truth_labels) for ring in rings) == len(one.truth_labels)
        assert sum(int(ring.hits(2.0).sum()) for ring in rings) == int(one.hits(2.0).sum())
        for ring in rings:
            hits = ring.hits(2.0)
            assert (ring.truth_labels[ring.truths[hits]] == ring.labels[hits]).all()


def test_the_file_has_the_official_columns(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    _, found = cases(1, sweeps=2)
    found = Rows(*(column[np.argsort(found.sweeps, kind="stable")] for column in found))
    sweeps = [SweepDetections("log", 315966265259836000 + sweep, table(found, sweep)) for sweep in range(2)]
    write_submission(tmp_path / "found.feather", sweeps, CATEGORIES)
    read = read_feather(
        tmp_path / "found.feather",
        dict.fromkeys((*CUBOID, "score"), "float64") | {"log_id": "text", "timestamp_ns": "int64", "category": "text"},
    )
    np.testing.assert_allclose(read["tx_m"], found.cuboids[:, 0])
    both = np.stack([read["qw"], read["qz"]], axis=1)  # a quaternion and its negative are one rotation
    np.testing.assert_allclose((both * found.cuboids[:, [6, 9]]).sum(axis=1) ** 2, 1, atol=1e-9)
    assert set(read["category"].tolist()) <= {CATEGORIES[label] for label in CLASSES}
    assert read["timestamp_ns"].tolist() == (315966265259836000 + found.sweeps).tolist()
    write_submission(tmp_path / "none.feather", [], CATEGORIES)
    assert len(read_feather(tmp_path / "none.feather", {"score": "float64", "category": "text"})["score"]) == 0
