"""Things in a street: annotated ones with a box and a type of KITTI, and others; sizes as in KITTI's labels.

Means and spreads are those of the 7,481 label files of the training set; a body differs a little from its box, since
people drew the boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointcloud.generate.streets import people, vehicles
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
        category: KITTI's type; "" for what is not annotated.
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


SIZES = {
    "Car": Sizes((3.88, 1.63, 1.53), (0.43, 0.10, 0.14), (0.35, 0.17, 0.31), (2.94, 1.4, 1.27), (4.89, 1.9, 1.97)),
    "Van": Sizes((5.08, 1.90, 2.21), (0.83, 0.17, 0.32), (0.65, 0.82, 0.67), (3.72, 1.6, 1.71), (6.86, 2.3, 2.87)),
    "Truck": Sizes((10.1, 2.59, 3.25), (2.86, 0.22, 0.45), (0.41, 0.21, 0.38), (5.4, 2.1, 2.3), (16.8, 3.0, 4.2)),
    "Tram": Sizes((16.1, 2.54, 3.53), (7.8, 0.22, 0.18), (0, 0, 0), (10.0, 2.2, 3.2), (30.0, 2.8, 3.8)),
    "Misc": Sizes((3.58, 1.51, 1.91), (2.0, 0.5, 0.6), (0.7, 0.7, 0.6), (1.6, 0.9, 0.9), (8.0, 2.5, 3.2)),
    "Pedestrian": Sizes((0.84, 0.66, 1.76), (0.23, 0.14, 0.11), (0.2, 0.27, 0.13), (0.4, 0.4, 1.45), (1.3, 1.0, 2.0)),
    "Person_sitting": Sizes((0.8, 0.59, 1.27), (0.2, 0.08, 0.11), (0, 0, 0.3), (0.5, 0.4, 1.06), (1.3, 0.8, 1.6)),
    "Cyclist": Sizes((1.76, 0.60, 1.74), (0.18, 0.12, 0.09), (0.3, 0.37, 0.13), (1.2, 0.4, 1.45), (2.1, 0.9, 1.97)),
}
TYPES = tuple(SIZES)
_BODIES: dict[str, Callable[[float, float, float, Rng], Shape]] = {
    "Car": vehicles.car_body,
    "Van": vehicles.van_body,
    "Truck": vehicles.truck_body,
    "Tram": vehicles.bus_body,
    "Misc": vehicles.trailer_body,
    "Pedestrian": people.pedestrian_body,
    "Person_sitting": people.sitting_body,
    "Cyclist": people.cyclist_body,
}
_LOOSE = {"Pedestrian": 0.04, "Person_sitting": 0.04, "Cyclist": 0.04}
_LOOSE_VEHICLE = (0.10, 0.05)  # metres by which a body is smaller than its box, in the mean, and the spread of it


def make(category: str, along: float, left: float, rng: Rng, turn: float = 0.0, speed: float = 0.0) -> Thing:
    """An annotated thing of a type."""
    size = SIZES[category].draw(rng)
    if category in _LOOSE:
        smaller = np.full(3, _LOOSE[category])
    else:
        smaller = np.clip(rng.normal(*_LOOSE_VEHICLE, 3), 0.0, 0.2) * [1.0, 1.0, 0.4]
    length, width, height = (float(one) for one in size - smaller)
    return Thing(_BODIES[category](length, width, height, rng), along, left, turn, category, size, speed)
