"""Average precision: the original's to the last digit, the slow twin's on anything, and sane where there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointcloud.inference.postprocess import DetectionPostprocessSettings, postprocess
from pointcloud.metrics.average_precision import RECALLS, AveragePrecision, average_precision
from pointcloud.metrics.matches import match_scene
from tests.pointcloud.metrics.official_ap import VARIANTS, read_official
from tests.reference.average_precision import slow_average_precision
from vol3d.errors import DataError, UsageError
from vol3d.scans.results.detections import Detections

NAMES = ("chair", "table", "sofa")
Pair = tuple[Detections, Detections]


def detections(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Detections:
    return Detections(boxes.astype(np.float32), scores.astype(np.float32), labels.astype(np.int64), NAMES)


def none() -> Detections:
    return detections(np.zeros((0, 7)), np.zeros(0), np.zeros(0))


def at(*places: float, labels: int | list[int] = 0, scores: list[float] | None = None) -> Detections:
    """Unit cubes along x."""
    boxes = np.array([(x, 0, 0, 1, 1, 1, 0) for x in places], dtype=float)
    wanted = np.full(len(places), labels) if isinstance(labels, int) else np.array(labels)
    return detections(boxes, np.ones(len(places)) if scores is None else np.array(scores), wanted)


def random_scenes(rng: np.random.Generator, scenes: int, ties: bool = False) -> list[Pair]:
    pairs = []
    for _ in range(scenes):
        objects, found = rng.integers(0, 5), rng.integers(0, 12)
        truth = np.column_stack([rng.uniform(-1, 1, (objects, 3)), rng.uniform(0.5, 2, (objects, 4))])
        noise = rng.normal(0, 0.15, (found, 7))
        near = truth[rng.integers(0, objects, found)] + noise if objects else 1 + np.abs(noise)
        near[:, 3:6] = np.abs(near[:, 3:6]) + 0.1
        scores = rng.integers(0, 4, found) / 4 if ties else rng.random(found)
        pairs.append(
            (
                detections(near, scores, rng.integers(0, 3, found)),
                detections(truth, np.ones(objects), rng.integers(0, 2, objects)),  # never a sofa
            )
        )
    return pairs


def score(pairs: list[Pair], *thresholds: float, **options) -> list[AveragePrecision]:
    return average_precision([match_scene(*pair) for pair in pairs], len(NAMES), thresholds, **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_equal_to_the_original(oracle_root: Path, variant: str):
    folders = sorted((oracle_root / "3detr").glob("D_ap_*"))
    assert folders
    for folder in folders:
        scenes, expected, names = read_official(folder)
        rule = DetectionPostprocessSettings(min_points=5 if VARIANTS[variant] else 0)
        chosen = scenes[:2] if "first_2" in variant else scenes
        matches = [match_scene(postprocess(scene.proposals, names, rule), scene.truth) for scene in chosen]
        for result in average_precision(matches, len(names)):
            wanted = expected[variant][str(result.iou)]
            for value, name in ((result.ap, "Average Precision"), (result.recall, "Recall")):
                np.testing.assert_allclose(
                    value, [wanted[f"{c} {name}"] for c in names], atol=1e-6, err_msg=str(folder)
                )
            assert result.mean_ap == pytest.approx(wanted["mAP"], abs=1e-6)
            assert result.mean_recall == pytest.approx(wanted["AR"], abs=1e-6)


@example(seed=210835, ties=True)
@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=30)
def test_equal_to_the_slow_twin(seed: int, ties: bool):
    pairs = random_scenes(np.random.default_rng(seed), 4, ties)
    # Not 0: of boxes that only touch one method may find 1e-17 in common and the other nothing.
    for result in score(pairs, 1e-6, 0.25, 0.5, without_truth="skip"):
        slow = np.array([slow_average_precision(pairs, label, result.iou) for label in range(3)])
        np.testing.assert_allclose(result.ap, slow[:, 0], atol=1e-12)
        np.testing.assert_allclose(result.recall, slow[:, 1], atol=1e-12)


def test_a_second_detection_of_a_box_is_a_false_alarm_even_if_another_box_is_near():
    # Both detections overlap the first cube most; the second cube stays without one.
    (result,) = score([(at(0, 0.1, scores=[0.9, 0.8]), at(0, 0.6))], 0.25)
    assert result.recall[0] == 0.5 and result.ap[0] == 0.5


def test_an_overlap_equal_to_the_threshold_is_no_hit():
    half = detections(np.array([(0, 0, 0, 1, 1, 0.5, 0)]), np.ones(1), np.zeros(1))
    below, equal = score([(half, at(0))], 0.499, 0.5)
    assert (below.ap[0], equal.ap[0]) == (1, 0)


def test_scenes_do_not_share_boxes():
    (result,) = score([(at(0), none()), (none(), at(0))], 0.25)
    assert result.ap[0] == 0 and result.recall[0] == 0


def test_velocities_do_not_matter():
    moving = np.column_stack([at(0, 5).boxes, np.ones((2, 2))])
    (result,) = score([(at(0, 5), detections(moving, np.ones(2), np.zeros(2)))], 0.5)
    assert result.ap[0] == 1


def test_equal_scores_are_taken_in_order():
    wrong_first, right_first = at(9, 0, scores=[0.5, 0.5]), at(0, 9, scores=[0.5, 0.5])
    assert score([(wrong_first, at(0))], 0.25)[0].ap[0] == 0.5
    assert score([(right_first, at(0))], 0.25)[0].ap[0] == 1
    assert score([(at(9), at(9)), (at(3), at(0))], 0.25)[0].ap[0] == 0.5  # hit in the first scene, then a miss
    assert score([(at(3), at(0)), (at(9), at(9))], 0.25)[0].ap[0] == 0.25  # a false alarm in the first scene


def test_classes_without_annotation_count_as_zero_or_not_at_all():
    pairs = [(at(0, 5, labels=[0, 2]), at(0, 7, labels=[0, 1]))]
    zero, skip = (score(pairs, 0.25, without_truth=rule)[0] for rule in ("zero", "skip"))
    assert zero.ap.tolist() == [1, 0, 0] and zero.mean_ap == pytest.approx(1 / 3)
    assert zero.mean_recall == pytest.approx(1 / 3)
    assert skip.mean_ap == 0.5 and np.isnan(skip.ap[2]) and skip.counted.tolist() == [True, True, False]


def test_nothing_found_and_nothing_there():
    found_nothing, nothing_there, neither = (
        score(pairs, 0.25, draws=20)[0] for pairs in ([(none(), at(0))], [(at(0), none())], [(none(), none())])
    )
    assert found_nothing.ap[0] == 0 and found_nothing.mean_ap == 0 and found_nothing.mean_recall == 0
    assert nothing_there.mean_ap == 0 and np.isnan(nothing_there.curves).all()
    assert np.isnan(neither.mean_ap) and np.isnan(neither.interval).all() and not neither.counted.any()


def test_one_class_only():
    (result,) = average_precision([match_scene(at(0, 3), at(0))], 1, [0.5])
    assert result.ap.tolist() == [1.0] and result.mean_ap == 1


def test_curves_hold_the_precision_at_each_recall():
    (result,) = score([(at(0, 9, 1.5, scores=[0.9, 0.8, 0.7]), at(0, 1.5, 3))], 0.25)
    curve = result.curves[0]
    assert curve[RECALLS <= 1 / 3] == pytest.approx(1) and np.isnan(curve[RECALLS > 2 / 3]).all()
    assert curve[(RECALLS > 0.34) & (RECALLS < 2 / 3)] == pytest.approx(2 / 3)
    assert result.ap[0] == pytest.approx((1 + 2 / 3) / 3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_weighting_scenes_is_repeating_them(seed: int):
    from pointcloud.metrics import average_precision as module

    rng = np.random.default_rng(seed)
    matches = [match_scene(*pair) for pair in random_scenes(rng, 5)]
    times = rng.integers(0, 4, 5)
    repeated = [match for match, n in zip(matches, times, strict=True) for _ in range(n)]
    if not repeated:
        return
    weights = np.column_stack([np.ones(5), times])
    every = module._join(matches)
    for label, wanted in enumerate(average_precision(repeated, 2, [0.25], "skip")[0].ap):
        part = slice(*every.starts[label : label + 2]) if label + 1 < len(every.starts) else slice(0, 0)
        hit = module.hits(every.ious[part], every.truths[part], 0.25)
        ap, _ = module._class_ap(every.scenes[part], hit, every.truth_scenes[every.truth_labels == label], weights)
        np.testing.assert_allclose(ap[1], wanted, atol=1e-12)


def test_the_interval_is_repeatable_and_holds_the_score():
    pairs = random_scenes(np.random.default_rng(5), 60)
    (first,), (second,) = (score(pairs, 0.25, draws=300) for _ in range(2))
    assert first.interval == second.interval
    assert first.interval[0] < first.mean_ap < first.interval[1]
    assert np.isnan(score(pairs, 0.25)[0].interval).all()


def test_bad_input_is_named():
    match = match_scene(at(0), at(0))
    with pytest.raises(DataError, match="no scene to evaluate"):
        average_precision([], 1)
    with pytest.raises(UsageError, match="not IoU thresholds"):
        average_precision([match], 1, [1.5])
    with pytest.raises(UsageError, match="without_truth"):
        average_precision([match], 1, without_truth="maybe")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="scene 1: a score is NaN"):
        average_precision([match, match._replace(scores=np.float32([np.nan]))], 1)
