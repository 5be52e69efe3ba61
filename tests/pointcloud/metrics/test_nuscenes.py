"""The nuScenes benchmark: the original's numbers, the slow twin's on anything, and each rule alone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from pointcloud.metrics.nuscenes.boxes import ATTRIBUTES, CLASSES, NuscenesDetections, NuscenesTruth
from pointcloud.metrics.nuscenes.matching import DISTANCES_M
from pointcloud.metrics.nuscenes.scores import ERRORS, NuscenesScores, nuscenes_scores
from pointcloud.metrics.nuscenes.submission import read_submission
from tests.pointcloud.metrics.official_nuscenes import read_truth
from tests.reference.nuscenes_metrics import slow_nuscenes
from vol3d.errors import DataError

CAR, PEDESTRIAN, BICYCLE, BARRIER = (CLASSES.index(name) for name in ("car", "pedestrian", "bicycle", "barrier"))
PARKED, MOVING = ATTRIBUTES.index("vehicle.parked"), ATTRIBUTES.index("vehicle.moving")


def box(x: float, y: float = 0, yaw: float = 0, size: tuple[float, ...] = (4, 2, 1.5), v: tuple[float, ...] = (0, 0)):
    return (x, y, 0, *size, yaw, *v)


def truth(*boxes: tuple[float, ...], label: int = CAR, attribute: int = PARKED, points: int = 9, racks=()):
    n = len(boxes)
    return NuscenesTruth(
        np.array(boxes, float).reshape(-1, 9),
        np.full(n, label),
        np.full(n, attribute),
        np.full(n, points),
        np.zeros(3),
        np.array(racks, float).reshape(-1, 7),
    )


def found(*boxes: tuple[float, ...], label: int = CAR, attribute: int = PARKED, scores: list[float] | None = None):
    n = len(boxes)
    values = np.linspace(0.9, 0.5, n) if scores is None else np.array(scores)
    return NuscenesDetections(np.array(boxes, float).reshape(-1, 9), values, np.full(n, label), np.full(n, attribute))


def score(detections: NuscenesDetections, annotation: NuscenesTruth) -> NuscenesScores:
    return nuscenes_scores({"s": detections}, {"s": annotation})


@pytest.mark.parametrize("case", ["a", "b"])
def test_equal_to_the_original(oracle_root: Path, case: str):
    folder = oracle_root / "lidar"
    annotation = read_truth(folder / f"nuscenes_eval_{case}_gt.json")
    detections = read_submission(folder / f"nuscenes_eval_{case}_results.json", annotation.keys()).results
    wanted = json.loads((folder / f"nuscenes_eval_{case}_metrics.json").read_text())
    scores = nuscenes_scores(detections, annotation)
    assert scores.nds == pytest.approx(wanted["nd_score"], abs=1e-9)
    assert scores.mean_ap == pytest.approx(wanted["mean_ap"], abs=1e-9)
    np.testing.assert_allclose(scores.mean_errors, [wanted["tp_errors"][e] for e in ERRORS], atol=1e-9)
    aps = [[wanted["label_aps"][name][str(d)] for d in DISTANCES_M] for name in CLASSES]
    np.testing.assert_allclose(scores.ap, aps, atol=1e-9)
    errors = np.array([[wanted["label_tp_errors"][name][e] for e in ERRORS] for name in CLASSES], float)
    np.testing.assert_allclose(scores.errors, errors, atol=1e-9)  # null is NaN, and so it must be here
    for boxes, kind in ((scores.found, "pred"), (scores.truth, "gt")):
        counts = list(wanted[f"kept_{kind}_per_sample"].values())
        np.testing.assert_array_equal(np.bincount(boxes.samples, minlength=len(counts)), counts)


@pytest.mark.parametrize("case", ["a", "b"])
def test_curves_equal_to_the_original(oracle_root: Path, case: str):
    folder = oracle_root / "lidar"
    annotation = read_truth(folder / f"nuscenes_eval_{case}_gt.json")
    scores = nuscenes_scores(read_submission(folder / f"nuscenes_eval_{case}_results.json").results, annotation)
    curves = load_file(folder / f"nuscenes_eval_{case}_curves.safetensors")
    assert len(curves) == 90
    for key, wanted in curves.items():
        name, rest = key.split(".", 1)
        distance, what = rest.rsplit(".", 1)
        label, column = CLASSES.index(name), DISTANCES_M.index(float(distance))
        by_distance = {"precision": scores.precision, "confidence": scores.confidence}
        got = (
            by_distance[what][label, column] if what in by_distance else scores.error_curves[label, ERRORS.index(what)]
        )
        np.testing.assert_allclose(got, wanted, atol=1e-9, err_msg=key)


def random_case(seed: int) -> tuple[dict[str, NuscenesDetections], dict[str, NuscenesTruth]]:
    """Three samples of cars and barriers within reach, with equal scores, unknown velocities and attributes."""
    rng = np.random.default_rng(seed)
    detections, annotation = {}, {}
    for token in "abc":
        objects, n = rng.integers(0, 6), rng.integers(0, 12)
        boxes = np.column_stack(
            [rng.uniform(-6, 6, (objects, 3)), rng.uniform(0.5, 4, (objects, 3)), rng.uniform(-4, 4, (objects, 3))]
        )
        boxes[rng.random(objects) < 0.2, 7:] = np.nan
        labels = rng.choice([CAR, BARRIER], objects)
        near = np.nan_to_num(boxes[rng.integers(0, objects, n)] if objects else np.ones((n, 9)))
        near = near + rng.normal(0, 0.7, near.shape) * np.array([1, 1, 1, 0.1, 0.1, 0.1, 1, 1, 1])
        near[:, 3:6] = np.abs(near[:, 3:6]) + 0.1
        scores, attributes = rng.integers(1, 6, n) / 8, rng.integers(-1, 8, (2, max(objects, n)))
        detections[token] = NuscenesDetections(near, scores, rng.choice([CAR, BARRIER], n), attributes[0, :n])
        points, nowhere = np.ones(objects, np.int64), np.zeros((0, 7))
        annotation[token] = NuscenesTruth(boxes, labels, attributes[1, :objects], points, np.zeros(3), nowhere)
    return detections, annotation


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_equal_to_the_slow_twin(seed: int):
    detections, annotation = random_case(seed)
    scores = nuscenes_scores(detections, annotation)
    for label, period in ((CAR, 2 * math.pi), (BARRIER, math.pi)):
        tables = [
            [
                (number, float(s), b.tolist(), int(a))
                for number, sample in enumerate(samples)
                for b, s, a, kind in zip(sample.boxes, values(sample), sample.attributes, sample.labels, strict=True)
                if kind == label
            ]
            for samples, values in (
                (detections.values(), lambda sample: sample.scores),
                (annotation.values(), lambda sample: np.ones(len(sample))),
            )
        ]
        for column, distance in enumerate(DISTANCES_M):
            ap, errors = slow_nuscenes(*tables, distance, period)
            assert scores.ap[label, column] == pytest.approx(ap, abs=1e-12)
            if distance == 2:
                defined = ~np.isnan(scores.errors[label])
                assert defined.sum() == (5 if label == CAR else 3)
                np.testing.assert_allclose(scores.errors[label, defined], np.array(errors)[defined], atol=1e-12)


def test_a_perfect_detector_has_no_error_and_the_ap_of_its_classes():
    scores = score(found(box(3), box(9), scores=[0.9, 0.8]), truth(box(3), box(9)))
    np.testing.assert_allclose(scores.ap[CAR], 1)
    np.testing.assert_allclose(scores.errors[CAR], 0, atol=1e-12)
    assert scores.mean_ap == pytest.approx(0.1)  # nine classes are annotated nowhere
    assert scores.nds == pytest.approx((5 * 0.1 + 0.1 + 0.1 + 1 / 9 + 1 / 8 + 1 / 8) / 10)


def test_a_distance_equal_to_the_limit_is_no_hit():
    scores = score(found(box(3 + 0.5)), truth(box(3)))
    np.testing.assert_allclose(scores.ap[CAR], [0, 1, 1, 1])


def test_a_taken_box_leaves_the_next_nearest_to_the_next_detection():
    scores = score(found(box(0.1), box(0.2)), truth(box(0), box(1.5)))
    assert scores.matches[:, 2].tolist() == [0, 1] and scores.matches[:, 1].tolist() == [0, -1]


def test_of_equal_scores_the_later_detection_comes_first():
    right_last = score(found(box(9), box(0), scores=[0.5, 0.5]), truth(box(0)))
    right_first = score(found(box(0), box(9), scores=[0.5, 0.5]), truth(box(0)))
    assert (right_last.matches[:, 0] >= 0).tolist() == [True, False]
    assert (right_first.matches[:, 0] >= 0).tolist() == [False, True]


@pytest.mark.parametrize(("label", "reach"), [(CAR, 50), (PEDESTRIAN, 40), (BARRIER, 30)])
def test_boxes_count_up_to_the_range_of_their_class_seen_from_above(label: int, reach: float):
    inside, outside = math.nextafter(reach, 0), reach
    scores = score(found(box(inside), box(outside), label=label), truth(box(inside), box(outside), label=label))
    assert len(scores.found.scores) == len(scores.truth.scores) == 1


def test_the_range_is_reckoned_from_the_car():
    far = truth(box(1000))
    moved = NuscenesTruth(
        far.boxes, far.labels, far.attributes, far.points, np.array([980.0, 0, 500]), far.bicycle_racks
    )
    assert len(score(found(box(1000)), moved).truth.scores) == 1
    assert len(score(found(box(1000)), far).truth.scores) == 0


def test_annotated_boxes_without_points_do_not_count():
    scores = score(found(box(3)), truth(box(3), points=0))
    assert len(scores.truth.scores) == 0 and scores.ap[CAR].sum() == 0


def test_bicycles_in_a_rack_do_not_count_but_others_there_do():
    rack = (3, 0, 0, 6, 2, 2, math.pi / 2)  # its length along y
    standing = (box(3, 2.5), box(5.5, 0))
    bicycles = score(found(*standing, label=BICYCLE), truth(*standing, label=BICYCLE, racks=[rack]))
    assert len(bicycles.found.scores) == len(bicycles.truth.scores) == 1
    assert len(score(found(*standing), truth(*standing, racks=[rack])).found.scores) == 2


def test_a_barrier_may_point_either_way_and_a_car_may_not():
    turned = [score(found(box(3, yaw=math.pi), label=k), truth(box(3), label=k)).errors[k, 2] for k in (CAR, BARRIER)]
    np.testing.assert_allclose(turned, [math.pi, 0], atol=1e-12)


def test_errors_of_one_detection():
    annotated = truth(box(3, 1, 0.2, (4, 2, 2), (1, 0)), attribute=PARKED)
    detected = found(box(3.6, 1.8, -0.1, (2, 2, 2), (1, 2)), attribute=MOVING)
    np.testing.assert_allclose(score(detected, annotated).errors[CAR], [1, 0.5, 0.3, 2, 1])


def test_unknown_velocities_and_attributes_leave_the_error_at_one():
    annotated = truth(box(3, v=(math.nan, math.nan)), attribute=-1)
    np.testing.assert_allclose(score(found(box(3)), annotated).errors[CAR], [0, 0, 0, 1, 1])


def test_neither_cones_nor_barriers_have_every_error():
    errors = score(found(), truth()).errors
    undefined = {
        name: np.isnan(errors[label]).sum() for label, name in enumerate(CLASSES) if np.isnan(errors[label]).any()
    }
    assert undefined == {"traffic_cone": 3, "barrier": 2}


def test_nothing_annotated_and_nothing_found_score_zero():
    scores = score(found(), truth())
    assert (scores.nds, scores.mean_ap) == (0, 0)
    assert score(found(box(3)), truth()).nds == 0 and score(found(), truth(box(3))).nds == 0


@pytest.mark.parametrize(
    ("detections", "annotation", "words"),
    [
        ({}, {}, "no sample"),
        ({}, {"a": truth()}, "1 samples without detections; got a"),
        ({"a": found(), "b": found()}, {"a": truth()}, "not annotated"),
        ({"a": found(*[box(1)] * 501)}, {"a": truth()}, "too many boxes in sample 'a'; got 501"),
        ({"a": found(box(math.nan))}, {"a": truth()}, "not finite"),
        ({"a": found(box(1), scores=[math.nan])}, {"a": truth()}, "not finite"),
        ({"a": found()}, {"a": truth(box(1, size=(0, 1, 1)))}, "is invalid"),
    ],
)
def test_what_cannot_be_scored_is_refused(detections, annotation, words: str):
    with pytest.raises(DataError, match=words):
        nuscenes_scores(detections, annotation)


@pytest.mark.parametrize(
    "change", [{"boxes": np.zeros((1, 7))}, {"labels": np.array([10])}, {"attributes": np.array([8])}]
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, np.ndarray]):
    parts = {"boxes": np.ones((1, 9)), "scores": np.ones(1), "labels": np.zeros(1, int), "attributes": np.zeros(1, int)}
    with pytest.raises(ValueError):
        NuscenesDetections(**parts | change)
