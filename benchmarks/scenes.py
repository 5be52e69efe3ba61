"""Clouds and voxels to measure on: real scans where the sample data are, else synthetic ones with their statistics.

Points lie on surfaces, a LiDAR's get thinner with distance.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(os.environ.get("VOL3D_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# Voxels wanted -> file of the scan, columns of a point, voxel size and range z y x in metres.
SCANS = {
    20_000: ("kitti/training/velodyne", 4, (0.1, 0.05, 0.05), ((-3, 1), (-40, 40), (0, 70.4))),
    60_000: ("nuscenes/ten_sweeps.bin", 5, (0.2, 0.075, 0.075), ((-5, 3), (-54, 54), (-54, 54))),
    120_000: ("nuscenes/ten_sweeps.bin", 5, (0.1, 0.06, 0.06), ((-5, 3), (-54, 54), (-54, 54))),
}


def voxels(wanted: int) -> tuple[NDArray[np.int32], tuple[int, int, int]]:
    """Voxels [<= wanted, 4] batch z y x in the order in which a scan first touches them, and the grid's shape."""
    name, columns, size, bounds = SCANS[wanted]
    if DATA.is_dir():
        path = DATA / name
        path = sorted(path.glob("*.bin"))[0] if path.is_dir() else path
        points = np.fromfile(path, np.float32).reshape(-1, columns)
    else:
        points = street(4 * wanted)
    low, high = np.array(bounds).T
    shape = np.round((high - low) / size).astype(int)
    cells = np.floor((points[:, [2, 1, 0]].astype(np.float64) - low) / size).astype(int)
    cells = cells[((cells >= 0) & (cells < shape)).all(1)]
    first = np.sort(np.unique(cells, axis=0, return_index=True)[1])[:wanted]
    coordinates = np.pad(cells[first], ((0, 0), (1, 0))).astype(np.int32)
    return coordinates, (int(shape[0]) + 1, int(shape[1]), int(shape[2]))


def room(points: int, seed: int = 0) -> NDArray[np.float32]:
    """An indoor scan (N, 3), metres: floor and two walls of a room of 6 x 5 x 2.6 m, 14 boxes, 5 mm of noise."""
    random = np.random.default_rng(seed)
    extent = np.array([6.0, 5.0, 2.6])
    xyz = random.uniform(size=(points, 3)) * extent
    surface = random.integers(0, 5, points)
    for part, across in ((0, 2), (1, 0), (2, 1)):
        xyz[surface == part, across] = 0
    low, size = random.uniform(size=(14, 3)) * (extent - 1), random.uniform(0.3, 1.2, (14, 3))
    low[:, 2] = 0
    on_box = np.flatnonzero(surface >= 3)
    box, axis = random.integers(0, 14, len(on_box)), random.integers(0, 3, len(on_box))
    place = random.uniform(size=(len(on_box), 3))
    place[np.arange(len(on_box)), axis] = random.integers(0, 2, len(on_box))
    xyz[on_box] = low[box] + place * size[box]
    return (xyz + random.normal(0, 0.005, xyz.shape)).astype(np.float32)


def street(points: int, seed: int = 0) -> NDArray[np.float32]:
    """Sweeps of a 64-beam LiDAR, joined (N, 4): x y z in metres, intensity; flat ground and 120 boxes within 60 m."""
    random = np.random.default_rng(seed)
    center = random.uniform(-60, 60, (120, 2))
    center = center[np.hypot(*center.T) > 6]
    half, height = random.uniform(0.3, 3.0, (len(center), 2)), random.uniform(1.4, 6.0, len(center))
    sweeps: list[NDArray[np.float32]] = []
    while sum(map(len, sweeps)) < points:
        origin = np.array([0.6 * len(sweeps), 0.05 * len(sweeps), 1.73])
        sweeps.append(_sweep(origin, center, half, height, random))
    return np.concatenate(sweeps)[:points]


def _sweep(
    origin: NDArray, center: NDArray, half: NDArray, height: NDArray, random: np.random.Generator
) -> NDArray[np.float32]:
    """One turn: each ray ends at the ground or at the first box (the slab test), 2 cm of noise along it."""
    azimuth, elevation = np.meshgrid(
        np.linspace(0, 2 * np.pi, 1000), np.deg2rad(np.linspace(2, -24.8, 64)), indexing="ij"
    )
    flat = np.cos(elevation)
    ray = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], -1).reshape(-1, 3)
    with np.errstate(divide="ignore"):
        reach = np.where(ray[:, 2] < 0, -origin[2] / ray[:, 2], np.inf)
        for (x, y), (dx, dy), top in zip(center, half, height, strict=True):
            walls = (np.array([[x - dx, y - dy, 0], [x + dx, y + dy, top]]) - origin)[:, None] / ray
            enter, leave = walls.min(0).max(1), walls.max(0).min(1)
            reach = np.where((enter < leave) & (enter > 0.5), np.minimum(reach, enter), reach)
    hit = reach < 75
    xyz = origin + ray[hit] * (reach[hit] + random.normal(0, 0.02, hit.sum()))[:, None]
    return np.concatenate([xyz, random.uniform(size=(len(xyz), 1))], 1).astype(np.float32)
