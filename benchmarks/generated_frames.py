"""Generated KITTI frames beside real ones: `python -m benchmarks.generated_frames REAL GENERATED`.

Both are folders in KITTI's object layout. Counted is what a detector gets: points that the camera sees. A car counts if
its label says that it is fully visible and not cut by the image. The figure is `docs/pictures/generated_frames.png`,
the numbers are `benchmarks/results/generated_frames.json`.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common import print_table, real_and_generated, save
from pointcloud.datasets.kitti.dataset import KittiFrame
from vol3d.geometry import points_in_boxes

EDGES_M = np.array([0, 10, 15, 20, 25, 30, 35, 40, 50, 60, 75])
TYPES = ("Car", "Pedestrian", "Cyclist")
GROUND_M, CELL_M = 0.2, 2.0  # a point this much above the lowest of its cell is not of the ground
FIGURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "generated_frames.png"


class Seen(NamedTuple):
    """What a folder shows.

    Args:
        frames: how many.
        objects: (n, 4) type, distance, points inside, 1 if it is fully visible and not cut.
        on_cars: (m, 3) height in the box, distance to the nearest side of it, intensity of points on those cars.
        others: (k, 3) distance, height above the ground near it, intensity of points of none of the boxes.
    """

    frames: int
    objects: np.ndarray
    on_cars: np.ndarray
    others: np.ndarray


def look(root: Path, limit: int) -> Seen:
    """Reads the frames of a folder; of a dense sequence (names from 900000 on) every sixth."""
    names = sorted(path.stem for path in (root / "training" / "velodyne").glob("*.bin"))
    names = [name for name in names if name < "900000" or int(name) % 6 == 0][:limit]
    found = [_look_at(KittiFrame(root / "training", name, TYPES)) for name in names]
    return Seen(len(names), *(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _look_at(frame: KittiFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scene, rows = frame.read(), frame.objects()
    rows = rows.select(np.isin(rows.types, TYPES))
    xyz, boxes = scene.cloud.xyz.astype(np.float64), scene.truth.boxes.astype(np.float64)
    intensity = scene.cloud.columns["intensity"]
    wide = boxes + np.array([0, 0, 0, 0.4, 0.4, 0.4, 0])
    inside, about = (points_in_boxes(torch.from_numpy(xyz), torch.from_numpy(one)).numpy().T for one in (boxes, wide))
    whole = (rows.occlusion == 0) & (rows.truncation < 0.1)
    kinds = np.array([TYPES.index(name) for name in rows.types], np.int64)
    objects = np.column_stack([kinds, np.hypot(boxes[:, 0], boxes[:, 1]), inside.sum(axis=0), whole])
    cars = np.flatnonzero(whole & (kinds == 0))
    on_cars = [_in_box(xyz[inside[:, n]], boxes[n], intensity[inside[:, n]]) for n in cars]
    other = ~about.any(axis=1)
    others = np.column_stack([np.hypot(xyz[:, 0], xyz[:, 1]), _above_ground(xyz), intensity])[other]
    return objects, np.concatenate([np.zeros((0, 3)), *on_cars]), others


def _in_box(xyz: np.ndarray, box: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Share of the height, metres to the nearest side, intensity."""
    cos, sin = np.cos(box[6]), np.sin(box[6])
    dx, dy = xyz[:, 0] - box[0], xyz[:, 1] - box[1]
    aside = np.minimum(box[3] / 2 - np.abs(cos * dx + sin * dy), box[4] / 2 - np.abs(cos * dy - sin * dx))
    return np.column_stack([(xyz[:, 2] - box[2]) / box[5] + 0.5, aside, intensity])


def _above_ground(xyz: np.ndarray) -> np.ndarray:
    """Metres above the lowest point of a cell."""
    cells = np.floor(xyz[:, :2] / CELL_M).astype(np.int64)
    _, number = np.unique(cells[:, 0] * 10_000 + cells[:, 1], return_inverse=True)
    lowest = np.full(number.max(initial=-1) + 1, np.inf)
    np.minimum.at(lowest, number, xyz[:, 2])
    return np.asarray(xyz[:, 2] - lowest[number])


def rows_of(name: str, seen: Seen) -> dict[str, object]:
    """The numbers of a folder."""
    cars, ground = seen.objects[seen.objects[:, 0] == 0], seen.others[:, 1] < GROUND_M
    found: dict[str, object] = {"data": name, "frames": seen.frames, "cars a frame": len(cars) / seen.frames}
    for (low, high), counts in by_range(seen, 0):
        if len(counts):
            found[f"points on a car {low:.0f}-{high:.0f} m"] = float(np.median(counts))
    found["ground points a frame"] = float(ground.sum() / seen.frames)
    found["other points a frame"] = float((~ground).sum() / seen.frames)
    found["on cars: without intensity"] = float((seen.on_cars[:, 2] < 0.005).mean())
    found["on cars: above 0.65 of the height"] = float((seen.on_cars[:, 0] > 0.65).mean())
    found["on cars: over 0.2 m from a side"] = float((seen.on_cars[:, 1] > 0.2).mean())
    found["ground: median intensity to 25 m"] = float(np.median(seen.others[ground & (seen.others[:, 0] < 25), 2]))
    found["others: median intensity to 25 m"] = float(np.median(seen.others[~ground & (seen.others[:, 0] < 25), 2]))
    return found


def by_range(seen: Seen, kind: int) -> list[tuple[tuple[float, float], np.ndarray]]:
    """Points of the fully visible objects of a type, by distance."""
    mine = seen.objects[(seen.objects[:, 0] == kind) & (seen.objects[:, 3] == 1)]
    bins = np.digitize(mine[:, 1], EDGES_M) - 1
    return [((low, high), mine[bins == n, 2]) for n, (low, high) in enumerate(itertools.pairwise(EDGES_M))]


def draw(both: dict[str, Seen]) -> Path:
    """The figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    for (name, seen), colour in zip(both.items(), ("tab:blue", "tab:orange"), strict=True):
        for axis, kind in zip(axes[0], TYPES, strict=True):
            counts = by_range(seen, TYPES.index(kind))
            known = [(sum(edges) / 2, np.percentile(n, [25, 50, 75])) for edges, n in counts if len(n) > 1]
            if known:
                at, (low, middle, high) = [x for x, _ in known], np.array([y for _, y in known]).T
                axis.plot(at, middle, marker="o", color=colour, label=f"{name}, {seen.frames} frames")
                axis.fill_between(at, low, high, color=colour, alpha=0.2)
            axis.set(yscale="log", title=f"points on a {kind.lower()}", xlabel="distance in m (median, quartiles)")
        ground = seen.others[:, 1] < GROUND_M
        _histogram(axes[1, 0], seen.on_cars[:, 0], colour, "points on cars", "share of the box's height")
        _histogram(axes[1, 1], seen.on_cars[:, 2], colour, "points on cars", "intensity")
        _histogram(axes[1, 2], seen.others[~ground, 2], colour, "points on neither boxes nor ground", "intensity")
    axes[0, 0].legend()
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=80)
    return FIGURE


def _histogram(axis: Any, values: np.ndarray, colour: str, title: str, label: str) -> None:
    axis.hist(values, bins=25, range=(0, 1), density=True, histtype="step", color=colour, linewidth=2)
    axis.set(title=title, xlabel=label)


def main() -> None:
    """Reads both folders, prints and saves."""
    both = real_and_generated(look, __doc__)
    rows = [rows_of(name, seen) for name, seen in both.items()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    print_table([{"": name, **{str(row["data"]): row.get(name, "") for row in rows}} for name in names[1:]])
    print(save("generated_frames", rows), draw(both))


if __name__ == "__main__":
    main()
