"""Detections on KITTI against its labels: the benchmark's scores, tables by class and range, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti import KittiBoxes, boxes_from_kitti
from pointcloud.conventions.kitti_objects import KittiObjects, write_kitti_objects
from pointcloud.evaluation.pictures import Candidates, ScoredScene, draw_examples
from pointcloud.metrics.average_precision import average_precision
from pointcloud.metrics.confusion import rivals
from pointcloud.metrics.counts import MEASURED_COUNTS, best_threshold, count_rows, count_scene
from pointcloud.metrics.kitti.boxes import objects_in_image
from pointcloud.metrics.kitti.matching import assign
from pointcloud.metrics.kitti.rules import CLASSES, COUNTED, DIFFICULTIES, LOOSE_OVERLAP, METRICS, MIN_OVERLAP, Frame
from pointcloud.metrics.kitti.scores import RECALLS, KittiScores, compare_checked, kitti_scores, ring_scores
from pointcloud.metrics.kitti.split import Split
from pointcloud.metrics.matches import SceneMatches
from pointcloud.metrics.thresholds import score_helpers
from vol3d.engine.task import Evaluation, Metric
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.scans.results.submission import claim
from vol3d.view.draw.top_view import TopViewStyle

if TYPE_CHECKING:
    from vol3d.view.theme import Background

DRAWS = 500
RINGS_M = ((0, 20), (20, 40), (40, 80))
AHEAD = TopViewStyle(colour="height", spread_m=0.15)
"""As `STREET`, but the frame follows the points: KITTI's objects are all in front of the car."""
CONVENTIONS = (
    "AP is that of KITTI's object benchmark: R40, R11 where it says so; an IoU above 0.7 for cars and 0.5 for others; a"
    " class annotated nowhere is left out; precision is read at one recall per object at most, so that AP stays below"
    " 1 where there are fewer than 41 objects: there look at the area under the whole curve; F1, the table of frames"
    " and the pictures are in space at moderate difficulty and count detections from that score on which makes F1 over"
    " all frames the highest; ranges are distances from the camera, 3D, moderate"
)
MEASURED = (
    *(
        Metric(f"ap{metric}_{difficulty}", f"AP {title} {difficulty}", better="higher")
        for metric, title in (("bbox", "image"), ("bev", "BEV"), ("3d", "3D"))
        for difficulty in DIFFICULTIES
    ),
    *(Metric(f"aos_{difficulty}", f"AOS {difficulty}", better="higher") for difficulty in DIFFICULTIES),
    Metric("ap3d_moderate_r11", "AP 3D moderate R11", better="higher"),
    Metric("ap3d_moderate_area", "AP 3D moderate area", better="higher", interval="ap3d_moderate_area_interval"),
    *MEASURED_COUNTS,
)
_SPACE, _MODERATE = METRICS.index("3d"), DIFFICULTIES.index("moderate")


def write_submission(folder: Path, results: Mapping[str, KittiObjects]) -> None:
    """Writes what the benchmark takes: `NAME.txt` for each frame, and no other file in the folder.

    Raises:
        UsageError: the folder holds what vol3d did not write.
    """
    claim(folder, [f"{name}.txt" for name in results])
    for name, objects in results.items():
        write_kitti_objects(folder / f"{name}.txt", objects, scored=True)


class KittiScored(NamedTuple):
    """A frame ready to be scored.

    Args:
        name: of the frame.
        cloud, found: points and detections in the frame of the LiDAR; the cloud is for pictures only.
        truth: all rows of the label file, DontCare among them.
        lidar_from_camera, p2: (4, 4) and (3, 4) of the calibration.
        image_size: width and height, pixels.
        projected: how many of `truth` had no box in the image, and have that of their box in space.
    """

    name: str
    cloud: PointCloud
    found: Detections
    truth: KittiObjects
    lidar_from_camera: np.ndarray
    p2: np.ndarray
    image_size: tuple[int, int]
    projected: int = 0


def evaluate_kitti(
    scored: Iterable[KittiScored],
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
) -> Evaluation:
    """Scores frames as they come; the score is the mean AP over classes in space, moderate, R40 (`ap3d_moderate`).

    Where a class has fewer objects than the benchmark has recalls, its AP cannot rise; the score is the area under the
    whole curve then (`ap3d_moderate_area`), so that better models have better scores. The summary has both.

    Detections that the camera does not see are left out, since nothing is annotated there. `conditions` are copied
    into the summary. With `pictures` the best, median and worst frame by F1 are shown from above. The folder
    `submission` gets the detections as the benchmark takes them, `NAME.txt` for each frame.

    Raises:
        DataError: no frame, one name twice, values that are not finite.
    """
    frames: dict[str, Frame] = {}
    candidates, without_image_box = Candidates(), 0
    for frame in scored:
        without_image_box += frame.projected
        if frame.name in frames:
            raise DataError("a frame is there twice", got=frame.name)
        check_finite(frame.name, frame.found)
        found, seen = objects_in_image(frame.found, frame.lidar_from_camera, frame.p2, frame.image_size)
        frames[frame.name] = compare_checked(frame.name, found, frame.truth)
        if pictures:
            truth = _in_lidar(frame.truth, frame.lidar_from_camera)
            candidates.add(ScoredScene(frame.name, frame.cloud, truth, frame.found.select(seen)))

    tables = list(frames.values())
    split = Split.of(tables)
    scores = kitti_scores(split)
    if submission is not None:
        write_submission(submission, {name: frame.found for name, frame in frames.items()})
    matches, kept = _matches(frames, split)
    threshold, f1 = best_threshold(list(matches.values()), 0)
    counts = {name: count_scene(match, 0, threshold) for name, match in matches.items()}

    summary = _summary(scores, split, len(frames))
    _add_area(summary, list(matches.values()))
    summary |= {"best_f1": f1, "best_f1_from_score": threshold}
    near = {name: _near(frames[name].overlaps[_SPACE], *kept[name], match) for name, match in matches.items()}
    summary |= score_helpers(matches, near, CLASSES, 0, threshold)
    summary |= {"conventions": CONVENTIONS, **(conditions or {})}
    if without_image_box:
        summary["image_boxes"] = f"{without_image_box} objects have none: their boxes in space were projected"

    objects = scores.objects[:, _MODERATE]
    few = bool((objects[objects > 0] < len(RECALLS)).any())
    score = "ap3d_moderate_area" if few else "ap3d_moderate"

    rows = count_rows(counts, CLASSES)
    shown = draw_examples(_counted(candidates.scenes, kept), counts, threshold, AHEAD, pictures)
    return Evaluation(summary[score], score, summary, rows, shown, MEASURED)


def check_finite(name: str, found: Detections) -> None:
    """Raises DataError if a detection of the frame `name` has a value that is not finite."""
    if not (np.isfinite(found.boxes[:, :7]).all() and np.isfinite(found.scores).all()):
        raise DataError(f"a detection of frame '{name}' is not finite", do="The training may have diverged.")


def _in_lidar(truth: KittiObjects, lidar_from_camera: np.ndarray) -> Detections:
    """Labels as boxes of the LiDAR, row for row; what is of no class of the benchmark is never shown."""
    columns = (truth.location, truth.dimensions_hwl.clip(min=0), truth.rotation_y)
    boxes = boxes_from_kitti(KittiBoxes(*map(torch.from_numpy, columns)), torch.from_numpy(lidar_from_camera))
    names = (*CLASSES, "other")
    labels = np.array([names.index(name) if name in CLASSES else len(CLASSES) for name in truth.types], np.int64)
    return Detections(boxes.numpy().astype(np.float32), np.ones(len(labels), np.float32), labels, names, "lidar")


def _matches(
    frames: Mapping[str, Frame], split: Split
) -> tuple[dict[str, SceneMatches], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What each detection that counts found, frame by frame; and which labels and detections count."""
    truth_labels = np.full(len(split.truth), -1)
    labels, taken = (np.full(len(split.found), -1) for _ in range(2))
    for label, name in enumerate(CLASSES):
        table = split.pairs(_SPACE, name, split.states(name, _MODERATE))
        truth_labels[table.truth_states == COUNTED] = label
        found = assign(table, -np.inf)
        hit = (found >= 0) & (np.append(table.truth_states, -1)[found] == COUNTED)
        rows = (table.found_states == COUNTED) & (hit | ((found < 0) & ~table.excused))
        labels[rows], taken[rows] = label, np.where(hit, found, -1)[rows]
    matches, kept, first, start = {}, {}, 0, 0
    for name, frame in frames.items():
        last, stop = first + len(frame.truth), start + len(frame.found)
        truth, rows = np.flatnonzero(truth_labels[first:last] >= 0), np.flatnonzero(labels[start:stop] >= 0)
        objects = np.where(taken[start:stop][rows] >= 0, taken[start:stop][rows] - first, -1)
        ious = np.append(frame.overlaps[_SPACE], np.zeros((len(frame.found), 1)), axis=1)[rows, objects]
        matches[name] = SceneMatches(
            labels=labels[start:stop][rows],
            scores=frame.found.scores[rows],
            ious=ious.astype(np.float32),
            truths=np.where(objects >= 0, np.searchsorted(truth, objects), -1),
            truth_labels=truth_labels[first:last][truth],
        )
        kept[name], first, start = (truth, rows), last, stop
    return matches, kept


def _near(overlaps: np.ndarray, truth: np.ndarray, found: np.ndarray, match: SceneMatches) -> np.ndarray:
    """Detections and objects of other classes that overlap as much as the object's class asks for."""
    wanted = np.array([MIN_OVERLAP[name] for name in CLASSES])[match.truth_labels]
    return rivals(overlaps[found][:, truth] - wanted, match.labels, match.truth_labels, 0)


def _counted(scenes: Iterable[ScoredScene], kept: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[ScoredScene]:
    """The scenes with those labels and detections only that the benchmark counts."""
    counted = []
    for scene in scenes:
        truth, found = kept[scene.name]
        counted.append(scene._replace(truth=scene.truth.select(truth), found=scene.found.select(found)))
    return counted


def _summary(scores: KittiScores, split: Split, frames: int) -> dict[str, Any]:
    """Totals, one row per class, the same with 11 recalls and with looser overlaps, one row per range, and the curves
    at moderate difficulty."""
    classes, old, loose = {}, {}, {}
    for label, name in enumerate(CLASSES):
        counts = {
            "ground_truths": int(scores.objects[label, _MODERATE]),
            "detections": int((split.found.types == name.lower()).sum()),
        }
        classes[name] = _class_row(label, scores.ap_r40, scores.aos_r40) | counts
        old[name] = _class_row(label, scores.ap_r11, scores.aos_r11)
        loose[name] = _ap_row(label, scores.loose_ap_r40, ("3d", "bev"))

    means = {}
    for metric, difficulty in product(METRICS, DIFFICULTIES):
        key = f"ap{metric}_{difficulty}"
        means[key] = _mean([row[key] for row in classes.values()])

    curves = {}
    for metric, by_class in zip(METRICS, scores.precision[:, :, _MODERATE], strict=True):
        curves[f"ap{metric}_moderate"] = dict(zip(CLASSES, map(_rounded, by_class), strict=True))

    return {
        **means,
        "ap3d_moderate_r11": _mean([row["ap3d_moderate"] for row in old.values()]),
        "frames": frames,
        "classes": classes,
        "with_11_recalls": old,
        "with_loose_overlaps": loose,
        "ranges": {f"{near} to {far} m": _ring(split, (near, far)) for near, far in RINGS_M},
        "precision_recall": {"recall": _rounded(RECALLS), **curves},
        "min_overlap": _listed(MIN_OVERLAP),
        "loose_overlap": _listed(LOOSE_OVERLAP),
    }


def _class_row(label: int, ap: np.ndarray, aos: np.ndarray) -> dict[str, float]:
    """One class's AP by metric and difficulty, in space first, and its AOS by difficulty."""
    angles = {f"aos_{difficulty}": float(aos[label, d]) for d, difficulty in enumerate(DIFFICULTIES)}
    return _ap_row(label, ap, tuple(reversed(METRICS))) | angles


def _ap_row(label: int, ap: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    return {
        f"ap{metric}_{difficulty}": float(ap[METRICS.index(metric), label, d])
        for metric in metrics
        for d, difficulty in enumerate(DIFFICULTIES)
    }


def _listed(overlaps: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {least:g}" for name, least in overlaps.items())


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


def _add_area(summary: dict[str, Any], matches: Sequence[SceneMatches]) -> None:
    """The area under the whole curve, in space at moderate difficulty, with its interval."""
    (result,) = average_precision(matches, len(CLASSES), (0.0,), without_truth="skip", draws=DRAWS)
    for label, name in enumerate(CLASSES):
        area = {"ap3d_moderate_area": float(result.ap[label])}  # first, where a table has no room for all
        summary["classes"][name] = area | summary["classes"][name]
    summary["ap3d_moderate_area"] = result.mean_ap
    summary["ap3d_moderate_area_interval"] = list(result.interval)


def _ring(split: Split, ring: tuple[float, float]) -> dict[str, Any]:
    by_class = dict(zip(CLASSES, ring_scores(split, ring), strict=True))
    return {
        **{name: ap for name, (ap, _) in by_class.items()},
        **{f"{name}_ground_truths": objects for name, (_, objects) in by_class.items()},
    }


def _mean(values: Sequence[float]) -> float:
    """Over the classes that are annotated."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
