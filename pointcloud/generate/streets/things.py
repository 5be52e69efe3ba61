"""Things in a street: annotated ones with a box, and others; how their sizes vary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.streets.shapes import Shape

Rng = np.random.Generator
Size = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing.

    Args:
        shape: metres, its foot at 0.
        along, left: where it is, metres on the road.
        turn: radians from the heading of the road.
        category: its kind in a population; "" for what is not annotated.
        size: length, width, height of its box; (0, 0, 0) without one.
        speed: m/s along its heading.
    """

    shape: Shape
    along: float
    left: float
    turn: float = 0.0
    category: str = ""
    size: Size = (0.0, 0.0, 0.0)
    speed: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """Length, width, height in metres: mean, standard deviation, what they share, and the smallest and the largest.

    `together` are the correlations of length and width, length and height, width and height.
    """

    mean: Size
    spread: Size
    together: Size
    low: Size
    high: Size

    def draw(self, rng: Rng) -> Size:
        """One of them."""
        lw, lh, wh = self.together
        turn = np.linalg.cholesky(np.array([[1, lw, lh], [lw, 1, wh], [lh, wh, 1]]))
        drawn = np.array(self.mean) + self.spread * (turn @ rng.standard_normal(3))
        length, width, height = np.clip(drawn, self.low, self.high)
        return float(length), float(width), float(height)
