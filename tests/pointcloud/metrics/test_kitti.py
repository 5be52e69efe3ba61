"""KITTI's benchmark: the slow twin's numbers on anything, each official rule alone, and cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, affinity, box

from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects
from pointcloud.metrics.kitti.rules import CLASSES, MIN_OVERLAP, Frame, compare
from pointcloud.metrics.kitti.scores import RECALLS, KittiScores, compare_checked, kitti_scores, ring_scores, thresholds
from pointcloud.metrics.kitti.split import Split
from tests.reference.kitti_metrics import Row, iou_2d, slow_kitti
from vol3d.errors import DataError

CAR, PEDESTRIAN = 0, 1
BBOX, BEV, SPACE = 0, 1, 2
EASY, MODERATE, HARD = 0, 1, 2


def row(x: float = 0, z: float = 20, **changes: Any) -> Row:
    """A car ahead, 100 pixels high; `left` of its box in the image follows from x."""
    left = 600 + 50 * x
    return {
        "type": "Car",
        "truncated": 0.0,
        "occluded": 0,
        "alpha": 0.0,
        "bbox": [left, 100.0, left + 100, 200.0],
        "hwl": [1.5, 1.6, 4.0],
        "location": [x, 1.7, z],
        "rotation_y": 0.0,
        "score": 1.0,
    } | changes


def objects(rows: Sequence[Row]) -> KittiObjects:
    def column(key: str, *shape: int) -> np.ndarray:
        return np.array([r[key] for r in rows], float).reshape(-1, *shape)

    return KittiObjects(
        np.array([r["type"] for r in rows], np.str_),
        column("truncated"),
        column("occluded").astype(np.int64),
        column("alpha"),
        column("bbox", 4),
        column("hwl", 3),
        column("location", 3),
        column("rotation_y"),
        column("score"),
    )


def score(*images: tuple[Sequence[Row], Sequence[Row]]) -> KittiScores:
    """Of (annotated, detected) rows of each image."""
    return kitti_scores([compare(objects(found), objects(truth)) for truth, found in images])


def slow_iou(a: Row, b: Row, space: bool) -> float:
    first, second = (_footprint(r) for r in (a, b))
    common, whole = first.intersection(second).area, first.area + second.area
    if space:
        (h, y), (g, v) = ((r["hwl"][0], r["location"][1]) for r in (a, b))
        common *= max(0.0, min(y, v) - max(y - h, v - g))
        whole = first.area * h + second.area * g
    return common / (whole - common)


def _footprint(r: Row) -> Polygon:
    (_, w, length), (x, _, z) = r["hwl"], r["location"]
    if w <= 0:
        return Polygon()
    return affinity.rotate(
        box(x - length / 2, z - w / 2, x + length / 2, z + w / 2), -r["rotation_y"], use_radians=True
    )


def random_images(seed: int) -> list[tuple[list[Row], list[Row]]]:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(4):
        truth, found = [], []
        for _ in range(rng.integers(0, 5)):
            name = rng.choice(["Car", "Car", "Van", "Pedestrian", "Person_sitting", "Cyclist", "DontCare"])
            truth.append(row(rng.uniform(-4, 4), rng.uniform(8, 12), type=str(name), alpha=rng.uniform(-3, 3)))
            truth[-1] |= {"occluded": int(rng.integers(0, 4)), "truncated": rng.choice([0, 0.2, 0.4])}
            truth[-1]["bbox"][3] = 100 + rng.choice([20, 25, 30, 40, 60])
            truth[-1] |= {"hwl": [-1.0] * 3, "occluded": -1} if name == "DontCare" else {}
        for _ in range(rng.integers(0, 9)):
            near = truth[rng.integers(len(truth))] if truth and rng.random() < 0.9 else row()
            name = near["type"] if near["type"] in CLASSES and rng.random() < 0.9 else str(rng.choice(CLASSES))
            bbox = np.array(near["bbox"]) + rng.normal(0, 3, 4)
            place = np.array(near["location"]) + rng.normal(0, 0.1, 3)
            change = {"bbox": bbox.tolist(), "location": place.tolist(), "rotation_y": rng.normal(0, 0.1)}
            found.append(row(type=name, score=rng.integers(1, 9) / 8, alpha=rng.uniform(-3, 3), **change))
        images.append((truth, found))
    return images


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_equal_to_the_slow_twin(seed: int):
    images = random_images(seed)
    scores = score(*images)
    overlaps = [iou_2d, lambda a, b: slow_iou(a, b, False), lambda a, b: slow_iou(a, b, True)]
    for metric, label, difficulty in np.ndindex(3, 3, 3):
        least = MIN_OVERLAP[CLASSES[label]]
        precision, similar = slow_kitti(images, CLASSES[label], difficulty, least, overlaps[metric], metric == BBOX)
        np.testing.assert_allclose(scores.precision[metric, label, difficulty], precision, atol=1e-12)
        if metric == BBOX:
            np.testing.assert_allclose(scores.orientation[label, difficulty], similar, atol=1e-12)


def test_a_perfect_detector_has_ap_1_as_far_as_its_recall_steps_go():
    cars = [row(x) for x in range(-20, 21, 1)]
    far = [c | {"location": [8 * c["location"][0], 1.7, 20.0]} for c in cars]  # nothing overlaps in space
    apart = [c | {"bbox": [300.0 * i, 100, 300.0 * i + 100, 200]} for i, c in enumerate(far)]
    scores = score((apart, apart))
    np.testing.assert_allclose(scores.ap_r40[:, CAR], 1)
    np.testing.assert_allclose(scores.ap_r11[:, CAR], 1)
    np.testing.assert_allclose(scores.aos_r40[CAR], 1)
    assert np.isnan(scores.ap_r40[:, PEDESTRIAN]).all() and scores.objects[:, EASY].tolist() == [41, 0, 0]


def test_one_object_alone_reaches_the_first_recall_only():
    """One hit is one score, at recall 0: R11 sees it, R40, which leaves 0 out, does not."""
    scores = score(([row()], [row()]))
    assert scores.precision[SPACE, CAR, EASY].tolist() == [1.0] + [0.0] * 40
    assert scores.ap_r40[SPACE, CAR, EASY] == 0 and scores.ap_r11[SPACE, CAR, EASY] == pytest.approx(1 / 11)


def test_four_cars_by_hand():
    """A hit, a false alarm, two hits, one car missed: precision 1, 2/3 and 3/4, of which 3/4 counts twice."""
    truth = [row(x, bbox=[300 * x, 100, 300 * x + 100, 200], location=[9 * x, 1.7, 20]) for x in range(4)]
    wrong = row(bbox=[5000, 100, 5100, 200], location=[99, 1.7, 20], score=0.8)
    found = [truth[0] | {"score": 0.9}, wrong, truth[1] | {"score": 0.7}, truth[2] | {"score": 0.6}]
    for metric in (BBOX, BEV, SPACE):
        np.testing.assert_allclose(score((truth, found)).precision[metric, CAR, HARD, :4], [1, 0.75, 0.75, 0])


def test_thresholds_take_41_of_many_scores_at_equal_steps_of_recall():
    ranked = np.linspace(1, 0, 400)
    chosen = thresholds(ranked, 400)
    assert len(chosen) == len(RECALLS) == 41
    np.testing.assert_allclose(np.diff(chosen)[1:-1], -1 / 40, atol=3 / 400)
    assert thresholds(np.zeros(0), 0) == []


def flags(
    truth: Row, found: Sequence[Row] | None = None, metric: int = BBOX, label: int = CAR
) -> list[tuple[int, float]]:
    """Number of objects and first precision at each difficulty; a far car, always found, makes false alarms visible."""
    beacon = row(bbox=[5000, 100, 5100, 200], location=[99, 1.7, 20], type=CLASSES[label], score=0.01)
    scores = score(([truth, beacon], [*(found or []), beacon]))
    precision = scores.precision[metric, label, :, 0].tolist()
    return [(int(n) - 1, p) for n, p in zip(scores.objects[label], precision, strict=True)]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, [1, 1, 1]),
        ({"occluded": 1}, [0, 1, 1]),
        ({"occluded": 2}, [0, 0, 1]),
        ({"occluded": 3}, [0, 0, 0]),
        ({"truncated": 0.15}, [1, 1, 1]),
        ({"truncated": 0.16}, [0, 1, 1]),
        ({"truncated": 0.3}, [0, 1, 1]),
        ({"truncated": 0.5}, [0, 0, 1]),
        ({"truncated": 0.51}, [0, 0, 0]),
        ({"bbox": [600, 100, 700, 140]}, [0, 1, 1]),
        ({"bbox": [600, 100, 700, 140.01]}, [1, 1, 1]),
        ({"bbox": [600, 100, 700, 125]}, [0, 0, 0]),
        ({"type": "Van"}, [0, 0, 0]),
        ({"type": "Truck"}, [0, 0, 0]),
        ({"type": "car"}, [1, 1, 1]),
    ],
)
def test_which_objects_count_at_which_difficulty(change: dict[str, Any], counts: list[int]):
    assert [n for n, _ in flags(row(**change))] == counts


@pytest.mark.parametrize(
    ("change", "label", "precision"),
    [
        ({"type": "Van"}, CAR, 1),
        ({"type": "Truck"}, CAR, 0.5),
        ({"type": "Person_sitting"}, PEDESTRIAN, 1),
        ({"type": "Cyclist"}, PEDESTRIAN, 0.5),
        ({"occluded": 3}, CAR, 1),
        ({"type": "DontCare"}, CAR, 1),
    ],
)
def test_what_finds_an_ignored_object_is_no_false_alarm(change: dict[str, Any], label: int, precision: float):
    found = [row(type=CLASSES[label], score=0.9)]
    assert [p for _, p in flags(row(**change), found, label=label)] == [precision] * 3


def test_regions_nobody_labelled_excuse_in_the_image_only_and_by_the_share_of_the_detection():
    region = row(type="DontCare", bbox=[500, 0, 1500, 500], hwl=[-1.0] * 3, location=[-1000.0] * 3)
    assert flags(region, [row(score=0.9)])[MODERATE][1] == 1
    assert flags(region, [row(score=0.9)], metric=BEV)[MODERATE][1] == 0.5
    assert flags(region | {"bbox": [600, 100, 665, 200]}, [row(score=0.9)])[MODERATE][1] == 0.5  # 65 % are not 70 %


def test_a_detection_below_the_height_is_no_false_alarm():
    small = row(bbox=[0, 100, 100, 139], score=0.9, location=[50, 1.7, 20])
    assert [p for _, p in flags(row(), [small])] == [1, 0.5, 0.5]


def test_an_object_takes_a_detection_of_full_height_before_one_that_is_too_small():
    truth = row(bbox=[600, 100, 700, 141])
    small, full = row(bbox=[600, 100, 700, 139.9]), row(bbox=[600, 100, 700, 145])
    first = flags(truth, [small, full])[EASY]
    assert first == flags(truth, [full, small])[EASY] == (1, 1)


def test_the_overlap_must_be_above_the_least_in_the_image_or_in_space():
    seven_tenths = row(bbox=[600, 100, 670, 200], hwl=[1.04, 1.6, 4.0])
    scores = score(([row()], [seven_tenths]))
    assert scores.precision[BBOX, CAR, EASY, 0] == 0 and scores.precision[BEV, CAR, EASY, 0] == 1
    assert scores.precision[SPACE, CAR, EASY, 0] == 0


def test_a_second_detection_of_an_object_is_a_false_alarm():
    assert flags(row(), [row(score=0.9), row(score=0.8)])[EASY][1] == pytest.approx(1)  # precision at the best score
    scores = score(([row()], [row(score=0.9), row(score=0.9)]))
    assert scores.precision[SPACE, CAR, EASY, 0] == 0.5


def test_orientation_halves_for_a_quarter_turn_and_vanishes_for_a_half():
    for turn, wanted in ((math.pi / 2, 0.5), (math.pi, 0.0)):
        assert score(([row()], [row(alpha=turn)])).orientation[CAR, EASY, 0] == pytest.approx(wanted)


def test_detections_of_the_image_only_count_in_the_image_only():
    flat = row(hwl=[-1.0] * 3, location=[-1000.0] * 3)
    assert score(([row()], [flat])).precision[:, CAR, EASY, 0].tolist() == [1, 0, 0]


def test_rings_share_out_the_objects_and_false_alarms_by_distance():
    truth = [row(x, z, bbox=[300 * i, 100, 300 * i + 100, 200]) for i, (x, z) in enumerate([(0, 10), (0, 30), (9, 30)])]
    wrong = row(30, 5, score=2.0)
    frames = [compare(objects([*truth, wrong]), objects(truth))]
    near, far, beyond = (ring_scores(frames, ring)[CAR] for ring in ((0, 20), (20, 32), (32, 99)))
    assert [near[1], far[1], beyond[1]] == [1, 2, 0] and math.isnan(beyond[0])
    assert far[0] == pytest.approx(2 / 3 / 40)  # a false alarm beside two hits; the second of two steps of recall
    assert ring_scores([compare(objects(truth), objects(truth))], (20, 32))[CAR][0] == pytest.approx(1 / 40)


def test_frames_are_joined_once_for_all_scores():
    frames = [compare(objects(found), objects(truth)) for truth, found in random_images(5)]
    split = Split.of(frames)
    assert Split.of(split) is split and len(split.pair_truth) == sum(len(f.truth) * len(f.found) for f in frames)
    one, other = kitti_scores(frames), kitti_scores(split)
    assert np.array_equal(one.precision, other.precision) and np.array_equal(one.orientation, other.orientation)
    for frame, first, start in zip(frames, _starts(frames, "truth"), _starts(frames, "found"), strict=True):
        for g, d in np.ndindex(len(frame.truth), len(frame.found)):
            pair = np.flatnonzero((split.pair_truth == first + g) & (split.pair_found == start + d))
            assert np.array_equal(split.overlaps[:, pair], frame.overlaps[:, d, [g]])


def _starts(frames: Sequence[Frame], side: str) -> np.ndarray:
    return np.cumsum([0, *(len(getattr(frame, side)) for frame in frames)])[:-1]


def test_nothing_annotated_nothing_found():
    scores = score(([], []))
    assert np.isnan(scores.ap_r40).all() and not scores.objects.any()
    assert score(([row()], [])).ap_r11[SPACE, CAR, EASY] == 0
    assert np.isnan(score(([], [row()])).ap_r11).all()


def test_real_labels_score_full_marks_against_themselves(data_root: Path):
    folder = data_root / "kitti" / "training" / "label_2"
    frames = []
    for path in sorted(folder.glob("*.txt")):
        truth = read_kitti_objects(path)
        frames.append(compare_checked(path.stem, truth.select(truth.types != "DontCare"), truth))
    scores = kitti_scores(frames)
    assert scores.objects[CAR].tolist() == [1, 3, 3]  # that of frame 1 is 22 pixels high
    for label, difficulty in np.argwhere(scores.objects > 0):
        reached = min(scores.objects[label, difficulty], 41)
        np.testing.assert_allclose(scores.precision[:, label, difficulty, :reached], 1)


def test_no_frame_is_refused():
    with pytest.raises(DataError, match="no frame"):
        kitti_scores([])


@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        ([row()], [row(score=math.nan)], "a detection of frame '7' is not finite"),
        ([row()], [row(location=[math.inf, 0, 0])], "a detection of frame '7' is not finite"),
        ([row(alpha=math.nan)], [], "an annotated object of frame '7' is not finite"),
        ([row(hwl=[1.0, 0.0, 1.0])], [], "no extent"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth: list[Row], found: list[Row], words: str):
    with pytest.raises(DataError, match=words):
        compare_checked("7", objects(found), objects(truth))
