"""One turn of a spinning scanner in a street: what each beam meets first, and which beams come back, with noise.

A turn is taken at one instant, as data sets have them after the car's own motion has been taken out of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pointcloud.generate.drives.cast import cast, cast_ground
from pointcloud.generate.streets.scanners import directions

NOISE_M = 0.012
LOST = 0.02  # share of returns that get lost wherever they come from
GROUND_ALBEDO = 0.16


@dataclass(frozen=True, eq=False)
class Scanner:
    """A scanner that turns about its z axis.

    Args:
        elevations: (rings,) of the beams, radians above the level.
        turn_steps: how often each beam is fired in a turn.
        farthest_m: nothing farther is seen.
    """

    elevations: np.ndarray
    turn_steps: int
    farthest_m: float

    def beams(self, phase: float) -> np.ndarray:
        """Directions (columns, rings, 3) in the scanner's frame; the first column is at azimuth `phase`."""
        return directions(phase + np.arange(self.turn_steps) * 2 * np.pi / self.turn_steps, self.elevations)


class Echoes(NamedTuple):
    """What the beams (columns, rings) of a turn meet.

    Args:
        beams: (columns, rings, 3) directions in the scanner's frame.
        rays: (columns, rings, 3) the same in the world.
        place: (3,) of the scanner in the world.
        depth: metres, infinite where there is nothing.
        hit: number of the solid, -1 for the ground or nothing.
        light: share of the light that is sent back.
    """

    beams: np.ndarray
    rays: np.ndarray
    place: np.ndarray
    depth: np.ndarray
    hit: np.ndarray
    light: np.ndarray


def shoot(
    scanner: Scanner, phase: float, waves: np.ndarray, solids: np.ndarray, global_from_lidar: np.ndarray
) -> Echoes:
    """What the beams of one turn meet.

    Args:
        phase: azimuth of the first column, radians.
        waves: (w, 4) of the relief, as in `Road`.
        solids: (n, 9) in the world, near or far.
        global_from_lidar: (4, 4) the scanner's pose.
    """
    beams = scanner.beams(phase)
    turn, place = global_from_lidar[:3, :3], global_from_lidar[:3, 3]
    rays, local = beams @ turn.T, _about(solids, place)
    size = np.abs(local[:, 4:7]).max(axis=1, initial=0)
    near = np.flatnonzero(np.hypot(local[:, 1], local[:, 2]) - 1.5 * size < scanner.farthest_m)
    depth, cosine = np.empty(rays.shape[:2]), np.empty(rays.shape[:2])
    hit = np.full(rays.shape[:2], -1, np.int32)
    cast_ground(rays, place, waves, scanner.farthest_m, depth, cosine)
    cast(rays, _azimuth(rays), local[near], depth, hit, cosine)
    hit = np.append(near, -1)[hit]
    albedo = np.append(solids[:, 8], GROUND_ALBEDO)[hit]
    return Echoes(beams, rays, place, depth, hit, albedo * np.sqrt(np.clip(cosine, 0, 1)))


def covered(echoes: Echoes, solids: np.ndarray) -> np.ndarray:
    """Which of the same beams (columns, rings) would meet one of the solids (n, 9) if nothing else were there."""
    shape = echoes.depth.shape
    hit = np.full(shape, -1, np.int32)
    local = _about(solids, echoes.place)
    cast(echoes.rays, _azimuth(echoes.rays), local, np.full(shape, np.inf), hit, np.empty(shape))
    return hit >= 0


def _about(solids: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Solids of the world relative to a place in it."""
    local = solids.copy()
    local[:, 1:4] -= place
    return local


def _azimuth(rays: np.ndarray) -> float:
    """Of the first column in the world, by its most level beam."""
    first = rays[0, int(np.abs(rays[0, :, 2]).argmin())]
    return float(np.arctan2(first[1], first[0]))


def returns(scanner: Scanner, echoes: Echoes, rng: np.random.Generator) -> np.ndarray:
    """Points (N, 5) float32 of the beams that come back, the farther and the darker the fewer.

    Columns: x y z in metres in the scanner's frame, intensity 0 to 255, ring.
    """
    seen = np.isfinite(echoes.depth) & (echoes.depth < scanner.farthest_m)
    depth, light = echoes.depth[seen], echoes.light[seen]
    strength = light * np.exp(-((depth / 70) ** 2))
    kept = rng.random(seen.sum()) < (1 - LOST) * np.clip(strength / 0.012, 0, 1)
    distance = depth[kept] + rng.normal(0, NOISE_M, kept.sum())
    points = np.empty((len(distance), 5), np.float32)
    points[:, :3] = echoes.beams[seen][kept] * distance[:, None]
    glow = 255 * 0.45 * light[kept] * np.exp(-distance / 60) * rng.lognormal(0, 0.25, len(distance))
    points[:, 3] = np.clip(np.floor(glow), 0, 255)
    points[:, 4] = np.broadcast_to(np.arange(len(scanner.elevations)), seen.shape)[seen][kept]
    return points
