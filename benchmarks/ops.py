"""Point operations against fpsample, SciPy and spconv: CPU time of one thread, and how the cost grows with the points.

    python -m benchmarks.ops

Inputs are made up (`scenes`): a room for sampling and neighbours, LiDAR sweeps for voxels. The figure of a peer that is
not installed is left out.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before spconv and torch start their threads

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.common import cpu_ms, one_thread, plot, print_table, save
from benchmarks.scenes import room, street
from vol3d.ops import VoxelGrid, assign_voxels, ball_query, farthest_point_sample, knn, voxelize

PICKS = 2048
RANGE = (-75.2, -75.2, -2.0, 75.2, 75.2, 4.0)
GRIDS = {"0.1 m": VoxelGrid((0.1, 0.1, 0.1), RANGE), "pillars 0.2 m": VoxelGrid.pillars((0.2, 0.2), RANGE)}
LIMITS = {"0.1 m": (10, 120_000), "pillars 0.2 m": (20, 40_000)}  # points a voxel, voxels: Object DGCNN's

Works = dict[str, Callable[[], object]]


def sampling(points: NDArray[np.float32]) -> Works:
    """FPS of 2,048 points. The peer is exact too, but starts where it likes (1.0.2 ignores its start index)."""
    batch = torch.from_numpy(points)[None]
    works: Works = {"ours": lambda: farthest_point_sample(batch, PICKS)}
    if find_spec("fpsample"):
        import fpsample

        works["fpsample"] = lambda: fpsample.bucket_fps_kdline_sampling(points, PICKS, h=7)
    return works


def balls(points: NDArray[np.float32]) -> Works:
    """Up to 64 neighbours within 0.2 m of 2,048 points; building the tree or the cells is part of the work."""
    batch = torch.from_numpy(points)[None]
    centers = batch[:, _some(len(points))].contiguous()
    queries = centers[0].numpy()
    return {
        "ours": lambda: ball_query(batch, centers, 0.2, 64),
        "SciPy": lambda: cKDTree(points).query_ball_point(queries, 0.2, return_sorted=True),
    }


def neighbours(points: NDArray[np.float32], whole: bool) -> Works:
    """16 nearest of every point, or of 2,048 points."""
    batch = torch.from_numpy(points)[None]
    targets = batch if whole else batch[:, _some(len(points))].contiguous()
    queries = targets[0].numpy()
    return {"ours": lambda: knn(batch, targets, 16), "SciPy": lambda: cKDTree(points).query(queries, 16)}


def voxels(points: NDArray[np.float32], name: str) -> Works:
    """Hard voxels, and the mean of all points of each voxel. The peer keeps its tables and outputs between calls."""
    grid, (max_points, max_voxels) = GRIDS[name], LIMITS[name]
    cloud = torch.from_numpy(points)
    works: Works = {
        "ours": lambda: voxelize([cloud], grid, max_points=max_points, max_voxels=max_voxels),
        "ours, mean": lambda: assign_voxels([cloud], grid).mean(),
    }
    if find_spec("spconv"):
        from spconv.pytorch.utils import PointToVoxel

        peer = PointToVoxel(list(grid.voxel_size), list(grid.point_range), 4, max_voxels, max_points)
        works["spconv"] = lambda: peer(cloud)
    return works


def works_of(name: str, count: int) -> Works:
    """The work `name` on a cloud of `count` points."""
    if name in GRIDS:
        return voxels(street(count), name)
    if name == "kNN 16, all":
        return neighbours(room(count), True)
    return {"FPS": sampling, "ball": balls, "kNN 16": lambda p: neighbours(p, False)}[name](room(count))


def check() -> None:
    """The peers' answers are ours: neighbours to the index (SciPy's are in float64), voxels to the bit."""
    points = room(5000)
    batch = torch.from_numpy(points)[None]
    found = ball_query(batch, batch[:, :100].contiguous(), 0.2, 5000).hits[0].tolist()
    if found != cKDTree(points).query_ball_point(points[:100], 0.2, return_length=True).tolist():
        raise SystemExit("ball query differs from SciPy")
    distances, _ = cKDTree(points).query(points[:100], 16)
    np.testing.assert_allclose(knn(batch, batch[:, :100].contiguous(), 16).distances[0], distances, atol=1e-6)
    for name in GRIDS:
        works = voxels(street(60000), name)
        if "spconv" in works:
            theirs, ours = works["spconv"](), works["ours"]()
            same = np.array_equal(theirs[0].numpy(), ours.points) and np.array_equal(theirs[2].numpy(), ours.counts)  # type: ignore[index,attr-defined]
            if not same:
                raise SystemExit("voxels differ from spconv")


def _some(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).choice(count, PICKS, replace=False))


def main() -> None:
    one_thread()
    check()
    rows: list[dict[str, object]] = []
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for name in ("FPS", "ball", "kNN 16", "kNN 16, all", *GRIDS):
        sizes = (10_000, 40_000, 150_000) if name not in GRIDS else (30_000, 100_000, 300_000)
        for count in sizes:
            ms = cpu_ms(works_of(name, count), repeats=3 if name == "kNN 16, all" else 7)
            peer = next((p for p in ("fpsample", "SciPy", "spconv") if p in ms), "-")
            ratio = ms[peer] / ms["ours"] if peer in ms else "-"
            row = {"work": name, "points": count, "ours ms": ms["ours"], "ours, mean ms": ms.get("ours, mean", "-")}
            rows.append(row | {"peer": peer, "peer ms": ms.get(peer, "-"), "x peer": ratio})
            for who in ms:
                x, y = panels.setdefault(name, {}).setdefault(who, ([], []))
                x.append(count)
                y.append(ms[who])
    print_table(rows)
    print(save("ops", rows, peers=("fpsample", "scipy", "spconv")))
    print(plot("ops", panels, "points", "CPU time of one thread, ms"))


if __name__ == "__main__":
    main()
