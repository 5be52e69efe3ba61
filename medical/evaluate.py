"""Segmentations against their truth, case by case: one table, its means with their uncertainty, and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from medical.datasets.cases import IGNORED
from medical.lesions import LesionCounts
from medical.metrics import ClassScore, Measures, score_case
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.report.examples import choose_examples
from vol3d.scans.volumes.grid import orientation
from vol3d.scans.volumes.volume import Segmentation, Volume
from vol3d.statistics import bootstrap_interval, mean_of_means

if TYPE_CHECKING:
    from vol3d.view.theme import Background

CONVENTIONS = (
    "a class absent from truth and prediction is not counted; one missed or found where there is none counts with"
    " Dice 0, NSD 0 and HD95 = the image's diagonal"
)
MEASURED = (
    Metric("mean_dice", "mean Dice", None, "higher", "mean_dice_interval"),
    Metric("mean_hd95_mm", "mean HD95", "mm", "lower", "mean_hd95_mm_interval"),
    Metric("mean_nsd", "mean NSD", None, "higher", "mean_nsd_interval"),
    Metric("nsd_tolerance_mm", "tolerance of NSD", "mm"),
    Metric("dice", "Dice", None, "higher", "dice_interval", by_case=True),
    Metric("dice_std", "Dice deviation"),
    Metric("hd95_mm", "HD95", "mm", "lower", "hd95_mm_interval", by_case=True),
    Metric("hd95_mm_std", "HD95 deviation"),
    Metric("nsd", "NSD", None, "higher", "nsd_interval", by_case=True),
    Metric("nsd_std", "NSD deviation"),
    Metric("volume_ml", "volume", "ml"),
    Metric("truth_ml", "true volume", "ml"),
    Metric("lesion_sensitivity", "lesions detected, share", None, "higher"),
    Metric("false_positives_per_case", "false positives per case", None, "lower"),
)


class ScoredClasses(Protocol):
    """What is scored: `Classes`, or `MatchedClasses` of a model on another data set."""

    @property
    def names(self) -> tuple[str, ...]:
        """`names[label]` of truth and prediction, background first."""

    @property
    def scored(self) -> Mapping[str, Sequence[int]]:
        """What a score is reported for -> labels that belong to it."""

    @property
    def counted(self) -> tuple[str, ...]:
        """Those of `scored` that the means are over."""


class ScoredCase(NamedTuple):
    """A case ready to be scored; all three on the image's grid. Voxels of the truth may be `IGNORED`."""

    name: str
    image: Volume
    truth: Volume
    prediction: Segmentation


def evaluate_cases(
    cases: Iterable[ScoredCase],
    classes: ScoredClasses,
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    measures: Measures = Measures(),  # noqa: B008 (frozen)
) -> Evaluation:
    """Scores cases as they come; only one is held at a time.

    The score is the mean over the counted classes (regions, where the classes have them) of the mean over cases of
    Dice. `conditions` (split, post-processing ...) are copied into the summary. With `pictures` the best, the median
    and the worst case are shown.

    Raises:
        DataError: a truth on another grid than its image or with labels outside the class list, or no case at all.
    """
    table: dict[str, dict[str, ClassScore]] = {}
    drawn: dict[str, bytes] = {}
    left_out = 0
    for given in cases:
        check_truth(given, classes)
        case, ignored = _without_ignored(given)
        left_out += ignored
        scores = score_case(case.prediction.labels, case.truth.array[0], case.image.grid, classes.scored, measures)
        table[case.name] = scores
        if pictures:
            drawn[case.name] = _picture(case, classes, _mean_dice(scores, classes.counted), pictures)
    if not table:
        raise DataError("there is no case to evaluate", do="Check that the split has labelled validation cases.")
    summary = _summary(table, tuple(classes.scored), classes.counted) | {"nsd_tolerance_mm": measures.tolerance_mm}
    summary |= {"conventions": CONVENTIONS, **_lesion_rule(measures), **(conditions or {})}
    if left_out:
        summary["ignored_voxels"] = left_out
    rows = [
        {"case": name, "class": scored, **score.row()}
        for name, scores in table.items()
        for scored, score in scores.items()
    ]
    return Evaluation(
        summary["mean_dice"], "mean_dice", summary, rows, _chosen(table, drawn, classes.counted), MEASURED
    )


def _without_ignored(case: ScoredCase) -> tuple[ScoredCase, int]:
    """Truth and prediction with background where the truth is `IGNORED`, and how many voxels that are."""
    ignored = case.truth.array[0] == IGNORED
    count = int(np.count_nonzero(ignored))
    if not count:
        return case, 0
    truth = case.truth.with_array(np.where(ignored, 0, case.truth.array))
    found = replace(case.prediction, labels=np.where(ignored, 0, case.prediction.labels))
    return case._replace(truth=truth, prediction=found), count


def check_truth(case: ScoredCase, classes: ScoredClasses) -> None:
    """Refuses a truth that does not fit its image or its classes."""
    if not case.truth.grid.same_place(case.image.grid, tolerance_mm=0.1):
        raise DataError(
            f"truth and image of case '{case.name}' are on different grids",
            where=case.truth.source,
            got=f"{case.truth.grid.shape} with affine {case.truth.affine.round(3).tolist()}",
            wanted=f"{case.image.grid.shape} with affine {case.image.affine.round(3).tolist()}",
            do="Resample the label to its image; `vol3d data check` lists all such cases.",
        )
    known = case.truth.array[case.truth.array != IGNORED]
    low, high = (int(known.min()), int(known.max())) if known.size else (0, 0)
    if low < 0 or high >= len(classes.names):
        raise DataError(
            f"label outside the classes in case '{case.name}'",
            where=case.truth.source,
            got=low if low < 0 else high,
            wanted=f"0 to {len(classes.names) - 1}",
        )


def _lesion_rule(measures: Measures) -> dict[str, Any]:
    """What counts as a detected lesion, in words."""
    if measures.lesion_iou is None:
        return {}
    rule = (
        "voxels that touch by a face, an edge or a corner are one lesion; it is detected by a predicted one with an"
        f" intersection over union of at least {measures.lesion_iou:g}, matched one to one; predicted ones without a"
        " match are false positives"
    )
    return {"lesion_iou": measures.lesion_iou, "lesion_rule": rule}


_OVER_CASES = ("dice", "hd95_mm", "nsd")
Scores = Mapping[str, ClassScore]


def _summary(table: Mapping[str, Scores], names: tuple[str, ...], counted: tuple[str, ...]) -> dict[str, Any]:
    per_class = {name: _class_summary([scores[name] for scores in table.values()]) for name in names}
    totals: dict[str, Any] = {}
    for key in _OVER_CASES:
        values = np.array([[getattr(scores[name], key) for name in counted] for scores in table.values()])
        totals |= {f"mean_{key}": mean_of_means(values), f"mean_{key}_interval": list(bootstrap_interval(values))}
    return {
        **totals,
        "cases": len(table),
        "missed": sum(per_class[name]["missed"] for name in counted),
        "false_alarms": sum(per_class[name]["false_alarms"] for name in counted),
        "classes": per_class,
    }


def _class_summary(scores: list[ClassScore]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key in _OVER_CASES:
        values = np.array([getattr(score, key) for score in scores])
        row |= {key: mean_of_means(values[:, None]), f"{key}_std": _deviation(values)}
        row |= {f"{key}_interval": list(bootstrap_interval(values))}
    outcomes = [score.outcome for score in scores]
    row |= {
        "counted": len(outcomes) - outcomes.count("absent"),
        "missed": outcomes.count("missed"),
        "false_alarms": outcomes.count("false_alarm"),
    }
    return row | _lesion_summary([score.lesions for score in scores if score.lesions is not None])


def _lesion_summary(counts: list[LesionCounts]) -> dict[str, Any]:
    """Over all scored cases, those without a lesion too; {} where none were counted."""
    if not counts:
        return {}
    lesions, found = (sum(getattr(one, key) for one in counts) for key in ("lesions", "lesions_found"))
    return {
        "lesions": lesions,
        "lesions_found": found,
        "lesion_sensitivity": found / lesions if lesions else math.nan,
        "false_positives_per_case": sum(one.false_positives for one in counts) / len(counts),
    }


def _deviation(values: np.ndarray) -> float:
    """Sample standard deviation of what is counted; NaN with fewer than two values."""
    counted = values[np.isfinite(values)]
    return float(counted.std(ddof=1)) if len(counted) > 1 else math.nan


def _mean_dice(scores: Scores, counted: tuple[str, ...]) -> float:
    return mean_of_means(np.array([[scores[name].dice for name in counted]]))


def _picture(case: ScoredCase, classes: ScoredClasses, dice: float, background: Background) -> bytes:
    from vol3d.view.draw.slices import slice_picture  # with matplotlib
    from vol3d.view.theme import THEMES

    return slice_picture(
        case.image.array[0],
        case.image.grid.spacing_mm,
        {"truth": case.truth.array[0], "prediction": case.prediction.labels},
        classes.names,
        f"{case.name}, mean Dice {dice:.3f}",
        "".join(orientation(case.image.affine)),
        theme=THEMES[background],
    )


def _chosen(table: Mapping[str, Scores], drawn: Mapping[str, bytes], counted: tuple[str, ...]) -> dict[str, bytes]:
    """Title -> picture of the best, median and worst case by mean Dice over the classes counted in it."""
    means = {name: _mean_dice(table[name], counted) for name in drawn}
    chosen = choose_examples(means)
    return {f"{word} case {name}, mean Dice {means[name]:.3f}": drawn[name] for word, name in chosen.items()}
