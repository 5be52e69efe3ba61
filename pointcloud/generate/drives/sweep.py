"""A car in a street and the scanner with 32 beams on its roof: where both are, where the objects are, and one sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointcloud.datasets.poses import pose_matrices
from pointcloud.generate.drives.cast import BALL, BOX, COLUMNS, CONE
from pointcloud.generate.drives.road import LANE
from pointcloud.generate.drives.scanner import Scanner, returns, shoot
from pointcloud.generate.drives.street import Actor, Fixture, Street

BEAMS = 32
SCANNER = Scanner(np.deg2rad(np.linspace(-30.67, 10.67, BEAMS)), turn_steps=1084, farthest_m=100.0)
SLACK = 0.05  # metres by which a box is larger than what it is drawn around
_MOUNT_TURN = np.array([0.70710678, 0.004, 0.006, -0.70710678])  # x to the right, y ahead, and a little askew
MOUNT_TURN = tuple(float(number) for number in _MOUNT_TURN / np.linalg.norm(_MOUNT_TURN))
MOUNT_SHIFT = (0.94, 0.0, 1.84)
_ROOF = (1.6, 1.3, 0.3, 1.5)  # length, width, thickness and height of the top, metres


@dataclass(frozen=True, eq=False)
class Placed:
    """Where objects are at one moment: places (n, 3) on the ground in the world, headings (n,) in radians."""

    xyz: np.ndarray
    yaw: np.ndarray


@dataclass(frozen=True, eq=False)
class Pose:
    """The car in the world: its place (3,) in metres, its orientation (4,) w x y z, and both as matrices (4, 4)."""

    translation: np.ndarray
    rotation_wxyz: np.ndarray
    global_from_ego: np.ndarray
    global_from_lidar: np.ndarray


def ego_pose(street: Street, seconds: float) -> Pose:
    """The car in its lane, level with the ground under it."""
    place, heading = street.road.place(street.ego_speed * seconds, -LANE)
    rise_x, rise_y = street.road.slope(place[:2])
    ahead = rise_x * np.cos(heading) + rise_y * np.sin(heading)
    left = -rise_x * np.sin(heading) + rise_y * np.cos(heading)
    yaw, pitch, roll = 0.5 * heading, -0.5 * np.arctan(ahead), 0.5 * np.arctan(left)
    quaternion = _product((np.cos(yaw), 0, 0, np.sin(yaw)), (np.cos(pitch), 0, np.sin(pitch), 0))
    quaternion = _product(quaternion, (np.cos(roll), np.sin(roll), 0, 0))
    ego = pose_matrices([place], [quaternion], "ego pose")[0]
    return Pose(place, np.array(quaternion), ego, ego @ mount())


def mount() -> np.ndarray:
    """`ego_from_lidar` (4, 4)."""
    return pose_matrices([MOUNT_SHIFT], [MOUNT_TURN], "mount")[0]


def place_all(street: Street, objects: Sequence[Actor | Fixture], seconds: float) -> Placed:
    """Where the objects are at a time of the drive."""
    found = []
    for one in objects:
        speed = one.speed if isinstance(one, Actor) else 0.0
        place, heading = street.road.place(one.along + speed * seconds, one.left)
        found.append((*place, heading + one.turn))
    table = np.array(found).reshape(-1, 4)
    return Placed(table[:, :3], np.angle(np.exp(1j * table[:, 3])))


def solids_of(objects: Sequence[Actor | Fixture], placed: Placed) -> np.ndarray:
    """Rows (n, 9) for `cast`, places still in the world."""
    rows = []
    for one, (x, y, z), yaw in zip(objects, placed.xyz, placed.yaw, strict=True):
        slack = SLACK if isinstance(one, Actor) else 0.0
        length, width, height = (size - slack for size in one.size)
        cos, sin = np.cos(yaw), np.sin(yaw)
        for shape, *numbers in one.parts:
            if shape == "box":
                x0, x1, y0, y1, z0, z1 = numbers
                kind, local = BOX, ((x0 + x1) / 2 * length, (y0 + y1) / 2 * width, (z0 + z1) / 2 * height)
                size = ((x1 - x0) / 2 * length, (y1 - y0) / 2 * width, (z1 - z0) / 2 * height)
            elif shape == "cone":
                px, py, z0, z1, low, high = numbers
                kind, local = CONE, (px * length, py * width, z0 * height)
                size = (low * width, high * width, (z1 - z0) * height)
            else:
                px, py, pz, rx, ry, rz = numbers
                kind, local = BALL, (px * length, py * width, pz * height)
                size = (rx * length, ry * width, rz * height)
            at = (x + cos * local[0] - sin * local[1], y + sin * local[0] + cos * local[1], z + local[2])
            rows.append((kind, *at, *size, yaw, one.albedo))
    return np.array(rows, np.float64).reshape(-1, COLUMNS)


def scan_sweep(street: Street, solids: np.ndarray, pose: Pose, rng: np.random.Generator) -> np.ndarray:
    """Points (N, 5) float32 in the scanner's frame: x y z in metres, intensity 0 to 255, ring from below.

    Args:
        solids: (n, 9) in the world, near or far.
    """
    phase = float(rng.uniform(0, 2 * np.pi / SCANNER.turn_steps))
    solids = np.concatenate([solids, _roof(pose)])
    return returns(SCANNER, shoot(SCANNER, phase, street.road.waves, solids, pose.global_from_lidar), rng)


def _roof(pose: Pose) -> np.ndarray:
    """The car's own roof, which the lowest beams meet."""
    length, width, thick, top = _ROOF
    centre = pose.global_from_ego @ [MOUNT_SHIFT[0], 0, top - thick / 2, 1]
    yaw = np.arctan2(pose.global_from_ego[1, 0], pose.global_from_ego[0, 0])
    return np.array([[BOX, *centre[:3], length / 2, width / 2, thick / 2, yaw, 0.2]])


def _product(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    """Hamilton product of quaternions w x y z: first b, then a."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )
