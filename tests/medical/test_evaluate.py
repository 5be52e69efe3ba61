"""Evaluation over cases: the score, what is counted, and one case in memory at a time."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from medical.classes import Classes
from medical.datasets.cases import IGNORED
from medical.evaluate import ScoredCase, evaluate_cases
from medical.metrics import Measures
from medical.postprocess import PostprocessSettings, postprocess
from tests.medical.synthetic import CLASSES, blobs
from tests.vol3d.view.scenes import pixels
from vol3d.errors import DataError, UsageError
from vol3d.scans.volumes.volume import Grid, Segmentation, Volume

NAMES = Classes(CLASSES)


def case(name: str, seed: int, truth: np.ndarray | None = None, prediction: np.ndarray | None = None) -> ScoredCase:
    image, label = blobs((12, 16, 10), seed=seed)
    grid = Grid((12, 16, 10), np.diag([1.0, 1.0, 2.0, 1.0]))
    real, found = (label if given is None else given for given in (truth, prediction))
    return ScoredCase(name, Volume(image, grid), Volume(real[None], grid), Segmentation(found, grid, CLASSES))


def without(label: int, seed: int) -> np.ndarray:
    array = blobs((12, 16, 10), seed=seed)[1]
    array[array == label] = 0
    return array


def test_summary_counts_misses_and_false_alarms() -> None:
    result = evaluate_cases(
        [
            case("perfect", 0),
            case("missed", 1, prediction=without(1, 1)),
            case("alarm", 2, truth=without(2, 2)),
            case("absent", 3, truth=without(1, 3), prediction=without(1, 3)),
        ],
        NAMES,
        {"split": "validation, fold 0"},
    )
    first, second = result.summary["classes"]["anterior"], result.summary["classes"]["posterior"]
    assert (first["counted"], first["missed"], first["false_alarms"]) == (3, 1, 0)
    assert (second["counted"], second["missed"], second["false_alarms"]) == (4, 0, 1)
    assert first["dice"] == pytest.approx(2 / 3) and second["dice"] == pytest.approx(3 / 4)
    assert result.score == result.summary["mean_dice"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert first["hd95_mm"] == pytest.approx(np.linalg.norm([12, 16, 20]) / 3)
    low, high = result.summary["mean_dice_interval"]
    assert 0 <= low <= result.score <= high <= 1
    assert result.summary["missed"] == 1 and result.summary["cases"] == 4
    assert result.summary["split"] == "validation, fold 0" and result.summary["nsd_tolerance_mm"] == 1.0
    assert first["nsd"] == pytest.approx(2 / 3) and result.summary["mean_nsd"] == result.score
    assert len(result.rows) == 8
    assert set(result.rows[0]) == {"case", "class", "dice", "hd95_mm", "nsd", "volume_ml", "truth_ml", "outcome"}
    json.dumps(result.summary)


def test_pictures_of_best_median_and_worst() -> None:
    empty = np.zeros((12, 16, 10), np.uint8)
    cases = [case("good", 0), case("half", 1, prediction=without(1, 1)), case("bad", 2, prediction=empty)]
    pictures = evaluate_cases(cases, NAMES, pictures="dark").pictures
    assert {title.split(",")[0] for title in pictures} == {"best case good", "median case half", "worst case bad"}
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert list(evaluate_cases(cases[:1], NAMES, pictures="dark").pictures) == ["best case good, mean Dice 1.000"]


def test_one_case_at_a_time() -> None:
    alive: list[weakref.ref[Volume]] = []

    def cases() -> Iterator[ScoredCase]:
        for seed in range(3):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            one = case(f"case {seed}", seed)
            alive.append(weakref.ref(one.image))
            yield one

    assert evaluate_cases(cases(), NAMES).score == 1.0


def test_bad_truth_is_named() -> None:
    with pytest.raises(DataError, match="no case to evaluate"):
        evaluate_cases([], NAMES)
    strange = np.full((12, 16, 10), 7, np.uint8)
    with pytest.raises(DataError, match=r"label outside the classes in case 'x'; got 7, wanted 0 to 2"):
        evaluate_cases([case("x", 0, truth=strange)], NAMES)
    good = case("y", 0)
    moved = Volume(good.truth.array, Grid(good.truth.grid.shape, np.diag([1.0, 1.0, 2.5, 1.0])))
    with pytest.raises(DataError, match="case 'y' are on different grids"):
        evaluate_cases([good._replace(truth=moved)], NAMES)


def test_largest_component_is_an_option_and_reported() -> None:
    labels = np.zeros((12, 16, 10), np.uint8)
    labels[1:4, 1:4, 1:4], labels[8, 8, 8], labels[0, 0, 0] = 1, 1, 2
    labels[4, 4, 4] = 1  # touches by a corner
    before = Segmentation(labels, Grid((12, 16, 10), np.eye(4)), CLASSES)
    after = postprocess(before, PostprocessSettings(largest_component=("anterior",)))
    assert (after.labels == 1).sum() == 28 and after.labels[0, 0, 0] == 2 and before.labels[8, 8, 8] == 1
    assert [str(note) for note in after.notes] == ["largest piece of anterior"]
    assert postprocess(before, PostprocessSettings()) is before
    with pytest.raises(UsageError, match="no such class; got"):
        postprocess(before, PostprocessSettings(largest_component=("liver",)))


def test_ignored_voxels_count_nowhere() -> None:
    label = blobs((12, 16, 10), seed=0)[1]
    ignored = np.zeros(label.shape, bool)
    ignored[:6] = True
    wrong = np.where(ignored, 2 - (label > 0), label).astype(np.uint8)  # wrong in every ignored voxel
    half = np.where(ignored, 0, label).astype(np.uint8)
    scored = evaluate_cases([case("a", 0, np.where(ignored, IGNORED, label).astype(np.uint8), wrong)], NAMES)
    clean = evaluate_cases([case("a", 0, half, half)], NAMES)
    assert scored.rows == clean.rows
    assert scored.summary["ignored_voxels"] == ignored.sum() and "ignored_voxels" not in clean.summary


def test_a_truth_of_ignored_voxels_only() -> None:
    nothing = np.full((12, 16, 10), IGNORED, np.uint8)
    result = evaluate_cases([case("a", 0, nothing)], NAMES)
    assert {row["outcome"] for row in result.rows} == {"absent"}


def test_lesions_are_counted_where_they_are_asked_for() -> None:
    two, one = np.zeros((12, 16, 10), np.uint8), np.zeros((12, 16, 10), np.uint8)
    two[1:3, 1:3, 1:3] = two[6:8, 6:8, 6:8] = one[6:8, 6:8, 6:9] = one[10, 14, 1] = 1
    cases = [case("a", 0, two, one), case("healthy", 1, np.zeros_like(two), one)]
    result = evaluate_cases(cases, NAMES, measures=Measures(lesion_iou=0.5))
    found = result.summary["classes"]["anterior"]
    assert (found["lesions"], found["lesions_found"], found["lesion_sensitivity"]) == (2, 1, 0.5)
    assert found["false_positives_per_case"] == (1 + 2) / 2
    assert np.isnan(result.summary["classes"]["posterior"]["lesion_sensitivity"])
    assert "at least 0.5" in result.summary["lesion_rule"]
    assert result.rows[0]["lesions"] == 2 and result.rows[0]["false_positives"] == 1


def test_pictures_have_the_background_that_was_asked_for():
    dark, light = (
        pixels(next(iter(evaluate_cases([case("a", 0)], NAMES, pictures=shade).pictures.values())))
        for shade in ("dark", "light")
    )
    assert dark[:10].mean() < 60 and light[:10].mean() > 220
