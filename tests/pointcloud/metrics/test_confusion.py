"""Confusion and score thresholds against slow twins, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pointcloud.metrics.confusion import MISSED, NOTHING, confusion, confusion_rows, rivals, rivals_by_overlap
from pointcloud.metrics.counts import best_threshold, count_scene
from pointcloud.metrics.matches import SceneMatches, match_scene
from pointcloud.metrics.thresholds import ALL, SCORES, ranked, score_helpers
from vol3d.geometry import iou_3d_paired
from vol3d.scans.results.detections import Detections

NAMES = ("chair", "table")
NONE = np.zeros((0, 2), np.int64)


def boxes(*rows: tuple[float, int, float]) -> Detections:
    """Cubes of one metre at (x, 0, 0): x, label, score."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    cubes = np.zeros((len(table), 7), np.float32)
    cubes[:, 0], cubes[:, 3:6] = table[:, 0], 1
    return Detections(cubes, table[:, 2].astype(np.float32), table[:, 1].astype(np.int64), NAMES)


def table_of(found: Detections, truth: Detections, threshold: float = 0.5) -> dict[str, dict[str, int]]:
    near = {"a": rivals_by_overlap(found, truth, 0.25)}
    return confusion_rows(confusion({"a": match_scene(found, truth)}, near, 2, 0.25, threshold), NAMES)


def test_by_hand():
    truth = boxes((0, 0, 1), (3, 0, 1), (6, 1, 1), (9, 1, 1))
    found = boxes((0, 0, 0.9), (3.1, 1, 0.8), (6, 1, 0.7), (6.1, 1, 0.6), (20, 0, 0.9), (9, 1, 0.4))
    assert table_of(found, truth) == {
        "chair": {"chair": 1, "table": 1, MISSED: 0},
        "table": {"chair": 0, "table": 1, MISSED: 1},
        NOTHING: {"chair": 1, "table": 1, MISSED: 0},
    }


def test_a_hit_of_its_own_class_comes_before_a_better_scored_one_of_another():
    truth, found = boxes((0, 0, 1)), boxes((0, 1, 0.9), (0.1, 0, 0.6))
    assert table_of(found, truth)["chair"] == {"chair": 1, "table": 0, MISSED: 0}
    assert table_of(found, truth)[NOTHING] == {"chair": 0, "table": 1, MISSED: 0}


@pytest.mark.parametrize(("found", "truth"), [((), ()), (((0, 0, 1),), ()), ((), ((0, 0, 1),))])
def test_nothing_and_one(found, truth):
    table = table_of(boxes(*found), boxes(*truth))
    assert table[NOTHING]["chair"] == len(found) and table["chair"][MISSED] == len(truth)
    assert sum(sum(row.values()) for row in table.values()) == len(found) + len(truth)


def scenes(seed: int) -> list[tuple[Detections, Detections]]:
    rng = np.random.default_rng(seed)

    def some(count: int) -> Detections:
        return boxes(*((x, label, score) for x, label, score in zip(
            rng.uniform(0, 8, count), rng.integers(0, 2, count), rng.uniform(0, 1, count).round(1), strict=True
        )))  # fmt: skip

    return [(some(int(rng.integers(0, 12))), some(int(rng.integers(0, 8)))) for _ in range(4)]


@pytest.mark.parametrize("seed", range(5))
def test_rows_and_columns_add_up_and_the_diagonal_has_the_hits(seed: int):
    pairs = {str(number): pair for number, pair in enumerate(scenes(seed))}
    matches = {name: match_scene(*pair) for name, pair in pairs.items()}
    near = {name: rivals_by_overlap(*pair, 0.25) for name, pair in pairs.items()}
    table = confusion(matches, near, 2, 0.25, 0.4)
    for label in range(2):
        rows = [count_scene(match, 0.25, 0.4).get(label) for match in matches.values()]
        assert table[label, label] == sum(row.hits for row in rows if row)
        assert table[label].sum() == sum((truth.labels == label).sum() for _, truth in pairs.values())
        counted = sum(((found.labels == label) & (found.scores >= 0.4)).sum() for found, _ in pairs.values())
        assert table[:, label].sum() == counted
    assert table[-1, -1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_rivals_are_all_pairs_of_other_classes_that_overlap_enough(seed: int):
    import torch

    for found, truth in scenes(seed):
        expected = []
        for d in range(len(found)):
            one = [
                (-float(iou_3d_paired(torch.from_numpy(found.boxes[d]), torch.from_numpy(truth.boxes[g]))), g)
                for g in range(len(truth))
                if truth.labels[g] != found.labels[d]
            ]
            expected += [[d, g] for closeness, g in sorted(one) if -closeness > 0.25]
        assert rivals_by_overlap(found, truth, 0.25).tolist() == expected


def test_rivals_by_distance():
    apart = np.array([[0.5, 1.0], [3.0, 0.1]])
    assert rivals(-apart, np.array([0, 0]), np.array([1, 1]), -2.0).tolist() == [[0, 0], [0, 1], [1, 1]]
    assert rivals(-apart, np.array([0, 0]), np.array([0, 1]), -2.0).tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_recall_by_score_are_those_of_a_loop(seed: int):
    matches = [match_scene(*pair) for pair in scenes(seed)]
    each = ranked(matches, 2, 0.25)
    for label, one in enumerate(each[:2]):
        f1_of = {}
        for score in (*SCORES, *one.scores):
            rows = [count_scene(match, 0.25, score).get(label) for match in matches]
            hit, objects = sum(r.hits for r in rows if r), sum(r.ground_truths for r in rows if r)
            found = sum(r.hits + r.false_alarms for r in rows if r)
            expected = (hit / found if found else math.nan, hit / objects, 2 * hit / (found + objects))
            assert one.at(score) == pytest.approx(expected, nan_ok=True)
            f1_of[float(score)] = expected[2]
        assert one.at(one.best())[2] == pytest.approx(max(f1_of.values()))
    assert best_threshold(matches, 0.25) == (each[-1].best(), each[-1].at(each[-1].best())[2])


def test_a_class_that_is_neither_annotated_nor_found():
    empty = SceneMatches(*(np.zeros(0, kind) for kind in (np.int64, np.float32, np.float32, np.int64, np.int64)))
    helpers = score_helpers({"a": empty}, {"a": NONE}, NAMES, 0.25, 0.5)
    assert set(helpers["score_thresholds"]) == {*NAMES, ALL}
    assert math.isnan(helpers["score_thresholds"]["chair"]["from_score"])
    assert all(math.isnan(value) for value in helpers["by_score"]["recall"][ALL])
    assert helpers["confusion"]["chair"] == {"chair": 0, "table": 0, MISSED: 0}
