"""One turn of a scanner in a street: what each beam meets first, and which beams come back, with noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointcloud.generate.streets.cast import cast, cast_ground
from pointcloud.generate.streets.materials import GLASS, INSIDE, MATERIALS, NONE, strength
from pointcloud.generate.streets.plan import Street
from pointcloud.generate.streets.road import CELL, Ground
from pointcloud.generate.streets.scanners import Scanner, directions
from pointcloud.generate.streets.shapes import ALBEDO, REACH, YAW, Shape, X, Y, Z, join, placed
from pointcloud.generate.streets.things import Thing
from pointcloud.generate.streets.turn import Turn

_MIDDLE = np.array([sum(one.albedo) / 2 for one in MATERIALS.values()])
_POSE = [X, Y, Z, YAW]
_WHEELS_M = 1.35  # half of the wheelbase
_GLASS_SHARE = 0.2  # of the light that comes back through the panes of a car
_LEAN = 0.06  # radians by which a scanner's axis may lean
_MOMENT_S = 0.05  # before and after a moment, between which the speed of a thing is measured


class Scene(NamedTuple):
    """All that stands in a street at one moment, in the world.

    Args:
        shape: its solids and their faces.
        owner: (n,) number of the thing that each solid is of.
        xyz, yaw: (t, 3) and (t,) of the things, on the ground.
        velocity: (t, 3) of the things, m/s.
        ground: below them.
    """

    shape: Shape
    owner: np.ndarray
    xyz: np.ndarray
    yaw: np.ndarray
    velocity: np.ndarray
    ground: Ground


class Echoes(NamedTuple):
    """What the beams (columns, rings) of a turn meet.

    Args:
        turn: of the scanner.
        beams: (columns, rings, 3) directions, in the scanner's frame at the time of each column.
        rays: (columns, rings, 3) the same in the world.
        origins: (columns, rings, 3) where they begin, in the world, about the scanner's place at time 0.
        depth: metres, infinite where there is nothing.
        hit: number of the solid, -1 for the ground or nothing.
        material: of the surface.
        cosine: of the angle to the surface.
        window: metres to the first window that was passed.
    """

    turn: Turn
    beams: np.ndarray
    rays: np.ndarray
    origins: np.ndarray
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
    velocity = np.array([_velocity(street, thing, 0.0) for thing in street.things]).reshape(-1, 3)
    return Scene(join(shapes), owner, xyz, np.angle(np.exp(1j * yaw)), velocity, street.ground)


def moved(street: Street, scene: Scene, seconds: float) -> Scene:
    """The same street later: what has a speed is elsewhere."""
    solids, velocity, xyz, yaw = scene.shape.solids.copy(), scene.velocity.copy(), scene.xyz.copy(), scene.yaw.copy()
    for number, thing in enumerate(street.things):
        if thing.speed:
            xyz[number], turn = _place(street, thing, seconds)
            yaw[number] = np.angle(np.exp(1j * turn))
            velocity[number] = _velocity(street, thing, seconds)
            now = placed(thing.shape, xyz[number].tolist(), turn).solids
            solids[np.ix_(scene.owner == number, _POSE)] = now[:, _POSE]
    return Scene(Shape(solids, scene.shape.faces), scene.owner, xyz, yaw, velocity, scene.ground)


def _place(street: Street, thing: Thing, seconds: float) -> tuple[list[float], float]:
    """x y z on the ground and heading, in the world; things go along the street, either way."""
    ahead = thing.speed * (1.0 if np.cos(thing.turn) > 0 else -1.0)
    xy, heading = street.road.place(thing.along + ahead * seconds, thing.left)
    return [*xy.tolist(), float(street.ground.height(xy))], heading + thing.turn


def _velocity(street: Street, thing: Thing, seconds: float) -> np.ndarray:
    """(3,) m/s."""
    if not thing.speed:
        return np.zeros(3)
    before, after = (np.array(_place(street, thing, seconds + shift)[0]) for shift in (-_MOMENT_S, _MOMENT_S))
    return np.asarray((after - before) / (2 * _MOMENT_S))


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


def shoot(scanner: Scanner, scene: Scene, turn: Turn, seed: int) -> Echoes:
    """What the beams of one turn meet; `seed` is of what is left to chance on their way."""
    rotations, place = turn.rotations(), turn.global_from_lidar[:3, 3]
    beams = directions(turn.azimuths, scanner.elevations)
    rays = beams @ rotations.transpose(0, 2, 1)
    origins = turn.places()[:, None] + scanner.heights_m[:, None] * rotations[:, None, :, 2]
    shape, ground = rays.shape[:2], scene.ground
    depth, cosine, window = np.empty(shape), np.empty(shape), np.full(shape, np.inf)
    hit, material = np.full(shape, -1, np.int32), np.zeros(shape, np.int32)
    below, corner = ground.heights - place[2], ground.corner - place[:2]
    cast_ground(rays, origins, below, corner, CELL, scanner.farthest_m, depth, cosine)
    onto = np.isfinite(depth)
    xy = place[:2] + (np.where(onto, depth, 0)[..., None] * rays + origins)[..., :2]
    material[onto] = ground.material(xy[onto])
    echoes = Echoes(turn, beams, rays, origins, depth, hit, material, cosine, window)
    near = _meet(echoes, scene, np.arange(len(scene.owner)), scanner.farthest_m, seed)
    return echoes._replace(hit=np.append(near, -1)[hit])


def covered(echoes: Echoes, scene: Scene, own: np.ndarray) -> np.ndarray:
    """Which of the same beams (columns, rings) would meet the solids `own` (numbers) if nothing else were there."""
    shape = echoes.depth.shape
    hit, depth, window = np.full(shape, -1, np.int32), np.full(shape, np.inf), np.full(shape, np.inf)
    alone = echoes._replace(
        hit=hit, depth=depth, window=window, material=np.zeros(shape, np.int32), cosine=depth.copy()
    )
    _meet(alone, scene, own, np.inf, 0)
    return np.asarray((hit >= 0) | np.isfinite(window))


def _meet(echoes: Echoes, scene: Scene, own: np.ndarray, farthest_m: float, seed: int) -> np.ndarray:
    """Casts the beams at the solids `own` (numbers) within a distance, into the arrays of `echoes`; those solids."""
    turn, longest = echoes.turn, float(np.abs(echoes.turn.times).max())
    solids, near = _near(scene.shape.solids[own], turn.global_from_lidar[:3, 3], farthest_m)
    near = own[near]
    motion = np.empty((len(near), 4))
    motion[:, :3] = scene.velocity[scene.owner[near]]
    motion[:, 3] = longest * np.linalg.norm(motion[:, :3] - turn.velocity, axis=1)
    cast(
        echoes.rays, echoes.origins, _azimuths(turn, longest), solids, scene.shape.faces, motion, turn.times, seed,
        echoes.depth, echoes.hit, echoes.material, echoes.cosine, echoes.window,
    )  # fmt: skip
    return near


def _azimuths(turn: Turn, longest: float) -> tuple[float, float, float]:
    """In the world: of the first column, from one to the next, and by how much they may be wrong, radians."""
    first = turn.global_from_lidar[:3, :3] @ [np.cos(turn.azimuths[0]), np.sin(turn.azimuths[0]), 0.0]
    step = float(turn.azimuths[1] - turn.azimuths[0])
    return float(np.arctan2(first[1], first[0])), step, _LEAN + longest * float(np.linalg.norm(turn.spin))


def _near(solids: np.ndarray, place: np.ndarray, farthest_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Solids about a place in the world, and their numbers."""
    local = solids.copy()
    local[:, X : Z + 1] -= place
    near = np.flatnonzero(np.hypot(local[:, X], local[:, Y]) - local[:, REACH] < farthest_m)
    return local[near], near


def returns(scanner: Scanner, scene: Scene, echoes: Echoes, rng: np.random.Generator) -> np.ndarray:
    """Points (N, 5) float32 of the beams that come back, the farther and the darker the fewer.

    Columns: x y z in metres in the frame that the turn says, intensity 0 to 1, ring.
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
    if echoes.turn.compensated:
        met = echoes.origins[seen][kept] + echoes.rays[seen][kept] * distance[:, None]
        points[:, :3] = met @ echoes.turn.global_from_lidar[:3, :3]
    else:
        points[:, :3] = echoes.beams[seen][kept] * distance[:, None]
        points[:, 2] += scanner.heights_m[ring]
    speckle = np.exp(scanner.speckle * rng.standard_normal(len(distance))) if scanner.speckle else 1.0
    glow = speckle * scanner.gain * light[kept] ** scanner.response
    glow -= scanner.falls * np.clip(distance - 0.5 * scanner.fades_m, 0, None)
    points[:, 3] = np.where(glow < scanner.darkest, 0, np.clip(glow, 0, 1))
    points[:, 4] = ring
    return points


def _answered(scanner: Scanner, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Chance that a beam comes back."""
    needed = 0.008 + 0.25 * (depth / scanner.fades_m) ** 2
    return np.asarray(0.985 * np.clip(0.2 + light / needed, 0, 1))
