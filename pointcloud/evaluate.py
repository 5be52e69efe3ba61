"""Detections against their truth over all scenes: average precision, curves, a table of the scenes, pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pointcloud.metrics.average_precision import RECALLS, AveragePrecision, average_precision
from pointcloud.metrics.counts import Counts, best_threshold, count_scene
from pointcloud.metrics.matches import SceneMatches, match_scene
from vol3d.engine.task import Evaluation
from vol3d.errors import DataError
from vol3d.scans.detections import Detections
from vol3d.scans.points import PointCloud
from vol3d.view.top_view import ROOM, TopViewStyle, draw_top_view

IOU_THRESHOLDS = (0.25, 0.5)
DRAWS = 500
CONVENTIONS = (
    "AP25 and AP50 are areas under the precision-recall curve, an object being found by an overlap in space (IoU) above"
    " 0.25 or 0.5; a class that is detected but annotated nowhere counts with 0; F1, the table of scenes and the"
    " pictures are at IoU 0.25 and count detections from that score on which makes F1 over all scenes the highest"
)
_CANDIDATES, _POINTS = 256, 50_000


class ScoredScene(NamedTuple):
    """A scene ready to be scored; truth and detections in the frame of the points."""

    name: str
    cloud: PointCloud
    truth: Detections
    found: Detections


def evaluate_scenes(
    scored: Iterable[ScoredScene],
    class_names: Sequence[str],
    conditions: Mapping[str, str] | None = None,
    pictures: bool = False,
    style: TopViewStyle = ROOM,
) -> Evaluation:
    """Scores scenes as they come; of each only what its detections overlap is kept.

    The score is the mean AP over classes at IoU 0.25 (`ap25`). `conditions` (split, post-processing ...) are copied
    into the summary. With `pictures` the best, the median and the worst scene by F1 are shown from above, drawn as
    `style` says; of more than 256 scenes they are chosen among every second, fourth ... one.

    Raises:
        DataError: no scene, other classes than `class_names`, a score that is NaN.
    """
    matches: dict[str, SceneMatches] = {}
    candidates = _Candidates()
    for scene in scored:
        _check(scene, class_names)
        if scene.name in matches:
            raise DataError(f"two scenes are called '{scene.name}'", do="Names of scenes must differ.")
        matches[scene.name] = match_scene(scene.found, scene.truth)
        if pictures:
            candidates.add(scene)
    results = average_precision(list(matches.values()), len(class_names), IOU_THRESHOLDS, draws=DRAWS)
    threshold, f1 = best_threshold(list(matches.values()), IOU_THRESHOLDS[0])
    counts = {name: count_scene(match, IOU_THRESHOLDS[0], threshold) for name, match in matches.items()}
    summary = _summary(results, matches, class_names) | {"best_f1": f1, "best_f1_from_score": threshold}
    summary |= {"conventions": CONVENTIONS, **(conditions or {})}
    rows = [
        {"scene": name, "class": class_names[label], **row._asdict()}
        for name, table in counts.items()
        for label, row in table.items()
    ]
    return Evaluation(summary["ap25"], "ap25", summary, rows, _pictures(candidates.scenes, counts, threshold, style))


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


class _Candidates:
    """Scenes for the pictures, evenly spread over all that come, their clouds thinned out."""

    def __init__(self) -> None:
        self.scenes: list[ScoredScene] = []
        self._seen, self._every = 0, 1

    def add(self, scene: ScoredScene) -> None:
        """Keeps every n-th scene; n doubles whenever there are too many."""
        if self._seen % self._every == 0:
            self.scenes.append(scene._replace(cloud=_thinned(scene.cloud)))
        self._seen += 1
        if len(self.scenes) > _CANDIDATES:
            self.scenes, self._every = self.scenes[::2], 2 * self._every


def _thinned(cloud: PointCloud) -> PointCloud:
    step = max(1, -(-len(cloud) // _POINTS))
    columns = {name: values[::step].copy() for name, values in cloud.columns.items() if name == "rgb"}
    return PointCloud(cloud.xyz[::step].copy(), columns)  # copies, so that the whole cloud is let go


def _pictures(
    scenes: Sequence[ScoredScene],
    counts: Mapping[str, Mapping[int, Counts]],
    threshold: float,
    style: TopViewStyle,
) -> dict[str, bytes]:
    """Title -> picture of the best, median and worst scene by F1; scenes with nothing to find or found do not count."""
    ranked = [(_f1(counts[scene.name].values()), scene.name, i) for i, scene in enumerate(scenes)]
    order = sorted(entry for entry in ranked if math.isfinite(entry[0]))
    if not order:
        return {}
    ranks = {"best": len(order) - 1, "worst": 0, "median": len(order) // 2}
    first = {rank: title for title, rank in reversed(ranks.items())}  # one scene alone is the best one
    pictures = {}
    for rank, word in first.items():
        f1, name, index = order[rank]
        scene = scenes[index]
        found = scene.found.select(scene.found.scores >= threshold)
        title = f"{name}, F1 {f1:.2f}, scores from {threshold:.2f}"
        pictures[f"{word} scene {name}, F1 {f1:.3f}"] = draw_top_view(scene.cloud, scene.truth, found, title, style)
    return pictures


def _f1(rows: Iterable[Counts]) -> float:
    """2 hits / (hits + false alarms + objects); NaN where there is neither object nor detection."""
    table = [(row.hits, row.ground_truths + row.hits + row.false_alarms) for row in rows]
    hits, both = sum(h for h, _ in table), sum(b for _, b in table)
    return 2 * hits / both if both else math.nan
