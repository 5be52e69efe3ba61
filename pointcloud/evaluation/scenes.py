"""Detections against their truth over all scenes: average precision, curves, a table of the scenes, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pointcloud.evaluation.pictures import Candidates, ScoredScene, draw_examples
from pointcloud.metrics.average_precision import RECALLS, AveragePrecision, WithoutTruth, average_precision
from pointcloud.metrics.counts import MEASURED_COUNTS, best_threshold, count_scene
from pointcloud.metrics.matches import SceneMatches, match_scene
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.view.draw.top_view import ROOM, TopViewStyle

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
    pictures: bool = False,
    style: TopViewStyle = ROOM,
) -> Evaluation:
    """Scores scenes as they come; of each only what its detections overlap is kept.

    The score is the mean AP over classes at IoU 0.25 (`ap25`), NaN if nothing is annotated anywhere. `conditions`
    (split, post-processing ...) are copied into the summary. With `pictures` the best, the median and the worst scene
    by F1 are shown from above, drawn as `style` says; of more than 256 scenes they are chosen among every second,
    fourth ... one.

    Raises:
        DataError: no scene, other classes than `class_names`, a score that is NaN.
    """
    matches: dict[str, SceneMatches] = {}
    candidates = Candidates()
    for scene in scored:
        _check(scene, class_names)
        if scene.name in matches:
            raise DataError(f"two scenes are called '{scene.name}'", do="Names of scenes must differ.")
        matches[scene.name] = match_scene(scene.found, scene.truth)
        if pictures:
            candidates.add(scene)
    annotated = any(len(match.truth_labels) for match in matches.values())
    rule: WithoutTruth = "zero" if annotated else "skip"
    results = average_precision(list(matches.values()), len(class_names), IOU_THRESHOLDS, rule, DRAWS)
    threshold, f1 = best_threshold(list(matches.values()), IOU_THRESHOLDS[0])
    counts = {name: count_scene(match, IOU_THRESHOLDS[0], threshold) for name, match in matches.items()}
    summary = _summary(results, matches, class_names) | {"best_f1": f1, "best_f1_from_score": threshold}
    summary |= {"conventions": CONVENTIONS, **(conditions or {})}
    if not annotated:
        summary["no_score"] = "no scene has an annotated box, so there is nothing to score"
    rows = [
        {"scene": name, "class": class_names[label], **row._asdict()}
        for name, table in counts.items()
        for label, row in table.items()
    ]
    shown = draw_examples(candidates.scenes, counts, threshold, style)
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
    truths, found = (
        np.bincount(np.concatenate(labels), minlength=len(class_names))
        for labels in ([m.truth_labels for m in matches.values()], [m.labels for m in matches.values()])
    )
    percent = [round(100 * result.iou) for result in results]
    totals: dict[str, Any] = {}
    for n, result in zip(percent, results, strict=True):
        totals |= {f"ap{n}": result.mean_ap, f"ap{n}_interval": list(result.interval)}
    totals |= {f"ar{n}": result.mean_recall for n, result in zip(percent, results, strict=True)}
    per_class = {
        name: {
            **{f"ap{n}": float(result.ap[i]) for n, result in zip(percent, results, strict=True)},
            **{f"recall{n}": float(result.recall[i]) for n, result in zip(percent, results, strict=True)},
            "ground_truths": int(truths[i]),
            "detections": int(found[i]),
        }
        for i, name in enumerate(class_names)
    }
    curves = {
        f"ap{n}": {name: [round(float(p), 4) for p in result.curves[i]] for i, name in enumerate(class_names)}
        for n, result in zip(percent, results, strict=True)
    }
    return {
        **totals,
        "scenes": len(matches),
        "ground_truths": int(truths.sum()),
        "detections": int(found.sum()),
        "classes": per_class,
        "precision_recall": {"recall": [round(float(r), 4) for r in RECALLS], **curves},
    }
