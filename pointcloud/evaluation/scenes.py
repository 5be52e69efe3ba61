"""Detections against their truth over all scenes: average precision, curves, a table of the scenes, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pointcloud.evaluation.pictures import Candidates, ScoredScene, draw_examples
from pointcloud.metrics.average_precision import RECALLS, AveragePrecision, WithoutTruth, average_precision
from pointcloud.metrics.confusion import rivals_by_overlap
from pointcloud.metrics.counts import MEASURED_COUNTS, best_threshold, count_rows, count_scene
from pointcloud.metrics.matches import SceneMatches, match_scene
from pointcloud.metrics.thresholds import score_helpers
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.view.draw.top_view import ROOM, TopViewStyle

if TYPE_CHECKING:
    from vol3d.view.theme import Background

IOU_THRESHOLDS = (0.25, 0.5)
DRAWS = 500
CONVENTIONS = (
    "AP25 and AP50 are areas under the precision-recall curve, an object being found by an overlap in space (IoU) above"
    " 0.25 or 0.5; a class that is detected but annotated nowhere counts with 0; F1, the table of scenes and the"
    " pictures are at IoU 0.25 and count detections from that score on which makes F1 over all scenes the highest"
)
MEASURED = tuple(
    metric
    for percent in (round(100 * iou) for iou in IOU_THRESHOLDS)
    for metric in (
        Metric(f"ap{percent}", f"AP{percent}", None, "higher", f"ap{percent}_interval", headline=True),
        Metric(f"ar{percent}", f"AR{percent}", None, "higher"),
        Metric(f"recall{percent}", f"recall at IoU 0.{percent}", None, "higher"),
    )
)


def evaluate_scenes(
    scored: Iterable[ScoredScene],
    class_names: Sequence[str],
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    style: TopViewStyle = ROOM,
) -> Evaluation:
    """Scores scenes as they come; of each only what its detections overlap is kept.

    The score is the mean AP over classes at IoU 0.25 (`ap25`), NaN if nothing is annotated anywhere. `conditions`
    (split, post-processing ...) are copied into the summary. With `pictures` the best, the median and the worst scene
    by F1 are shown from above, drawn as set in `style`; of more than 256 scenes they are chosen among every second,
    fourth ... one.

    Raises:
        DataError: no scene, other classes than `class_names`, a score that is NaN.
    """
    matches: dict[str, SceneMatches] = {}
    near: dict[str, np.ndarray] = {}
    candidates = Candidates()
    for scene in scored:
        _check(scene, class_names)
        if scene.name in matches:
            raise DataError(f"two scenes are called '{scene.name}'", do="Names of scenes must differ.")
        matches[scene.name] = match_scene(scene.found, scene.truth)
        near[scene.name] = rivals_by_overlap(scene.found, scene.truth, IOU_THRESHOLDS[0])
        if pictures:
            candidates.add(scene)

    annotated = any(len(match.truth_labels) for match in matches.values())
    rule: WithoutTruth = "zero" if annotated else "skip"
    results = average_precision(list(matches.values()), len(class_names), IOU_THRESHOLDS, rule, DRAWS)
    threshold, f1 = best_threshold(list(matches.values()), IOU_THRESHOLDS[0])
    counts = {name: count_scene(match, IOU_THRESHOLDS[0], threshold) for name, match in matches.items()}

    summary = _summary(results, matches, class_names) | {"best_f1": f1, "best_f1_from_score": threshold}
    summary |= score_helpers(matches, near, class_names, IOU_THRESHOLDS[0], threshold)
    summary |= {"conventions": CONVENTIONS, **(conditions or {})}
    if not annotated:
        summary["no_score"] = "no scene has an annotated box, so there is nothing to score"

    rows = count_rows(counts, class_names)
    shown = draw_examples(candidates.scenes, counts, threshold, style, pictures)
    return Evaluation(summary["ap25"], "ap25", summary, rows, shown, (*MEASURED, *MEASURED_COUNTS))


def _check(scene: ScoredScene, class_names: Sequence[str]) -> None:
    for boxes, what in ((scene.truth, "annotation"), (scene.found, "detections")):
        if tuple(boxes.class_names) != tuple(class_names):
            got, wanted = ", ".join(boxes.class_names), ", ".join(class_names)
            raise DataError(f"{what} of scene '{scene.name}' in other classes", got=got, wanted=wanted)
    if np.isnan(scene.found.scores).any():
        raise DataError(f"a score of scene '{scene.name}' is NaN", do="The weights are damaged or training diverged.")


def _summary(
    results: Sequence[AveragePrecision], matches: Mapping[str, SceneMatches], class_names: Sequence[str]
) -> dict[str, Any]:
    """What a report shows: totals, one row per class under `classes`, curves under `precision_recall`."""
    by_percent = {round(100 * result.iou): result for result in results}
    truths = _per_class([match.truth_labels for match in matches.values()], len(class_names))
    found = _per_class([match.labels for match in matches.values()], len(class_names))

    totals: dict[str, Any] = {}
    for percent, result in by_percent.items():
        totals |= {f"ap{percent}": result.mean_ap, f"ap{percent}_interval": list(result.interval)}
    for percent, result in by_percent.items():
        totals[f"ar{percent}"] = result.mean_recall

    classes, curves = {}, {}
    for label, name in enumerate(class_names):
        counts = {"ground_truths": int(truths[label]), "detections": int(found[label])}
        classes[name] = _class_row(by_percent, label) | counts
    for percent, result in by_percent.items():
        curves[f"ap{percent}"] = dict(zip(class_names, map(_rounded, result.curves), strict=True))

    return {
        **totals,
        "scenes": len(matches),
        "ground_truths": int(truths.sum()),
        "detections": int(found.sum()),
        "classes": classes,
        "precision_recall": {"recall": _rounded(RECALLS), **curves},
    }


def _per_class(labels: Sequence[np.ndarray], classes: int) -> np.ndarray:
    """How often each class is among the labels of all scenes."""
    return np.bincount(np.concatenate(labels), minlength=classes)


def _class_row(by_percent: Mapping[int, AveragePrecision], label: int) -> dict[str, float]:
    """AP of one class at each IoU, then its recall at each."""
    precisions = {f"ap{percent}": float(result.ap[label]) for percent, result in by_percent.items()}
    recalls = {f"recall{percent}": float(result.recall[label]) for percent, result in by_percent.items()}
    return precisions | recalls


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
