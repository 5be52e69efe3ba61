"""The line of a street and the ground about it: slopes, camber, kerbs, banks, in a raster of heights and materials.

A place is given by metres along the line and metres to its left. The line begins behind the scanner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.streets.materials import ASPHALT, GRASS, PAVEMENT

Rng = np.random.Generator
BEHIND, AHEAD, STEP = -95.0, 95.0, 0.5
CELL, REACH = 0.25, 84.0
_COARSE = 12  # cells from one place to the next where the distance to the line is computed


@dataclass(frozen=True)
class Profile:
    """The ground from the middle of a street outward, on each side, and where another street crosses it.

    Args:
        half: metres from the line to the kerbs, right and left.
        kerb: its height, metres; 0 for none.
        pavement: width of both, metres.
        bank: rise of what lies beyond, metres a metre, right and left.
        grass: whether grass lies beyond.
        crossing: metres along the line where the other street crosses, and half its width; width 0: none.
    """

    half: tuple[float, float]
    kerb: float
    pavement: tuple[float, float]
    bank: tuple[float, float]
    grass: bool
    crossing: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Ground:
    """A raster about the origin.

    Args:
        heights: (X, Y) metres.
        materials: (X, Y) of the surface.
        corner: (2,) x y of the first cell.
    """

    heights: np.ndarray
    materials: np.ndarray
    corner: np.ndarray

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Of places (..., 2), metres."""
        at = np.clip((xy - self.corner) / CELL, 0, np.array(self.heights.shape) - 1.001)
        low = at.astype(np.int64)
        u, v = np.moveaxis(at - low, -1, 0)
        i, j = np.moveaxis(low, -1, 0)
        z = self.heights
        near, far = (1 - v) * z[i, j] + v * z[i, j + 1], (1 - v) * z[i + 1, j] + v * z[i + 1, j + 1]
        return np.asarray((1 - u) * near + u * far)

    def material(self, xy: np.ndarray) -> np.ndarray:
        """Of places (..., 2)."""
        i, j = np.moveaxis(np.clip(np.rint((xy - self.corner) / CELL), 0, np.array(self.heights.shape) - 1), -1, 0)
        return np.asarray(self.materials[i.astype(np.int64), j.astype(np.int64)])


@dataclass(frozen=True, eq=False)
class Road:
    """The line of a street.

    Args:
        along: (P,) metres, 0 at the origin.
        xy: (P, 2) metres.
        heading: (P,) radians, 0 at the origin.
        profile: of the ground across it.
    """

    along: np.ndarray
    xy: np.ndarray
    heading: np.ndarray
    profile: Profile

    def place(self, along: float, left: float) -> tuple[np.ndarray, float]:
        """x y, and the heading of the street there."""
        heading = float(np.interp(along, self.along, self.heading))
        xy = np.array([np.interp(along, self.along, self.xy[:, axis]) for axis in (0, 1)])
        return xy + left * np.array([-np.sin(heading), np.cos(heading)]), heading


def lay_road(profile: Profile, rng: Rng, trip_m: float = 0.0) -> Road:
    """Half of the streets are straight, most of the others bend a little, some turn off ahead.

    `trip_m` is how far the scanner's car goes.
    """
    along = np.arange(BEHIND, AHEAD + trip_m, STEP)
    curve = np.zeros(len(along))
    bends = rng.choice(3, p=[0.5, 0.35, 0.15])
    if bends == 1:
        curve += rng.normal(0, 0.004) + rng.normal(0, 0.003) * np.sin(along / rng.uniform(15, 40) + rng.uniform(0, 6))
    elif bends == 2:
        angle, middle, width = rng.choice([-1, 1]) * rng.uniform(0.5, 1.5), rng.uniform(20, 60), rng.uniform(14, 30)
        curve += angle / width * (np.abs(along - middle) < width / 2)
    heading = np.cumsum(curve) * STEP
    heading -= np.interp(0, along, heading)
    xy = np.cumsum(STEP * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    xy -= [np.interp(0, along, xy[:, axis]) for axis in (0, 1)]
    return Road(along, xy, heading, profile)


def lay_ground(road: Road, rng: Rng, trip_m: float = 0.0) -> Ground:
    """The raster, with long slopes, and steps and materials as the profile has them.

    It reaches 84 m from the first `trip_m` metres of the line.
    """
    way = road.xy[(road.along >= 0) & (road.along <= trip_m)]
    corner = way.min(axis=0) - REACH
    size = np.ceil((way.max(axis=0) + REACH - corner) / CELL).astype(np.int64) + 1
    x, y = corner[0] + CELL * np.arange(size[0])[:, None], corner[1] + CELL * np.arange(size[1])[None, :]
    along, left = _coordinates(road, corner, size)
    heights = np.zeros(size)
    for _ in range(4):
        number, turn, phase = 2 * np.pi / rng.uniform(50, 250), rng.uniform(-np.pi, np.pi), rng.uniform(0, 2 * np.pi)
        height = rng.normal(0, 0.012) / number
        kx, ky = number * np.cos(turn), number * np.sin(turn)
        # sin(a + b) of two vectors, which is far quicker than the sine of each cell
        heights += height * (np.sin(kx * x + phase) * np.cos(ky * y) + np.cos(kx * x + phase) * np.sin(ky * y))
    profile = road.profile
    right = left < 0
    half, width, bank = (np.where(right, pair[0], pair[1]) for pair in (profile.half, profile.pavement, profile.bank))
    beyond = np.abs(left) - half
    if profile.crossing[1]:
        beyond = np.minimum(beyond, np.abs(along - profile.crossing[0]) - profile.crossing[1])
    heights -= 0.02 * np.clip(np.abs(left), 0, half)
    heights += profile.kerb * np.clip(beyond / CELL + 0.5, 0, 1) + bank * np.clip(beyond - width, 0, 5)
    yard = GRASS if profile.grass else PAVEMENT
    materials = np.where(beyond < 0, ASPHALT, np.where(beyond < width, PAVEMENT, yard)).astype(np.uint8)
    return Ground(heights, materials, corner)


def _coordinates(road: Road, corner: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres along the line and to its left of each cell of the raster, from coarser places in between."""
    sides = [low + CELL * _COARSE * np.arange(count // _COARSE + 2) for low, count in zip(corner, size, strict=True)]
    x, y = np.meshgrid(*sides, indexing="ij")
    line, heading, at = road.xy[::4], road.heading[::4], road.along[::4]
    nearest = ((x[..., None] - line[:, 0]) ** 2 + (y[..., None] - line[:, 1]) ** 2).argmin(axis=-1)
    dx, dy = x - line[nearest, 0], y - line[nearest, 1]
    cos, sin = np.cos(heading[nearest]), np.sin(heading[nearest])
    return _finer(at[nearest] + cos * dx + sin * dy, size), _finer(-sin * dx + cos * dy, size)


def _finer(coarse: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Bilinear, `_COARSE` times as fine, of a size."""
    (low, u), (left, v) = ((at.astype(np.int64), at % 1) for at in (np.arange(count) / _COARSE for count in size))
    rows = (1 - u)[:, None] * coarse[low] + u[:, None] * coarse[low + 1]
    return np.asarray((1 - v) * rows[:, left] + v * rows[:, left + 1])
