"""One turn of a scanner in a street: what each beam meets first, and which beams come back, with noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pointcloud.generate.streets.cast import cast, cast_ground
from pointcloud.generate.streets.materials import GLASS, INSIDE, MATERIALS, NONE, strength
from pointcloud.generate.streets.plan import Street
from pointcloud.generate.streets.road import CELL, Ground
from pointcloud.generate.streets.scanners import Scanner
from pointcloud.generate.streets.shapes import ALBEDO, REACH, Shape, X, Y, Z, join, placed

_MIDDLE = np.array([sum(one.albedo) / 2 for one in MATERIALS.values()])
_DARKEST = 0.05  # what is less bright has an intensity of 0
_GLASS_LOSS = 0.5  # share of the light that two panes keep


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


def set_up(street: Street, seconds: float = 0.0) -> Scene:
    """The street at a moment."""
    places, turns, shapes = [], [], []
    for thing in street.things:
        along = thing.along + thing.speed * np.cos(thing.turn) * seconds
        xy, heading = street.road.place(along, thing.left + thing.speed * np.sin(thing.turn) * seconds)
        places.append([*xy, float(street.ground.height(xy))])
        turns.append(heading + thing.turn)
        shapes.append(placed(thing.shape, places[-1], turns[-1]))
    owner = np.repeat(np.arange(len(shapes)), [len(shape.solids) for shape in shapes])
    yaw = np.angle(np.exp(1j * np.array(turns)))
    return Scene(join(shapes), owner, np.array(places).reshape(-1, 3), yaw, street.ground)


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
    light *= np.where(echoes.window[seen] < depth, _GLASS_LOSS**2, 1.0)
    kept = rng.random(len(depth)) < _answered(scanner, light, depth)
    distance = depth[kept] + rng.normal(0, scanner.noise_m, kept.sum())
    ring = np.broadcast_to(np.arange(len(scanner.elevations)), seen.shape)[seen][kept]
    points = np.empty((len(distance), 5), np.float32)
    points[:, :3] = echoes.beams[seen][kept] * distance[:, None]
    points[:, 2] += scanner.heights_m[ring]
    glow = light[kept] - 0.012 * np.clip(distance - 0.5 * scanner.fades_m, 0, None)
    points[:, 3] = np.where(glow < _DARKEST, 0, np.clip(glow, 0, 1))
    points[:, 4] = ring
    return points


def _answered(scanner: Scanner, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Chance that a beam comes back."""
    needed = 0.015 + 0.25 * (depth / scanner.fades_m) ** 2
    return np.asarray(0.985 * np.clip(0.15 + light / needed, 0, 1))
