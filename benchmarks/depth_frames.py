"""Generated depth frames beside real ones: `python -m benchmarks.depth_frames REAL GENERATED`.

Both are folders that `sun_rgbd` reads; all their frames count, up to `--limit`. A frame's floor is where its lowest
points are, found as models find it. The figure is `docs/pictures/depth_frames.png`, the numbers are
`benchmarks/results/depth_frames.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common import print_table, real_and_generated, save
from pointcloud.datasets.scenes import Scene
from pointcloud.datasets.sun_rgbd.dataset import SunRgbdSettings
from pointcloud.structures.class_names import SUN_RGBD_CLASSES
from pointcloud.structures.features import FLOOR_PERCENT
from vol3d.geometry import points_in_boxes

LEVEL_M = 0.08  # as near to the floor counts to it
FIGURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "depth_frames.png"


class Seen(NamedTuple):
    """What a folder shows.

    Args:
        frames: (F, 9) camera above the floor in m; quartiles of the depth in m; half the angle of view across in
            degrees; shares of the points on the floor, more than 1.8 m above it, in boxes; number of boxes.
        objects: (K, 5) class, l, w, h in m, share of the frame's points in the box.
        depth: (N,) of a thousand points of each frame, m.
    """

    frames: np.ndarray
    objects: np.ndarray
    depth: np.ndarray


def look(root: Path, limit: int) -> Seen:
    """Reads the frames of a folder."""
    readers = SunRgbdSettings(root=root).split().require().labelled[:limit]
    found = [_look_at(reader.read()) for reader in readers]
    return Seen(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _look_at(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xyz, boxes = scene.cloud.xyz.astype(np.float64), scene.truth.boxes.astype(np.float64)
    inside = points_in_boxes(torch.from_numpy(xyz), torch.from_numpy(boxes)).numpy().T
    floor = np.percentile(xyz[:, 2], FLOOR_PERCENT)
    high, depth = xyz[:, 2] - floor, np.linalg.norm(xyz, axis=1)
    across = np.rad2deg(np.percentile(np.abs(np.arctan2(xyz[:, 0], xyz[:, 1])), 99))
    shares = [(high < LEVEL_M).mean(), (high > 1.8).mean(), inside.any(axis=1).mean()]
    frame = [-floor, *np.percentile(depth, [25, 50, 75]), across, *shares, len(boxes)]
    objects = np.column_stack([scene.truth.labels, boxes[:, 3:6], inside.mean(axis=0)])
    return np.array([frame]), objects.reshape(-1, 5), depth[:: max(1, len(depth) // 1000)]


COLUMNS = (
    "camera above the floor, m", "depth, lower quartile, m", "depth, median, m", "depth, upper quartile, m",
    "half the angle across, degrees", "points on the floor", "points over 1.8 m", "points in boxes", "boxes",
)  # fmt: skip


def rows_of(seen: Seen) -> dict[str, str]:
    """Means and deviations over frames; medians over the boxes of a class."""
    found = {"frames": str(len(seen.frames))}
    for name, column in zip(COLUMNS, seen.frames.T, strict=True):
        found[f"{name} (mean, deviation)"] = f"{column.mean():.2f}, {column.std():.2f}"
    found["frames without a box"] = f"{(seen.frames[:, -1] == 0).mean():.2f}"
    for label, name in enumerate(SUN_RGBD_CLASSES):
        mine = seen.objects[seen.objects[:, 0] == label]
        if len(mine):
            length, width, height, share = np.median(mine[:, 1:], axis=0)
            found[f"{name}: boxes a frame"] = f"{len(mine) / len(seen.frames):.2f}"
            found[f"{name}: l w h, share of points (medians)"] = f"{length:.2f} {width:.2f} {height:.2f}, {share:.3f}"
    return found


def draw(both: dict[str, Seen]) -> Path:
    """The figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    axes = figure.subplots(1, 4)
    for name, seen in both.items():
        label = f"{name}, {len(seen.frames)} frames"
        _histogram(axes[0], seen.depth, (0, 8), "distance of points, m", label)
        _histogram(axes[1], seen.frames[:, 0], (0.5, 2.2), "camera above the floor, m", label)
        _histogram(axes[2], seen.frames[:, 5], (0, 1), "share of points on the floor", label)
        _histogram(axes[3], seen.objects[:, 4], (0, 0.6), "share of points in one box", label)
    axes[2].legend()
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=80)
    return FIGURE


def _histogram(axis: Any, values: np.ndarray, span: tuple[float, float], title: str, label: str) -> None:
    axis.hist(values, bins=20, range=span, density=True, histtype="step", linewidth=2, label=label)
    axis.set(title=title)


def main() -> None:
    """Reads both folders, prints and saves."""
    both = real_and_generated(look, __doc__)
    tables = {name: rows_of(seen) for name, seen in both.items()}
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    rows: list[dict[str, object]] = [
        {"": name, **{folder: table.get(name, "") for folder, table in tables.items()}} for name in names
    ]
    print_table(rows)
    print(save("depth_frames", rows), draw(both))


if __name__ == "__main__":
    main()
