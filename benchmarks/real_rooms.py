"""Detectors of rooms on real rooms, side by side: `python -m benchmarks.real_rooms MODEL ... --data sun_rgbd=ROOT`.

MODEL is anything that `vol3d predict` takes; a data set is anything that `vol3d evaluate` takes, and all its labelled
scenes count. Each model sees a scene as `predict` shows it, so that a model for other classes, or of boxes that do not
turn, can be compared. Classes are compared by their names.

An object counts as found if a box of its class has a score above 0.3 and a centre within 0.5 m, as in
`benchmarks.released_votenet`; AP counts each box with its best class, whatever its score. The numbers are in
`benchmarks/results/real_rooms.json`; with `--pictures FOLDER` the best, median and worst scene of each model are drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import one_thread, print_table, save
from pointcloud.datasets.scenes import SceneSplit
from pointcloud.evaluation.pictures import ScoredScene
from pointcloud.evaluation.scenes import evaluate_scenes
from pointcloud.metrics.average_precision import average_precision
from pointcloud.metrics.matches import match_scene
from pointcloud.tasks.rooms import DetectionTask
from vol3d import checkpoint
from vol3d.cli.data import find_split
from vol3d.files import write_bytes
from vol3d.scans.results.detections import Detections

CPU = torch.device("cpu")
SURE, NEAR_M = 0.3, 0.5
SAME = {"nightstand": "night_stand", "garbagebin": "garbage_bin"}


def detected(model: str, split: SceneSplit) -> Iterator[ScoredScene]:
    """The scenes with all that the model finds in them, in the data set's classes."""
    loaded = checkpoint.load(model, CPU, ["predict.score=0"])
    assert isinstance(loaded.task, DetectionTask)
    for reader in split.labelled:
        scene = reader.read()
        found = loaded.task.predict(loaded.models, loaded.task.scan_of(scene.cloud, None), CPU).detections
        yield ScoredScene(scene.name, scene.cloud, scene.truth, in_classes(found, split.class_names))


def in_classes(found: Detections, names: tuple[str, ...]) -> Detections:
    """The detections whose class is among `names`, with labels that index them."""
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers.get(name, numbers.get(SAME.get(name, ""), -1)) for name in found.class_names])
    mine = labels[found.labels]
    kept = mine >= 0
    return Detections(found.boxes[kept], found.scores[kept], mine[kept], names, found.frame)


def objects_found(scene: ScoredScene) -> np.ndarray:
    """Which objects of a scene are found."""
    truth, found = scene.truth, scene.found
    away = np.linalg.norm(truth.boxes[:, None, :3] - found.boxes[None, :, :3], axis=2)  # (objects, boxes)
    return ((away < NEAR_M) & (truth.labels[:, None] == found.labels) & (found.scores > SURE)).any(axis=1)


def row_of(model: str, split: SceneSplit, scenes: list[ScoredScene]) -> dict[str, Any]:
    """The numbers of one model on one data set; AP is the mean over the classes that are annotated."""
    matches = [match_scene(scene.found, scene.truth) for scene in scenes]
    low, high = average_precision(matches, len(split.class_names), (0.25, 0.5), "skip")
    hits = [objects_found(scene) for scene in scenes]
    labels = np.concatenate([scene.truth.labels for scene in scenes])
    each = {
        name: f"{np.concatenate(hits)[labels == label].sum()} of {(labels == label).sum()}"
        for label, name in enumerate(split.class_names)
        if (labels == label).any()
    }
    return {
        "model": Path(model).name,
        "data": split.name,
        "scenes": len(scenes),
        "found": f"{np.concatenate(hits).sum()} of {len(labels)}",
        "boxes above 0.3": sum(int((scene.found.scores > SURE).sum()) for scene in scenes),
        "ap25": round(low.mean_ap, 3),
        "ap50": round(high.mean_ap, 3),
        "found by class": each,
    }


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=ROOT")
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    one_thread()
    rows: list[dict[str, Any]] = []
    for word in given.data:
        name, _, root = word.partition("=")
        split = find_split(name, Path(root))
        for model in given.models:
            scenes = list(detected(model, split))
            rows.append(row_of(model, split, scenes))
            if given.pictures:
                pictures = evaluate_scenes(iter(scenes), split.class_names, pictures="dark").pictures
                for title, picture in pictures.items():
                    write_bytes(given.pictures / f"{Path(model).name}_{name}_{title.split()[0]}.png", picture)
    print_table([{key: value for key, value in row.items() if key != "found by class"} for row in rows])
    print(save("real_rooms", rows))


if __name__ == "__main__":
    main()
