"""Keyframes of generated drives beside the real one of nuScenes: `python -m benchmarks.generated_drives REAL DRIVES`.

REAL has the keyframe (`*LIDAR_TOP*.pcd.bin`) and its annotations (`keyframe.json`), DRIVES is a folder that `vol3d data
generate drives --streets realistic` made. One real frame is no distribution: of each number the table has the real one
and what a tenth, a half and nine tenths of the generated keyframes do not exceed. Points within 1.2 m are the car's own
and beams without an answer. The numbers are `benchmarks/results/generated_drives.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import print_table, save
from pointcloud.datasets.nuscenes.dataset import NuScenesSettings
from vol3d.geometry import points_in_boxes

OWN_M = 1.2
RANGES_M = (OWN_M, 5, 10, 15, 20, 30, 40, 60, 100)
OBJECT_RANGES_M = (5, 10, 15, 20, 25, 30, 40, 50, 70)
KINDS = ("car", "pedestrian", "barrier")
Objects = list[tuple[str, float, int]]
"""Class, distance and points of each object."""


def look(points: np.ndarray, boxes: np.ndarray, names: list[str]) -> tuple[dict[str, float], Objects]:
    """The numbers of a keyframe, from points (N, 4 or more) x y z and intensity 0 to 255."""
    near = np.linalg.norm(points[:, :3], axis=1) > OWN_M
    seen, away = points[near], np.hypot(points[near, 0], points[near, 1])
    found: dict[str, float] = {"points": len(seen), "objects": len(boxes)}
    for low, high in itertools.pairwise(RANGES_M):
        found[f"points {low:g}-{high:g} m"] = int(((away >= low) & (away < high)).sum())
    parts = {
        "ground to 15 m": (seen[:, 2] < -1.5) & (away < 15),
        "above it to 25 m": (seen[:, 2] > -1.0) & (away < 25),
        "beyond 40 m": away > 40,
        "all": away > 0,
    }
    inside = points_in_boxes(torch.from_numpy(points[:, :3].astype(np.float64)), torch.from_numpy(boxes)).numpy()
    on_cars = inside[np.array([name == "car" for name in names], bool)].any(axis=0)
    for part, values in [*((part, seen[mask, 3]) for part, mask in parts.items()), ("cars", points[on_cars, 3])]:
        for share in (25, 50, 75, 95):
            found[f"intensity, {part}, {share} %"] = float(np.percentile(values, share)) if len(values) else np.nan
    distances = np.hypot(boxes[:, 0], boxes[:, 1]).tolist()
    return found, list(zip(names, distances, inside.sum(axis=1).tolist(), strict=True))


def real_frame(folder: Path) -> tuple[dict[str, float], Objects]:
    """Of the keyframe."""
    (file,) = folder.glob("*LIDAR_TOP*.pcd.bin")
    known = json.loads((folder / "keyframe.json").read_text())  # velocities may be NaN, which JSON has not
    boxes = np.array([one["bbox_3d"] for one in known["instances"]])
    names = [known["classes"][one["bbox_label_3d"]] for one in known["instances"]]
    return look(np.fromfile(file, "<f4").reshape(-1, 5), boxes, names)


def generated_frames(root: Path, limit: int) -> tuple[list[dict[str, float]], Objects]:
    """Of up to `limit` keyframes, evenly from all drives."""
    split = NuScenesSettings(root=root, sweeps=1).split()
    readers = split.labelled
    numbers, objects = [], Objects()
    for reader in readers[:: max(1, len(readers) // limit)][:limit]:
        scene = reader.read()
        points = np.column_stack([scene.cloud.xyz, scene.cloud.columns["intensity"]])
        boxes = scene.truth.boxes[:, :7].astype(np.float64)
        found, more = look(points, boxes, [split.class_names[label] for label in scene.truth.labels])
        numbers.append(found)
        objects += more
    return numbers, objects


def rows_of(real: dict[str, float], generated: list[dict[str, float]]) -> list[dict[str, object]]:
    """A row for each number."""
    rows: list[dict[str, object]] = []
    for name, value in real.items():
        low, middle, high = np.nanpercentile([one[name] for one in generated], [10, 50, 90]).tolist()
        rows.append({"": name, "real": value, "generated, 10 %": low, "50 %": middle, "90 %": high})
    return rows


def object_rows(real: Objects, generated: Objects) -> list[dict[str, object]]:
    """A row for each class and range: points of the real objects, and quantiles of the generated ones that have any."""
    rows: list[dict[str, object]] = []
    for kind, (low, high) in itertools.product(KINDS, itertools.pairwise(OBJECT_RANGES_M)):
        own, others = (
            sorted(n for name, away, n in objects if name == kind and low <= away < high and n)
            for objects in (real, generated)
        )
        if own and others:
            quantiles = np.percentile(others, [10, 50, 90]).tolist()
            row = {"": f"points on a {kind} {low:g}-{high:g} m", "real": " ".join(map(str, own))}
            rows.append(row | dict(zip(("generated, 10 %", "50 %", "90 %"), quantiles, strict=True)))
    return rows


def main() -> None:
    """Looks at both, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("drives", type=Path)
    parser.add_argument("--limit", type=int, default=80, help="generated keyframes at most")
    words = parser.parse_args()
    real, objects = real_frame(words.real)
    generated, others = generated_frames(words.drives, words.limit)
    rows = [{"": "keyframes", "real": 1, "generated, 10 %": "", "50 %": len(generated), "90 %": ""}]
    rows += rows_of(real, generated) + object_rows(objects, others)
    print_table(rows)
    print(save("generated_drives", rows))


if __name__ == "__main__":
    main()
