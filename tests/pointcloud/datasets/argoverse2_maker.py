"""Short synthetic logs in Argoverse 2's layout: a vehicle that drives along x past parked boxes full of points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pointcloud.conventions.argoverse2 import CUBOID, boxes_to_argoverse2
from pointcloud.conventions.feather import write_feather

STEP_NS, SPEED_M, START_NS = 100_000_000, 1.0, 315966265259836000
PARKED = (
    ("REGULAR_VEHICLE", (12.0, 3.0, 0.8, 4.5, 2.0, 1.6, 0.3)),
    ("REGULAR_VEHICLE", (20.0, -4.0, 0.8, 4.4, 1.9, 1.6, -2.0)),
    ("PEDESTRIAN", (8.0, -3.0, 0.9, 0.7, 0.7, 1.8, 1.0)),
    ("ANIMAL", (5.0, 5.0, 0.4, 1.0, 0.4, 0.8, 0.0)),
    ("BOLLARD", (15.0, 6.0, 0.5, 0.3, 0.3, 1.0, 0.0)),
)
"""Category and x y z l w h yaw in the city, whose frame is that of the first sweep."""
EMPTY = "BOLLARD"  # the beams never reach it


def write_small_argoverse2(root: Path) -> Path:
    """One log each of three sweeps to train on, two to validate on, and one without annotations to test on."""
    for number, (part, sweeps) in enumerate((("train", 3), ("val", 2), ("test", 1))):
        write_log(root / part / f"log-{part}", sweeps, number, labelled=part != "test")
    return root


def write_log(log: Path, sweeps: int, seed: int = 0, labelled: bool = True) -> None:
    """A log of so many sweeps, 0.1 s and 1 m apart."""
    (log / "sensors" / "lidar").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    times = [START_NS + STEP_NS * number for number in range(sweeps)]
    poses = np.zeros((sweeps, 7))
    poses[:, 0], poses[:, 4] = 1.0, SPEED_M * np.arange(sweeps)
    columns = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
    write_feather(
        log / "city_SE3_egovehicle.feather",
        {"timestamp_ns": np.array(times), **dict(zip(columns, poses.T, strict=True))},
    )
    rows = [write_sweep(log, time_ns, SPEED_M * number, rng) for number, time_ns in enumerate(times)]
    if labelled:
        write_annotations(log, times, rows)


def write_sweep(log: Path, time_ns: int, driven_m: float, rng: np.random.Generator) -> list[tuple[np.ndarray, int]]:
    """Points of a sweep; returns each parked box in the vehicle's frame, and how many points are in it."""
    parts, rows = [rng.uniform([-40, -40, -0.3], [40, 40, -0.2], (400, 3))], []
    for category, (x, *rest) in PARKED:
        box = np.array([x - driven_m, *rest])
        count = 0 if category == EMPTY else 30
        local = rng.uniform(-0.45, 0.45, (count, 3)) * box[3:6]
        cos, sin = np.cos(box[6]), np.sin(box[6])
        turned = np.stack(
            [local[:, 0] * cos - local[:, 1] * sin, local[:, 0] * sin + local[:, 1] * cos, local[:, 2]], 1
        )
        parts.append(turned + box[:3])
        rows.append((box, count))
    xyz = np.concatenate(parts).astype(np.float16)
    write_feather(
        log / "sensors" / "lidar" / f"{time_ns}.feather",
        {
            **{axis: xyz[:, number] for number, axis in enumerate("xyz")},
            "intensity": rng.integers(0, 256, len(xyz)).astype(np.uint8),
            "laser_number": rng.integers(0, 64, len(xyz)).astype(np.uint8),
            "offset_ns": rng.integers(0, STEP_NS, len(xyz)).astype(np.int32),
        },
    )
    return rows


def write_annotations(log: Path, times: list[int], rows: list[list[tuple[np.ndarray, int]]]) -> None:
    """The cuboids of all sweeps, those of the last first: nothing in the file is sorted."""
    order = range(len(times))[::-1]
    boxes = np.stack([box for number in order for box, _ in rows[number]])
    cuboids = boxes_to_argoverse2(torch.from_numpy(boxes)).numpy()
    write_feather(
        log / "annotations.feather",
        {
            "timestamp_ns": np.repeat([times[number] for number in order], len(PARKED)),
            "track_uuid": [f"track-{number}" for _ in order for number in range(len(PARKED))],
            "category": [category for _ in order for category, _ in PARKED],
            **{name: cuboids[:, number] for number, name in enumerate(CUBOID)},
            "num_interior_pts": np.array([count for number in order for _, count in rows[number]]),
        },
    )
