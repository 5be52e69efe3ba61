"""A drive through a realistic street (`streets`), seen by the scanner of nuScenes' cars or another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from pointcloud.generate.drives.number import SWEEP_S, SWEEPS_BEFORE, DriveNumber
from pointcloud.generate.drives.shapes import KINDS, PARKED_BUS
from pointcloud.generate.drives.sweep import Placed, Pose, mount
from pointcloud.generate.streets.materials import PAINT
from pointcloud.generate.streets.plan import plan_street
from pointcloud.generate.streets.populations import NUSCENES
from pointcloud.generate.streets.scanners import find_scanner
from pointcloud.generate.streets.shapes import Shape, box, join, placed
from pointcloud.generate.streets.sweep import Scene, moved, returns, set_up, shoot, stand
from pointcloud.generate.streets.things import Thing
from pointcloud.generate.streets.turn import NUSCENES as TURN
from pointcloud.generate.streets.turn import driving

_ROOF = ((0.94, 0.0, 1.35), (1.8, 1.02, 0.3))
"""Middle and size of the car's own, metres: in a real keyframe its points are 0.34 m below the scanner, up to 0.9 m
ahead and behind, and 0.53 m aside."""


class Made(NamedTuple):
    """A drive that is ready to be driven.

    Args:
        objects: of each object its kind, category and attribute, its length, width and height.
        sizes: (n, 3) the same lengths, widths and heights.
        sweep: the car's pose, where the objects are, and the points (N, 5) of a sweep, by its number.
    """

    objects: list[list[Any]]
    sizes: np.ndarray
    sweep: Callable[[int], tuple[Pose, Placed, np.ndarray]]


def realistic_drive(drive: DriveNumber) -> Made:
    """The drive with its number; a function of its seed, its number and its length."""
    rng, scanner = np.random.default_rng([drive.seed, drive.number]), find_scanner(drive.scanner, drive.number)
    street = plan_street(rng, NUSCENES, trip_s=SWEEP_S * (drive.frames[-1] + 1))
    start = np.array([*rng.uniform(300, 2000, 2), 0.0])  # as in the cities: too large for float32
    scene = set_up(street)
    named = np.array([number for number, thing in enumerate(street.things) if thing.category], np.int64)

    def sweep(frame: int) -> tuple[Pose, Placed, np.ndarray]:
        own = np.random.default_rng([drive.seed, drive.number, frame + SWEEPS_BEFORE])
        ego, now, when = stand(street, SWEEP_S * frame), moved(street, scene, SWEEP_S * frame), SWEEP_S * frame
        phase = float(own.uniform(0, scanner.step))
        turn = driving(scanner, TURN, lambda seconds: stand(street, when + seconds) @ mount(), phase)
        lidar = turn.global_from_lidar
        shown = now.xyz[named] + turn.when(now.xyz[named])[:, None] * now.velocity[named]
        now = _with_roof(now, _roof(ego), turn.velocity)
        points = returns(scanner, now, shoot(scanner, now, turn, int(own.integers(2**31))), own)
        points[:, 3] = np.floor(255 * points[:, 3])
        ego[:3, 3] += start
        lidar[:3, 3] += start
        x, y, z, w = Rotation.from_matrix(ego[:3, :3]).as_quat()
        pose = Pose(ego[:3, 3], np.array([w, x, y, z]), ego, lidar)
        return pose, Placed(shown + start, now.yaw[named]), points

    objects = [street.things[number] for number in named]
    rows = [[one.category, *_names(one), *one.size] for one in objects]
    return Made(rows, np.array([one.size for one in objects]).reshape(-1, 3), sweep)


def _names(thing: Thing) -> tuple[str, str]:
    """nuScenes' category and attribute."""
    kind = KINDS[thing.category]
    resting = PARKED_BUS if thing.category == "bus" else kind.resting
    return kind.category, kind.moving if thing.speed else resting


def _with_roof(scene: Scene, roof: Shape, velocity: np.ndarray) -> Scene:
    """The scene, with the roof as the last thing in it."""
    owner = np.append(scene.owner, np.full(len(roof.solids), len(scene.velocity)))
    shape, velocities = join([scene.shape, roof]), np.concatenate([scene.velocity, velocity[None]])
    return scene._replace(shape=shape, owner=owner, velocity=velocities)


def _roof(global_from_ego: np.ndarray) -> Shape:
    """The car's own roof, which the lowest beams meet."""
    yaw = float(np.arctan2(global_from_ego[1, 0], global_from_ego[0, 0]))
    return placed(box(*_ROOF, PAINT, 0.3), global_from_ego[:3, 3].tolist(), yaw)
