"""Detectors that have seen generated streets alone, on real sweeps of other scanners, and in unseen generated drives.

    python -m benchmarks.real_streets MODEL [MODEL ...] [--nuscenes FOLDER] [--argoverse2 ROOT] [--kitti ROOT]
        [--drives NAME=ROOT ...]

FOLDER has a keyframe (`*LIDAR_TOP*.pcd.bin`) and its annotations (`keyframe.json`), the others are read as data sets
are. Every sweep is given to the model as an array, one sweep without times, its ground found. An object counts if it
has a point and its centre lies where the model looks; it is found if a box of its class is near enough, the surest box
first, from a score of 0.3. Boxes are counted against precision even where KITTI annotates nothing (DontCare); KITTI's
own AP, at its looser overlaps, leaves those out. Of each folder of drives all samples are scored by nuScenes'
benchmark. Writes `benchmarks/results/real_streets.json`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

import vol3d
from benchmarks.common import one_thread, print_table, save
from pointcloud.datasets.argoverse2.dataset import Argoverse2Settings
from pointcloud.datasets.kitti.dataset import KittiSettings
from pointcloud.datasets.settings import SceneSettings
from pointcloud.evaluation.kitti import evaluate_kitti
from pointcloud.evaluation.kitti_truth import KittiReader, kitti_scored
from vol3d.geometry import count_points_in_boxes
from vol3d.scans.points.cloud import PointCloud

SCORE, NEAR_M = 0.3, (2.0, 4.0)
LEAST_SCORE = 0.05  # for AP
COLUMNS = ("x", "y", "z", "intensity")
KITTI_SCORED = {"car": "Car", "pedestrian": "Pedestrian", "bicycle": "Cyclist"}
KITTI_KINDS = {"Car": "car", "Van": "car", "Truck": "truck", "Pedestrian": "pedestrian", "Cyclist": "bicycle"}
ARGOVERSE_KINDS = {
    "REGULAR_VEHICLE": "car",
    **dict.fromkeys(("BOX_TRUCK", "LARGE_VEHICLE", "TRUCK", "TRUCK_CAB"), "truck"),
    **dict.fromkeys(("BUS", "SCHOOL_BUS", "ARTICULATED_BUS"), "bus"),
    "VEHICULAR_TRAILER": "trailer",
    "PEDESTRIAN": "pedestrian",
    **dict.fromkeys(("BICYCLE", "BICYCLIST"), "bicycle"),
    **dict.fromkeys(("MOTORCYCLE", "MOTORCYCLIST"), "motorcycle"),
    "CONSTRUCTION_CONE": "traffic_cone",
}
"""Classes of nuScenes for those of the others; who rides a cycle is the cycle in nuScenes."""


class Sweep(NamedTuple):
    """Points (N, 3 or more) with named columns; boxes (n, 7) and class (n,) of the objects that have a point."""

    points: np.ndarray
    columns: tuple[str, ...]
    boxes: np.ndarray
    names: np.ndarray


def nuscenes_sweeps(folder: Path) -> Iterator[Sweep]:
    """The keyframe."""
    (file,) = folder.glob("*LIDAR_TOP*.pcd.bin")
    points = np.fromfile(file, "<f4").reshape(-1, 5)
    known = json.loads((folder / "keyframe.json").read_text())  # velocities may be NaN, which JSON has not
    seen = [one for one in known["instances"] if one["num_lidar_pts"] > 0]
    names = np.array([known["classes"][one["bbox_label_3d"]] for one in seen])
    boxes = np.array([one["bbox_3d"] for one in seen])
    yield Sweep(points, (*COLUMNS, "ring"), boxes[:, :7], names)


def sweeps_of(settings: SceneSettings, kinds: dict[str, str]) -> Iterator[Sweep]:
    """Of a data set, with the classes that are also nuScenes'."""
    split = settings.split()
    for reader in split.labelled:
        scene = reader.read()
        xyz, boxes = scene.cloud.xyz, scene.truth.boxes[:, :7].astype(np.float64)
        names = np.array([kinds.get(split.class_names[label], "") for label in scene.truth.labels], np.str_)
        seen = count_points_in_boxes(torch.from_numpy(xyz.astype(np.float64)), torch.from_numpy(boxes)).numpy() > 0
        yield Sweep(points_of(scene.cloud), COLUMNS, boxes[seen], names[seen])


def points_of(cloud: PointCloud) -> np.ndarray:
    """(N, 4), with the columns `COLUMNS`."""
    return np.column_stack([cloud.xyz, cloud.columns["intensity"]])


def matched(found: np.ndarray, truth: np.ndarray, near_m: float) -> int:
    """How many objects (n, 2) have a box (m, 2) of their own within a distance; the first boxes choose first."""
    left = np.ones(len(truth), bool)
    for place in found:
        away = np.where(left, np.hypot(*(truth - place).T), np.inf)
        if len(away) and away.min() <= near_m:
            left[away.argmin()] = False
    return int((~left).sum())


def real_rows(name: str, data: str, model: Any, sweeps: Iterator[Sweep]) -> list[dict[str, Any]]:
    """A row for each class of the data set and one for all."""
    half_m = float(model.task.settings.model.voxels.point_range_m[3])
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in model.task.class_names}
    seen = 0
    for sweep in sweeps:
        seen += 1
        found = model.predict(sweep.points, columns=sweep.columns, score=SCORE, ground="auto").detections
        found = found.select(np.argsort(-found.scores, kind="stable"))
        inside = (np.abs(sweep.boxes[:, :2]) < half_m).all(axis=1)
        for number, kind in enumerate(found.class_names):
            boxes = found.boxes[found.labels == number, :2]
            objects = sweep.boxes[inside & (sweep.names == kind), :2]
            near = {f"found within {far:g} m": matched(boxes, objects, far) for far in NEAR_M}
            counts[kind].update({"objects": len(objects), **near, "boxes": len(boxes)})
    shown = {kind: of for kind, of in counts.items() if of["objects"]}
    together: Counter[str] = Counter()
    for of in shown.values():
        together.update(of)
    rows: list[dict[str, Any]] = []
    for kind, of in [*shown.items(), ("all", together)]:
        precision = of["found within 2 m"] / of["boxes"] if of["boxes"] else None
        rows.append({"model": name, "data": data, "sweeps": seen, "class": kind, **of, "precision at 2 m": precision})
    return rows


def overlap_rows(name: str, settings: KittiSettings, model: Any) -> list[dict[str, Any]]:
    """KITTI's AP of moderate difficulty at the looser overlaps (cars 0.5, others 0.25), a row for each class."""
    scored = []
    for reader in cast(list[KittiReader], settings.split().labelled):
        cloud = reader.read().cloud
        found = model.predict(points_of(cloud), columns=COLUMNS, score=LEAST_SCORE, ground="auto").detections
        names = tuple(KITTI_SCORED.get(kind, kind) for kind in found.class_names)
        scored.append(kitti_scored(reader, cloud, replace(found, class_names=names)))
    summary = evaluate_kitti(scored).summary["with_loose_overlaps"]
    places = {"AP in space": "ap3d_moderate", "AP from above": "apbev_moderate"}
    return [
        {"model": name, "data": "KITTI", "class": kind}
        | {title: round(summary[scored_as][key], 3) for title, key in places.items()}
        for kind, scored_as in KITTI_SCORED.items()
    ]


def drive_row(name: str, drives: str, root: str) -> dict[str, Any]:
    """Scores on all samples of a folder of drives."""
    summary = vol3d.evaluate(name, root, split="all").summary
    scores = {kind: of["ap"] for kind, of in summary["classes"].items()}
    return {"data": drives, "samples": summary["samples"], "NDS": summary["nds"], "mAP": summary["map"], **scores}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    for data in ("nuscenes", "argoverse2", "kitti"):
        parser.add_argument(f"--{data}", type=Path)
    parser.add_argument("--drives", nargs="*", default=[], metavar="NAME=ROOT")
    words = parser.parse_args()
    one_thread()
    real, overlaps, drives = [], [], []
    for path in words.models:
        model, name = vol3d.load(path, device="cpu"), Path(path).name
        if words.nuscenes:
            real += real_rows(name, "nuScenes", model, nuscenes_sweeps(words.nuscenes))
        if words.argoverse2:
            given = Argoverse2Settings(root=words.argoverse2)
            real += real_rows(name, "Argoverse 2", model, sweeps_of(given, ARGOVERSE_KINDS))
        if words.kitti:
            settings = KittiSettings(root=words.kitti, class_names=tuple(KITTI_KINDS))
            real += real_rows(name, "KITTI", model, sweeps_of(settings, KITTI_KINDS))
            overlaps += overlap_rows(name, settings, model)
        for given in words.drives:
            kind, _, root = given.partition("=")
            drives.append({"model": name, **drive_row(path, kind, root)})
    for rows in filter(None, (real, overlaps, drives)):
        print_table(rows)
    print(save("real_streets", [*real, *overlaps, *drives]))


if __name__ == "__main__":
    main()
