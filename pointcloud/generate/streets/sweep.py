"""One turn of a scanner in a street: what each beam meets first, and which beams come back, with noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointcloud.generate.streets.cast import cast, cast_ground
from pointcloud.generate.streets.materials import GLASS, INSIDE, MATERIALS, NONE, strength
from pointcloud.generate.streets.plan import Street
from pointcloud.generate.streets.road import CELL, Ground
from pointcloud.generate.streets.scanners import Scanner
from pointcloud.generate.streets.shapes import ALBEDO, REACH, YAW, Shape, X, Y, Z, join, placed
from pointcloud.generate.streets.things import Thing

_MIDDLE = np.array([sum(one.albedo) / 2 for one in MATERIALS.values()])
_POSE = [X, Y, Z, YAW]
_WHEELS_M = 1.35  # half of the wheelbase
_GLASS_SHARE = 0.2  # of the light that comes back through the panes of a car


class Scene(NamedTuple):
    """All that stands in a street at one moment, in the world.

    Args:
        shape: its solids and their faces.
        owner: (n,) number of the thing that each solid is of.
        xyz, yaw: (t, 3) and (t,) of the things, on the ground.
        ground: below them.
    """

    shape: Shape
    owner: np.ndarray
    xyz: np.ndarray
    yaw: np.ndarray
    ground: Ground


class Echoes(NamedTuple):
    """What the beams (columns, rings) of a turn meet.

    Args:
        beams: (columns, rings, 3) directions, in the scanner's frame.
        rays: (columns, rings, 3) the same in the world.
        origins: (rings, 3) where they begin, in the world, about the scanner.
        place: (3,) of the scanner in the world.
        azimuths: of the first column, and from one to the next, in the world, radians.
        depth: metres, infinite where there is nothing.
        hit: number of the solid, -1 for the ground or nothing.
        material: of the surface.
        cosine: of the angle to the surface.
        window: metres to the first window that was passed.
    """

    beams: np.ndarray
    rays: np.ndarray
    origins: np.ndarray
    place: np.ndarray
    azimuths: tuple[float, float]
    depth: np.ndarray
    hit: np.ndarray
    material: np.ndarray
    cosine: np.ndarray
    window: np.ndarray


def set_up(street: Street) -> Scene:
    """The street as it is at first."""
    poses = [_place(street, thing, 0.0) for thing in street.things]
    shapes = [placed(thing.shape, *pose) for thing, pose in zip(street.things, poses, strict=True)]
    owner = np.repeat(np.arange(len(shapes)), [len(shape.solids) for shape in shapes])
    xyz, yaw = np.array([pose[0] for pose in poses]).reshape(-1, 3), np.array([pose[1] for pose in poses])
    return Scene(join(shapes), owner, xyz, np.angle(np.exp(1j * yaw)), street.ground)


def moved(street: Street, scene: Scene, seconds: float) -> Scene:
    """The same street later: what has a speed is elsewhere."""
    solids, xyz, yaw = scene.shape.solids.copy(), scene.xyz.copy(), scene.yaw.copy()
    for number, thing in enumerate(street.things):
        if thing.speed:
            xyz[number], turn = _place(street, thing, seconds)
            yaw[number] = np.angle(np.exp(1j * turn))
            now = placed(thing.shape, xyz[number].tolist(), turn).solids
            solids[np.ix_(scene.owner == number, _POSE)] = now[:, _POSE]
    return Scene(Shape(solids, scene.shape.faces), scene.owner, xyz, yaw, scene.ground)


def _place(street: Street, thing: Thing, seconds: float) -> tuple[list[float], float]:
    """x y z on the ground and heading, in the world; things go along the street, either way."""
    ahead = thing.speed * (1.0 if np.cos(thing.turn) > 0 else -1.0)
    xy, heading = street.road.place(thing.along + ahead * seconds, thing.left)
    return [*xy.tolist(), float(street.ground.height(xy))], heading + thing.turn


def stand(street: Street, seconds: float, lean: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(4, 4) the scanner's car in the world, on the ground under its wheels; `lean`: pitch and roll, radians."""
    xy, heading = street.road.place(street.own_speed * seconds, street.own_left)
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    wheels = np.array([_WHEELS_M * ahead, -_WHEELS_M * ahead, 0.7 * left, -0.7 * left])
    front, back, port, starboard = street.ground.height(xy + wheels)
    rise, roll = np.arctan2([front - back, port - starboard], [2 * _WHEELS_M, 1.4]) + lean
    turn = np.array([*(np.cos(rise) * ahead), np.sin(rise)])
    up = np.array([*(-np.sin(rise) * ahead), np.cos(rise)])
    side, pose = np.cross(up, turn), np.eye(4)
    cos, sin = np.cos(roll), np.sin(roll)
    pose[:3, :3] = np.column_stack([turn, side * cos + up * sin, up * cos - side * sin])
    pose[:3, 3] = [*xy, (front + back) / 2]
    return pose


def shoot(
    scanner: Scanner, scene: Scene, global_from_lidar: np.ndarray, phase: float, seed: int, columns: int | None = None
) -> Echoes:
    """What the beams of one turn meet, or of its first `columns`, from azimuth `phase` on."""
    beams = scanner.beams(phase, columns)
    turn, place = global_from_lidar[:3, :3], global_from_lidar[:3, 3]
    rays, origins = beams @ turn.T, scanner.heights_m[:, None] * turn[:, 2]
    level = rays[0, int(np.abs(rays[0, :, 2]).argmin())]
    azimuths = (float(np.arctan2(level[1], level[0])), scanner.step)
    shape = beams.shape[:2]
    depth, cosine, window = np.empty(shape), np.empty(shape), np.full(shape, np.inf)
    hit, material = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
    ground = scene.ground
    below, corner = ground.heights - place[2], ground.corner - place[:2]
    cast_ground(rays, origins, below, corner, CELL, scanner.farthest_m, depth, cosine)
    onto = np.isfinite(depth)
    xy = place[:2] + (np.where(onto, depth, 0)[..., None] * rays + origins)[..., :2]
    material[onto] = ground.material(xy[onto])
    solids, near = _near(scene.shape.solids, place, scanner.farthest_m)
    cast(rays, origins, azimuths, solids, scene.shape.faces, seed, depth, hit, material, cosine, window)
    hit = np.append(near, -1)[hit]
    return Echoes(beams, rays, origins, place, azimuths, depth, hit, material, cosine, window)


def covered(echoes: Echoes, shape: Shape) -> np.ndarray:
    """Which of the same beams (columns, rings) would meet the shape if nothing else were there."""
    size = echoes.depth.shape
    solids, _ = _near(shape.solids, echoes.place, np.inf)
    hit, spare = np.full(size, -1, np.int32), np.zeros(size, np.int32)
    depth, window = np.full(size, np.inf), np.full(size, np.inf)
    rays, cosine = (echoes.rays, echoes.origins, echoes.azimuths), np.empty(size)
    cast(*rays, solids, shape.faces, 0, depth, hit, spare, cosine, window)
    return (hit >= 0) | np.isfinite(window)


def _near(solids: np.ndarray, place: np.ndarray, farthest_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Solids about a place in the world, and their numbers."""
    local = solids.copy()
    local[:, X : Z + 1] -= place
    near = np.flatnonzero(np.hypot(local[:, X], local[:, Y]) - local[:, REACH] < farthest_m)
    return local[near], near


def returns(scanner: Scanner, scene: Scene, echoes: Echoes, rng: np.random.Generator) -> np.ndarray:
    """Points (N, 5) float32 of the beams that come back, the farther and the darker the fewer.

    Columns: x y z in metres in the scanner's frame, intensity 0 to 1, ring.
    """
    seen = (echoes.depth < scanner.farthest_m) & (echoes.depth > scanner.nearest_m) & (echoes.material != NONE)
    depth, hit, material = echoes.depth[seen], echoes.hit[seen], echoes.material[seen]
    tones = np.where(hit >= 0, np.append(scene.shape.solids[:, ALBEDO], 0)[hit], _MIDDLE[material])
    tones = np.where(np.isin(material, (GLASS, INSIDE)), np.minimum(tones, _MIDDLE[material]), tones)
    light = strength(material, tones, echoes.cosine[seen], rng)
    light *= np.where(echoes.window[seen] < depth, _GLASS_SHARE, 1.0)
    kept = rng.random(len(depth)) < _answered(scanner, light, depth)
    distance = depth[kept] + rng.normal(0, scanner.noise_m, kept.sum())
    ring = np.broadcast_to(np.arange(len(scanner.elevations)), seen.shape)[seen][kept]
    points = np.empty((len(distance), 5), np.float32)
    points[:, :3] = echoes.beams[seen][kept] * distance[:, None]
    points[:, 2] += scanner.heights_m[ring]
    glow = scanner.gain * light[kept] - scanner.falls * np.clip(distance - 0.5 * scanner.fades_m, 0, None)
    points[:, 3] = np.where(glow < scanner.darkest, 0, np.clip(glow, 0, 1))
    points[:, 4] = ring
    return points


def _answered(scanner: Scanner, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Chance that a beam comes back."""
    needed = 0.008 + 0.25 * (depth / scanner.fades_m) ** 2
    return np.asarray(0.985 * np.clip(0.2 + light / needed, 0, 1))
