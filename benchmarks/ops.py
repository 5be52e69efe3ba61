"""Point operations against fpsample, SciPy and spconv, and how the cost grows with the points.

    python -m benchmarks.ops [--device cuda]

Inputs are synthetic (`scenes`): a room for sampling and neighbours, LiDAR sweeps for voxels. The figure of a peer that
is not installed is left out. Hard voxels are filled with the same limits by both sides, and their contents compared
to the bit; the peer keeps its tables and hands out its own buffer, ours returns tensors of its own. On CUDA the one
peer is spconv's wheel for it, and sampling is also timed with one program a cloud and with many, whatever ours chooses.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before spconv and torch start their threads

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.common import Panel, least_ms, one_thread, plot, print_table, save
from benchmarks.scenes import room, street
from vol3d.ops import VoxelGrid, assign_voxels, ball_query, farthest_point_sample, knn, voxelize

PICKS = 2048
RANGE = (-75.2, -75.2, -2.0, 75.2, 75.2, 4.0)
GRIDS = {"0.1 m": VoxelGrid((0.1, 0.1, 0.1), RANGE), "pillars 0.2 m": VoxelGrid.pillars((0.2, 0.2), RANGE)}
LIMITS = {"0.1 m": (10, 120_000), "pillars 0.2 m": (20, 40_000)}  # points a voxel, voxels: Object DGCNN's

Works = dict[str, Callable[[], object]]


def sampling(points: NDArray[np.float32], device: str) -> Works:
    """FPS of 2,048 points. The peer is exact too, but starts where it likes (1.0.2 ignores its start index)."""
    batch = torch.from_numpy(points)[None].to(device)
    works: Works = {"ours": lambda: farthest_point_sample(batch, PICKS)}
    if device == "cpu" and find_spec("fpsample"):
        import fpsample

        works["fpsample"] = lambda: fpsample.bucket_fps_kdline_sampling(points, PICKS, h=7)
    if device == "cuda":
        works |= both_samplers(batch)
    return works


def both_samplers(batch: torch.Tensor) -> Works:
    """The two kernels of `vol3d.ops.sampling_steps`: their lines cross where `SPREAD_FROM` should lie."""
    from vol3d.ops.sampling_steps import POINTS, Steps
    from vol3d.ops.sampling_triton import sample_clouds_triton

    usable, starts = torch.ones_like(batch[..., 0], dtype=torch.bool), torch.zeros_like(batch[:, 0, 0]).long()
    steps = Steps(batch.device, 1, -(-batch.shape[1] // POINTS), PICKS).capture()
    return {
        "one program": lambda: sample_clouds_triton(batch, usable, starts, PICKS),
        "many programs": lambda: steps.take(batch, usable, starts),
    }


def balls(points: NDArray[np.float32], device: str) -> Works:
    """Up to 64 neighbours within 0.2 m of 2,048 points; building the tree or the cells is part of the work."""
    batch = torch.from_numpy(points)[None].to(device)
    centers = batch[:, _some(len(points))].contiguous()
    queries = centers[0].cpu().numpy()
    works: Works = {"ours": lambda: ball_query(batch, centers, 0.2, 64)}
    if device == "cpu":
        works["SciPy"] = lambda: cKDTree(points).query_ball_point(queries, 0.2, return_sorted=True)
    return works


def neighbours(points: NDArray[np.float32], device: str, whole: bool) -> Works:
    """16 nearest of every point, or of 2,048 points."""
    batch = torch.from_numpy(points)[None].to(device)
    targets = batch if whole else batch[:, _some(len(points))].contiguous()
    queries = targets[0].cpu().numpy()
    works: Works = {"ours": lambda: knn(batch, targets, 16)}
    if device == "cpu":
        works["SciPy"] = lambda: cKDTree(points).query(queries, 16)
    return works


def voxels(points: NDArray[np.float32], device: str, name: str) -> Works:
    """Hard voxels, and the mean of all points of each voxel. The peer keeps its tables and outputs between calls."""
    grid, (max_points, max_voxels) = GRIDS[name], LIMITS[name]
    cloud = torch.from_numpy(points).to(device)
    works: Works = {
        "ours": lambda: voxelize([cloud], grid, max_points=max_points, max_voxels=max_voxels),
        "ours, mean": lambda: assign_voxels([cloud], grid).mean(),
    }
    if spconv_for(device):
        from spconv.pytorch.utils import PointToVoxel

        peer = PointToVoxel(
            list(grid.voxel_size), list(grid.point_range), 4, max_voxels, max_points, torch.device(device)
        )
        works["spconv"] = lambda: peer(cloud)
    return works


def spconv_for(device: str) -> bool:
    """Whether the spconv that is installed is for this device."""
    if find_spec("spconv") is None:
        return False
    from cumm import tensorview

    return bool(tensorview.is_cpu_only()) == (device == "cpu")


def works_of(name: str, count: int, device: str) -> Works:
    """The work `name` on a cloud of `count` points."""
    if name in GRIDS:
        return voxels(street(count), device, name)
    if name.startswith("kNN"):
        return neighbours(room(count), device, name == "kNN 16, all")
    return {"FPS": sampling, "ball": balls}[name](room(count), device)


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
        works = voxels(street(60000), "cpu", name)
        if "spconv" in works:
            theirs, ours = works["spconv"](), works["ours"]()
            same = np.array_equal(theirs[0].numpy(), ours.points) and np.array_equal(theirs[2].numpy(), ours.counts)  # type: ignore[index,attr-defined]
            if not same:
                raise SystemExit("voxels differ from spconv")


def _some(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).choice(count, PICKS, replace=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    one_thread()
    if device == "cpu":
        check()
    rows: list[dict[str, object]] = []
    panels: dict[str, Panel] = {}
    for name in ("FPS", "ball", "kNN 16", "kNN 16, all", *GRIDS):
        sizes = (10_000, 40_000, 150_000) if name not in GRIDS else (30_000, 100_000, 300_000)
        sizes = (4000, *sizes) if name == "FPS" and device == "cuda" else sizes
        lines: dict[str, tuple[list[float], list[float]]] = {}
        for count in sizes:
            ms = least_ms(works_of(name, count, device), 3 if name == "kNN 16, all" else 7, device)
            peer = next((p for p in ("fpsample", "one program", "SciPy", "spconv") if p in ms), "-")
            ratio = ms[peer] / ms["ours"] if peer in ms else "-"
            row = {"work": name, "points": count, "ours ms": ms["ours"], "ours, mean ms": ms.get("ours, mean", "-")}
            rows.append(row | {"peer": peer, "peer ms": ms.get(peer, "-"), "x peer": ratio})
            for who in ms:
                x, y = lines.setdefault(who, ([], []))
                x.append(count)
                y.append(ms[who])
        panels[name] = Panel("points", lines)
    print_table(rows)
    result = "ops" if device == "cpu" else "ops_cuda"
    print(save(result, rows, ("fpsample", "scipy", "spconv"), device))
    print(plot(result, panels, "CPU time of one thread, ms" if device == "cpu" else "ms"))


if __name__ == "__main__":
    main()
