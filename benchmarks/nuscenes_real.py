"""Detectors trained on generated drives in the real keyframe of nuScenes, and in drives that they have not seen.

    python -m benchmarks.nuscenes_real FOLDER MODEL [MODEL ...] [--drives NAME=ROOT ...]

FOLDER has the keyframe (`*LIDAR_TOP*.pcd.bin`) and its annotations (`keyframe.json`). It is read as any file is: one
sweep, no times. An object counts if it has a point and its centre lies where the model looks; it is found if a box of
its class is near enough, the surest box first, from a score of 0.3. Of each folder of drives all samples are scored by
nuScenes' benchmark. Writes `benchmarks/results/nuscenes_real.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import vol3d
from benchmarks.common import one_thread, print_table, save
from vol3d.scans.results.detections import Detections

SCORE, NEAR_M = 0.3, (2.0, 4.0)
COLUMNS = ("x", "y", "z", "intensity", "ring")


def truth_of(folder: Path, half_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) and names (n,) of the annotated objects within a square about the scanner that have a point."""
    known = json.loads((folder / "keyframe.json").read_text())  # velocities may be NaN, which JSON has not
    seen = [one for one in known["instances"] if one["num_lidar_pts"] > 0]
    boxes = np.array([one["bbox_3d"] for one in seen])
    names = np.array([known["classes"][one["bbox_label_3d"]] for one in seen])
    inside = (np.abs(boxes[:, :2]) < half_m).all(axis=1)
    return boxes[inside, :2], names[inside]


def matched(found: np.ndarray, truth: np.ndarray, near_m: float) -> int:
    """How many objects (n, 2) have a box (m, 2) of their own within a distance; the first boxes choose first."""
    left = np.ones(len(truth), bool)
    for place in found:
        away = np.where(left, np.hypot(*(truth - place).T), np.inf)
        if len(away) and away.min() <= near_m:
            left[away.argmin()] = False
    return int((~left).sum())


def keyframe_rows(name: str, found: Detections, folder: Path, half_m: float) -> list[dict[str, Any]]:
    """A row for each class and one for all."""
    sure = found.select(found.scores >= SCORE)
    sure = sure.select(np.argsort(-sure.scores, kind="stable"))
    centres, names = truth_of(folder, half_m)
    of_box = np.array(sure.class_names)[sure.labels] if len(sure.labels) else np.zeros(0, np.str_)
    rows = []
    for kind in found.class_names:
        boxes, objects = sure.boxes[of_box == kind, :2], centres[names == kind]
        counts = {f"found within {near:g} m": matched(boxes, objects, near) for near in NEAR_M}
        rows.append({"model": name, "class": kind, "objects": len(objects), **counts, "boxes": len(boxes)})
    keys = [key for key in rows[0] if key not in ("model", "class")]
    rows.append({"model": name, "class": "all", **{key: sum(row[key] for row in rows) for key in keys}})
    for row in rows:
        row["precision at 2 m"] = row["found within 2 m"] / row["boxes"] if row["boxes"] else None
    return rows


def drive_row(name: str, drives: str, root: str) -> dict[str, Any]:
    """Scores on all samples of a folder of drives."""
    summary = vol3d.evaluate(name, root, split="all").summary
    cars = summary["classes"]["car"]
    row = {"model": name, "drives": drives, "samples": summary["samples"], "NDS": summary["nds"], "mAP": summary["map"]}
    return row | {"cars": cars["ap"], "pedestrians": summary["classes"]["pedestrian"]["ap"]}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--drives", nargs="*", default=[], metavar="NAME=ROOT")
    words = parser.parse_args()
    one_thread()
    (file,) = words.folder.glob("*LIDAR_TOP*.pcd.bin")
    points = np.fromfile(file, "<f4").reshape(-1, len(COLUMNS))
    frame, drives = [], []
    for name in words.models:
        model: Any = vol3d.load(name, device="cpu")
        half_m = float(model.task.settings.model.voxels.point_range_m[3])
        found = model.predict(points, columns=COLUMNS, score=0.0).detections
        frame += keyframe_rows(Path(name).name, found, words.folder, half_m)
        for given in words.drives:
            kind, _, root = given.partition("=")
            drives.append(drive_row(name, kind, root) | {"model": Path(name).name})
    print_table(frame)
    if drives:
        print_table(drives)
    print(save("nuscenes_real", [*frame, *drives]))


if __name__ == "__main__":
    main()
