"""One drive from its number: its sweeps, written as nuScenes' files, and a record of all that the tables need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointcloud.generate.drives.number import SWEEP_S, SWEEPS_BEFORE, DriveNumber
from pointcloud.generate.drives.realistic import Made, realistic_drive
from pointcloud.generate.drives.street import Street, plan_street
from pointcloud.generate.drives.sweep import Placed, Pose, ego_pose, place_all, scan_sweep, solids_of
from vol3d.geometry import count_points_in_boxes

ANNOTATED_M = 75.0  # objects farther away are not annotated


def make_drive(drive: DriveNumber, out: Path) -> dict[str, Any]:
    """Writes the sweeps of a drive below `out`; returns its record: its objects, its poses and its boxes."""
    made = realistic_drive(drive) if drive.streets == "realistic" else _simple_drive(drive)
    poses, boxes = [], []
    for frame in drive.frames:
        pose, placed, points = made.sweep(frame)
        points.astype("<f4").tofile(out / drive.file(frame))
        poses.append([*pose.translation.tolist(), *pose.rotation_wxyz.tolist()])
        if drive.file(frame).startswith("samples"):
            boxes.append(_annotate(made.sizes, pose, placed, points))
    return {"things": made.objects, "poses": poses, "boxes": boxes}


def _simple_drive(drive: DriveNumber) -> Made:
    street = plan_street(np.random.default_rng([drive.seed, drive.number]))
    still = solids_of(street.fixtures, place_all(street, street.fixtures, 0.0))
    objects = [[one.kind, one.category, one.attribute, *one.size] for one in street.actors]
    sizes = np.array([one.size for one in street.actors])
    return Made(objects, sizes, lambda frame: make_sweep(drive, street, still, frame))


def make_sweep(drive: DriveNumber, street: Street, still: np.ndarray, frame: int) -> tuple[Pose, Placed, np.ndarray]:
    """The car's pose, where the objects are, and the points (N, 5); a function of seed, drive and frame only."""
    seconds = frame * SWEEP_S
    pose, placed = ego_pose(street, seconds), place_all(street, street.actors, seconds)
    rng = np.random.default_rng([drive.seed, drive.number, frame + SWEEPS_BEFORE])
    points = scan_sweep(street, np.concatenate([still, solids_of(street.actors, placed)]), pose, rng)
    return pose, placed, points


def _annotate(size: np.ndarray, pose: Pose, placed: Placed, points: np.ndarray) -> list[list[float]]:
    """Rows `object x y z yaw points` in the world of what is near the car, whether a beam met it or not."""
    centre = placed.xyz + np.array([0, 0, 0.5]) * size
    near = np.flatnonzero(np.linalg.norm((centre - pose.translation)[:, :2], axis=1) < ANNOTATED_M)
    boxes = np.column_stack([centre, size, placed.yaw])[near]
    turn, shift = pose.global_from_lidar[:3, :3], pose.global_from_lidar[:3, 3]
    world = points[:, :3].astype(np.float64) @ turn.T + shift
    # Counted about the car, since counting takes its points in float32.
    boxes[:, :3] -= pose.translation
    inside = count_points_in_boxes(torch.from_numpy(world - pose.translation), torch.from_numpy(boxes)).tolist()
    boxes[:, :3] += pose.translation
    return [
        [number, *(round(float(value), 4) for value in box[[0, 1, 2, 6]]), count]
        for number, box, count in zip(near.tolist(), boxes, inside, strict=True)
    ]
