"""Detections on nuScenes against its annotation: the benchmark's scores, tables by class and range, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pointcloud.evaluation.pictures import Candidates, ScoredScene, draw_examples
from pointcloud.metrics.confusion import rivals
from pointcloud.metrics.counts import MEASURED_COUNTS, best_threshold, count_rows, count_scene
from pointcloud.metrics.matches import SceneMatches
from pointcloud.metrics.nuscenes.boxes import (
    CLASSES,
    NuscenesDetections,
    NuscenesTruth,
    detections_in_global,
    moved,
    truth_in_scan,
)
from pointcloud.metrics.nuscenes.matching import DISTANCES_M
from pointcloud.metrics.nuscenes.scores import ERRORS_AT, RECALLS, NuscenesScores, nuscenes_scores, ring_ap
from pointcloud.metrics.nuscenes.submission import LIDAR_ONLY, Submission, write_submission
from pointcloud.metrics.thresholds import score_helpers
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.submission import claim
from vol3d.view.draw.top_view import STREET

if TYPE_CHECKING:
    from vol3d.view.theme import Background

RINGS_M = ((0, 10), (10, 20), (20, 30), (30, 40), (40, 50))
ERRORS = (
    Metric("ate_m", "ATE", "m", "lower"),
    Metric("ase", "ASE (1 - IoU)", None, "lower"),
    Metric("aoe_rad", "AOE", "rad", "lower"),
    Metric("ave_m_s", "AVE", "m/s", "lower"),
    Metric("aae", "AAE", None, "lower"),
)
ERROR_NAMES = tuple(error.key for error in ERRORS)
CONVENTIONS = (
    "NDS and mean AP are those of the nuScenes devkit (detection_cvpr_2019): an object is found by a centre nearer than"
    " 0.5, 1, 2, 4 m, the errors are at 2 m, a class annotated nowhere counts with AP 0 and errors 1; F1, the table of"
    " samples and the pictures are at 2 m and count detections from that score on which makes F1 over all samples the"
    " highest; ranges are distances from the car, a detection counting where the object is that it found"
)
_CURVES = tuple(f"ap_{distance:g}m" for distance in DISTANCES_M)
MEASURED = (
    Metric("nds", "NDS", better="higher"),
    Metric("map", "mean AP", better="higher"),
    Metric("ap", "AP", better="higher"),
    *(Metric(f"ap_{distance:g}m", f"AP at {distance:g} m", better="higher") for distance in DISTANCES_M),
    *ERRORS,
    *(replace(error, key=f"m{error.key}", title=f"mean {error.title}") for error in ERRORS),
    *MEASURED_COUNTS,
)
_HIT = 0.5  # matches are 1 for a hit and 0 else


class NuscenesFrame(NamedTuple):
    """A sample ready to be scored.

    Args:
        token: of the sample.
        cloud, found: points and detections in one frame, that of the LiDAR; the cloud is for pictures only.
        truth: the annotation, in the global frame.
        global_from_scan: (4, 4) from the frame of the points.
    """

    token: str
    cloud: PointCloud
    found: Detections
    truth: NuscenesTruth
    global_from_scan: np.ndarray


def evaluate_nuscenes(
    frames: Iterable[NuscenesFrame],
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
    class_names: Sequence[str] = CLASSES,
) -> Evaluation:
    """Scores samples as they come; the score is NDS (`nds`), NaN if nothing is annotated anywhere.

    NDS and the means are over `class_names`, which are all of the benchmark unless the detector or the data set has
    fewer. `conditions` are copied into the summary. With `pictures` the best, median and worst sample by F1 are shown
    from above. The detections are also written as an official result file to `submission`, if given.

    Raises:
        DataError: no sample, one token twice, values that are not finite.
    """
    found: dict[str, NuscenesDetections] = {}
    truth: dict[str, NuscenesTruth] = {}
    candidates = Candidates()
    for frame in frames:
        if frame.token in found:
            raise DataError("a sample is there twice", got=frame.token)
        _check(frame)
        found[frame.token] = detections_in_global(frame.found, frame.global_from_scan)
        truth[frame.token] = frame.truth
        if pictures:
            candidates.add(_scene(frame, found[frame.token]))

    scores = nuscenes_scores(found, truth, class_names)
    if submission is not None:
        claim(submission)
        write_submission(submission, Submission(LIDAR_ONLY, found))

    matches = _matches(scores, list(found))
    threshold, f1 = best_threshold(list(matches.values()), _HIT)
    counts = {token: count_scene(match, _HIT, threshold) for token, match in matches.items()}
    rows = count_rows(counts, CLASSES)
    for row in rows:
        del row["mean_iou"]  # a hit is a near centre, whatever the overlap

    summary = _summary(scores, len(found)) | {"best_f1": f1, "best_f1_from_score": threshold}
    near = _near(scores, matches)
    summary |= score_helpers(matches, near, CLASSES, _HIT, threshold)
    summary |= {"conventions": CONVENTIONS, **(conditions or {})}
    score = scores.nds
    if set(class_names) != set(CLASSES):
        summary["classes_scored"] = f"{len(class_names)} of the benchmark's {len(CLASSES)}"
    if not len(scores.truth.labels):
        summary["no_score"] = "no sample has an annotated box that counts, so there is nothing to score"
        score = float("nan")

    shown = draw_examples(_counted(candidates.scenes, scores, list(found)), counts, threshold, STREET, pictures)
    return Evaluation(score, "nds", summary, rows, shown, MEASURED)


def _check(frame: NuscenesFrame) -> None:
    if not np.isfinite(frame.found.scores).all():
        raise DataError(f"a score of sample '{frame.token}' is not finite", do="The training may have diverged.")


def _scene(frame: NuscenesFrame, found: NuscenesDetections) -> ScoredScene:
    """What pictures need, the detections in the order in which they are scored."""
    back = np.linalg.inv(np.asarray(frame.global_from_scan, np.float64))
    boxes, scores = moved(found.boxes, back).astype(np.float32), found.scores.astype(np.float32)
    detections = Detections(boxes, scores, found.labels, CLASSES)
    return ScoredScene(frame.token, frame.cloud, truth_in_scan(frame.truth, back), detections)


def _counted(scenes: list[ScoredScene], scores: NuscenesScores, tokens: list[str]) -> list[ScoredScene]:
    """The scenes with those boxes only that the benchmark counts."""
    kept = []
    for scene in scenes:
        number = tokens.index(scene.name)
        truth, found = (np.sort(table.rows[table.samples == number]) for table in (scores.truth, scores.found))
        kept.append(scene._replace(truth=scene.truth.select(truth), found=scene.found.select(found)))
    return kept


def _matches(scores: NuscenesScores, tokens: list[str]) -> dict[str, SceneMatches]:
    """What each detection of each sample took within 2 m, sample by sample."""
    taken, order = scores.matches[:, ERRORS_AT], np.argsort(scores.found.samples, kind="stable")
    numbers = np.arange(len(tokens) + 1)
    starts = np.searchsorted(scores.found.samples[order], numbers)
    truth_starts = np.searchsorted(scores.truth.samples, numbers)
    matches = {}
    for number, token in enumerate(tokens):
        rows = order[starts[number] : starts[number + 1]]
        matches[token] = SceneMatches(
            labels=scores.found.labels[rows],
            scores=scores.found.scores[rows],
            ious=(taken[rows] >= 0).astype(np.float32),
            truths=np.where(taken[rows] >= 0, taken[rows] - truth_starts[number], -1),
            truth_labels=scores.truth.labels[truth_starts[number] : truth_starts[number + 1]],
        )
    return matches


def _near(scores: NuscenesScores, matches: Mapping[str, SceneMatches]) -> dict[str, np.ndarray]:
    """Detections and objects of other classes within 2 m, in the order of `_matches`."""
    order, near = np.argsort(scores.found.samples, kind="stable"), {}
    found_end = truth_end = 0
    for token, match in matches.items():
        found_start, found_end = found_end, found_end + len(match.labels)
        truth_start, truth_end = truth_end, truth_end + len(match.truth_labels)
        places, others = scores.found.boxes[order[found_start:found_end]], scores.truth.boxes[truth_start:truth_end]
        apart = np.linalg.norm(places[:, None, :2] - others[None, :, :2], axis=2)
        near[token] = rivals(-apart, match.labels, match.truth_labels, -DISTANCES_M[ERRORS_AT])
    return near


def _summary(scores: NuscenesScores, samples: int) -> dict[str, Any]:
    """Totals, one row per class, one per range, and the curves at each distance."""
    truths, found = (np.bincount(table.labels, minlength=len(CLASSES)) for table in (scores.truth, scores.found))
    classes = {
        name: {
            "ap": float(scores.ap[label].mean()),
            **dict(zip(_CURVES, scores.ap[label].tolist(), strict=True)),
            **dict(zip(ERROR_NAMES, scores.errors[label].tolist(), strict=True)),
            "ground_truths": int(truths[label]),
            "detections": int(found[label]),
        }
        for label, name in enumerate(CLASSES)
    }
    curves = {
        key: {name: [round(float(p), 4) for p in scores.precision[label, column]] for label, name in enumerate(CLASSES)}
        for column, key in enumerate(_CURVES)
    }
    return {
        "nds": scores.nds,
        "map": scores.mean_ap,
        **{f"m{name}": float(error) for name, error in zip(ERROR_NAMES, scores.mean_errors, strict=True)},
        "samples": samples,
        "ground_truths": int(truths.sum()),
        "detections": int(found.sum()),
        "classes": classes,
        "ranges": {f"{near} to {far} m": _ring(scores, near, far) for near, far in RINGS_M},
        "precision_recall": {"recall": [round(float(r), 4) for r in RECALLS], **curves},
    }


def _ring(scores: NuscenesScores, near: float, far: float) -> dict[str, Any]:
    """Mean AP over distances of what is annotated in a range, of all classes and of each."""
    ap, objects = ring_ap(scores, near, far)
    by_class = ap.mean(axis=1)
    mean = float(by_class[objects > 0].mean()) if objects.any() else float("nan")
    return {"map": mean, "ground_truths": int(objects.sum()), **dict(zip(CLASSES, by_class.tolist(), strict=True))}
