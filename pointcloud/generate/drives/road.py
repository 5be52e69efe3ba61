"""A street: a centre line that turns, and ground that rises and falls a little.

A place on it is given by metres along the line and metres to its left; traffic keeps to the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BEHIND, AHEAD, STEP = -130.0, 230.0, 0.5  # metres along the line, from where the drive begins
TIGHTEST = 18.0  # metres: radius of the sharpest turn
LANE, BICYCLES, PARKING, KERB, SIDEWALK = 1.75, 3.9, 5.6, 7.3, 9.0  # metres from the line, either side


@dataclass(frozen=True, eq=False)
class Road:
    """The centre line and the relief.

    Args:
        along: (P,) metres along the line.
        xy: (P, 2) metres in the world.
        heading: (P,) radians.
        waves: (W, 4) of the relief: amplitude in metres, x and y of the wave vector in radians a metre, phase.
    """

    along: np.ndarray
    xy: np.ndarray
    heading: np.ndarray
    waves: np.ndarray

    def place(self, along: float, left: float) -> tuple[np.ndarray, float]:
        """x y z on the ground, and the heading of the street there."""
        heading = float(np.interp(along, self.along, self.heading))
        xy = np.array([np.interp(along, self.along, self.xy[:, axis]) for axis in (0, 1)])
        xy += left * np.array([-np.sin(heading), np.cos(heading)])
        return np.array([*xy, self.height(xy)]), heading

    def height(self, xy: np.ndarray) -> float:
        """Height of the ground, metres."""
        amplitude, kx, ky, phase = self.waves.T
        return float((amplitude * np.sin(kx * xy[0] + ky * xy[1] + phase)).sum())

    def slope(self, xy: np.ndarray) -> np.ndarray:
        """Rise of the ground along x and along y, metres a metre."""
        amplitude, kx, ky, phase = self.waves.T
        steep = amplitude * np.cos(kx * xy[0] + ky * xy[1] + phase)
        return np.array([(steep * kx).sum(), (steep * ky).sum()])


def lay_road(rng: np.random.Generator) -> Road:
    """A street with one to three turns, the first of them soon."""
    along = np.arange(BEHIND, AHEAD, STEP)
    heading = np.full(len(along), rng.uniform(-np.pi, np.pi))
    middle, side = rng.uniform(12, 30), 1.0 if rng.random() < 0.5 else -1.0
    for _ in range(int(rng.integers(1, 4))):
        angle = side * np.deg2rad(rng.uniform(15, 80))
        width = max(TIGHTEST * abs(angle) / 4, 2.0) * rng.uniform(1.0, 2.0)
        heading += angle / (1 + np.exp(-(along - middle) / width))
        middle, side = middle + rng.uniform(50, 80), -side  # one way and then the other, so that it never meets itself
    steps = STEP * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    start = rng.uniform(300, 2000, 2)  # as large as in the cities, so that what float32 cannot hold shows
    xy = start + np.cumsum(steps, axis=0) - steps[along <= 0].sum(axis=0)
    count, turn = 3, rng.uniform(-np.pi, np.pi, 3)
    number = 2 * np.pi / rng.uniform(45, 120, count)
    waves = np.stack(
        [rng.uniform(0.03, 0.14, count), number * np.cos(turn), number * np.sin(turn), rng.uniform(0, 6, count)], axis=1
    )
    return Road(along, xy, heading, waves)
