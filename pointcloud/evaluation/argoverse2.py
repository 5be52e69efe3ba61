"""Detections on Argoverse 2 against its annotation: the benchmark's scores, tables by class and range, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointcloud.conventions.argoverse2 import CATEGORIES
from pointcloud.datasets.argoverse2.sweep import Argoverse2Reader
from pointcloud.evaluation.benchmark import Detect, one_by_one
from pointcloud.evaluation.pictures import Candidates, ScoredScene, draw_examples
from pointcloud.metrics.argoverse2.matching import DISTANCES_M, Cuboids, match_sweep
from pointcloud.metrics.argoverse2.matching import SweepMatches as Matches
from pointcloud.metrics.argoverse2.scores import ERRORS_AT, RECALLS, Argoverse2Scores, argoverse2_scores
from pointcloud.metrics.argoverse2.submission import SweepDetections, count_submitted, write_submission
from pointcloud.metrics.confusion import rivals
from pointcloud.metrics.counts import MEASURED_COUNTS, best_threshold, count_scene
from pointcloud.metrics.matches import SceneMatches
from pointcloud.metrics.thresholds import score_helpers
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.submission import claim
from vol3d.terminal import Progress
from vol3d.view.draw.top_view import STREET

if TYPE_CHECKING:
    from vol3d.view.theme import Background

RINGS_M = ((0, 50), (50, 100), (100, 150))
ERRORS = (
    Metric("ate_m", "ATE", "m", "lower"),
    Metric("ase", "ASE (1 - IoU)", None, "lower"),
    Metric("aoe_rad", "AOE", "rad", "lower"),
)
ERROR_NAMES = tuple(error.key for error in ERRORS)
CONVENTIONS = (
    "CDS and mean AP are those of Argoverse 2's detection benchmark: an object is found by a centre nearer than 0.5, 1,"
    " 2, 4 m in space, the errors are at 2 m, objects with a point inside count up to 150 m from the vehicle, and the"
    " 100 best detections of a class and sweep; a class annotated nowhere counts with AP 0 and the worst errors; F1,"
    " the table of sweeps and the pictures are at 2 m and count detections from that score on which makes F1 over all"
    " sweeps the highest; ranges are distances from the vehicle"
)
NO_REGION = "not applied: it needs the map; the leaderboard counts only objects that touch it"
_CURVES = tuple(f"ap_{distance:g}m" for distance in DISTANCES_M)
MEASURED = (
    Metric("cds", "CDS", better="higher"),
    Metric("cds_of_annotated_classes", "CDS of the annotated classes", better="higher"),
    Metric("map", "mean AP", better="higher"),
    Metric("map_of_annotated_classes", "mean AP of the annotated classes", better="higher"),
    Metric("ap", "AP", better="higher"),
    *(
        Metric(key, f"AP at {distance:g} m", better="higher")
        for key, distance in zip(_CURVES, DISTANCES_M, strict=True)
    ),
    *ERRORS,
    *(replace(error, key=f"m{error.key}", title=f"mean {error.title}") for error in ERRORS),
    *MEASURED_COUNTS,
)
_HIT = 0.5  # matches are 1 for a hit and 0 else


def benchmark(
    scenes: Sequence[Argoverse2Reader],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
) -> Evaluation:
    """CDS over the detector's classes; a submission is one feather file. See `benchmark.Benchmark`.

    Raises:
        DataError: no sweep, one twice, values that are not finite, what `one_by_one` raises.
    """
    compared: dict[str, Matches] = {}
    near: dict[str, np.ndarray] = {}
    detections: list[SweepDetections] = []
    candidates = Candidates()
    for reader in one_by_one(scenes, progress):
        if reader.name in compared:
            raise DataError("a sweep is there twice", got=reader.name)
        cloud = reader.read().cloud
        found, truth = detect(cloud), _truth(reader, class_names)
        detections.append(SweepDetections(reader.log_id, reader.timestamp_ns, _found(found, reader.name)))
        compared[reader.name] = matches = match_sweep(detections[-1].found, truth)
        near[reader.name] = _near(detections[-1].found, truth, matches)
        if pictures:
            shown = Detections(truth.boxes.astype(np.float32), np.ones(len(truth.labels), np.float32),
                               truth.labels, tuple(class_names))  # fmt: skip
            candidates.add(ScoredScene(reader.name, cloud, shown.select(matches.truth_rows),
                                       found.select(matches.found_rows)))  # fmt: skip
    if not compared:
        raise DataError("there is no sweep to evaluate", do="Check that the split has annotated sweeps.")
    if submission is not None:
        claim(submission)
        write_submission(submission, detections, class_names)
    return _evaluation(compared, near, class_names, conditions, candidates.scenes, pictures)


def submit(
    scenes: Sequence[Argoverse2Reader], detect: Detect, class_names: Sequence[str], progress: Progress, path: Path
) -> int:
    """One feather file with a row for each detection. See `benchmark.Submit`."""
    found = [
        SweepDetections(sweep.log_id, sweep.timestamp_ns, _found(detect(sweep.read().cloud), sweep.name))
        for sweep in one_by_one(scenes, progress)
    ]
    claim(path)
    write_submission(path, found, class_names)
    return count_submitted(path)


def _truth(reader: Argoverse2Reader, class_names: Sequence[str]) -> Cuboids:
    """The annotated boxes of the detector's classes."""
    found = reader.annotations()
    found = found.select(found.labels(class_names) >= 0)
    return Cuboids(found.boxes, found.labels(class_names), found.points)


def _found(found: Detections, name: str) -> Cuboids:
    """Detections for the comparison.

    Raises:
        DataError: a value is not finite.
    """
    if not (np.isfinite(found.boxes[:, :7]).all() and np.isfinite(found.scores).all()):
        raise DataError(f"a detection of sweep '{name}' is not finite", do="The training may have diverged.")
    return Cuboids(found.boxes[:, :7].astype(np.float64), found.labels, found.scores.astype(np.float64))


def _evaluation(
    compared: Mapping[str, Matches],
    near: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    conditions: Mapping[str, str] | None,
    candidates: Sequence[ScoredScene],
    pictures: Background | None,
) -> Evaluation:
    """Scores, tables and pictures of what was compared."""
    sweeps = list(compared.values())
    scores = argoverse2_scores(sweeps, len(class_names))
    matches = {name: _scene_matches(one) for name, one in compared.items()}
    threshold, f1 = best_threshold(list(matches.values()), _HIT)
    counts = {name: count_scene(one, _HIT, threshold) for name, one in matches.items()}
    rows = [
        {"scene": name, "class": class_names[label]} | {k: v for k, v in row._asdict().items() if k != "mean_iou"}
        for name, table in counts.items()
        for label, row in table.items()
    ]
    summary = _summary(scores, sweeps, class_names) | {"best_f1": f1, "best_f1_from_score": threshold}
    summary |= score_helpers(matches, near, class_names, _HIT, threshold)
    summary |= {"region_of_interest": NO_REGION, "conventions": CONVENTIONS, **(conditions or {})}
    if set(class_names) != set(CATEGORIES):
        summary["classes_scored"] = f"{len(class_names)} of the benchmark's {len(CATEGORIES)}"
    score = scores.cds
    if not scores.objects.any():
        summary["no_score"] = "no sweep has an annotated box that counts, so there is nothing to score"
        score = float("nan")
    shown = draw_examples(candidates, counts, threshold, STREET, pictures)
    return Evaluation(score, "cds", summary, rows, shown, MEASURED)


def _near(found: Cuboids, truth: Cuboids, matches: Matches) -> np.ndarray:
    """Detections and objects of other classes within 2 m, of those that count."""
    places, others = found.boxes[matches.found_rows, :3], truth.boxes[matches.truth_rows, :3]
    apart = np.linalg.norm(places[:, None] - others[None], axis=2)
    return rivals(-apart, matches.labels, matches.truth_labels, -DISTANCES_M[ERRORS_AT])


def _scene_matches(sweep: Matches) -> SceneMatches:
    """What each detection found within 2 m."""
    hits = sweep.hits(DISTANCES_M[ERRORS_AT])
    truths = np.where(hits, sweep.truths, -1)
    return SceneMatches(sweep.labels, sweep.scores, hits.astype(np.float32), truths, sweep.truth_labels)


def _summary(scores: Argoverse2Scores, sweeps: Sequence[Matches], class_names: Sequence[str]) -> dict[str, Any]:
    """Totals, one row per class, one per range, and the curves at each distance."""
    classes = {name: _class_row(scores, label) for label, name in enumerate(class_names)}
    curves = {
        key: {name: np.round(scores.precision[label, column], 4).tolist() for label, name in enumerate(class_names)}
        for column, key in enumerate(_CURVES)
    }
    annotated = scores.objects > 0
    return {
        "cds": scores.cds,
        "map": scores.mean_ap,
        **{f"m{name}": float(error) for name, error in zip(ERROR_NAMES, scores.mean_errors, strict=True)},
        "cds_of_annotated_classes": _mean(scores.class_cds[annotated]),
        "map_of_annotated_classes": _mean(scores.ap[annotated].mean(axis=1)),
        "sweeps": len(sweeps),
        "ground_truths": int(scores.objects.sum()),
        "detections": int(scores.detections.sum()),
        "classes": classes,
        "ranges": {f"{near} to {far} m": _ring(sweeps, near, far, class_names) for near, far in RINGS_M},
        "precision_recall": {"recall": np.round(RECALLS, 4).tolist(), **curves},
    }


def _class_row(scores: Argoverse2Scores, label: int) -> dict[str, Any]:
    return {
        "cds": float(scores.class_cds[label]),
        "ap": float(scores.ap[label].mean()),
        **dict(zip(_CURVES, scores.ap[label].tolist(), strict=True)),
        **dict(zip(ERROR_NAMES, scores.errors[label].tolist(), strict=True)),
        "ground_truths": int(scores.objects[label]),
        "detections": int(scores.detections[label]),
    }


def _ring(sweeps: Sequence[Matches], near: float, far: float, class_names: Sequence[str]) -> dict[str, Any]:
    """Mean AP over distances of what is annotated in a range, of all classes there and of each."""
    scores = argoverse2_scores([sweep.within(near, far) for sweep in sweeps], len(class_names))
    annotated, ap = scores.objects > 0, scores.ap.mean(axis=1)
    by_class = np.where(annotated, ap, np.nan)
    objects = int(scores.objects.sum())
    return {
        "map": _mean(ap[annotated]),
        "ground_truths": objects,
        **dict(zip(class_names, by_class.tolist(), strict=True)),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
