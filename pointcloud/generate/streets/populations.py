"""What kinds of things a street has, as KITTI and as nuScenes annotate them: sizes, bodies, and how many of each.

KITTI's sizes are means and spreads of the 7,481 label files of its training set, kept within about the first and the
last percent; those of Misc and Tram, which mix much, are narrower. nuScenes' are those of the simple drives, and of
KITTI's cyclists while somebody rides. A body differs a little from its box, since people drew the boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pointcloud.generate.streets import people, vehicles
from pointcloud.generate.streets.shapes import Shape
from pointcloud.generate.streets.things import Size, Sizes, Thing

Rng = np.random.Generator
Body = Callable[[float, float, float, Rng], Shape]
_LOOSE_M = (0.10, 0.05)  # by which the body of a vehicle is smaller than its box, in the mean, and the spread of it
_LOOSE_PERSON_M = 0.04


@dataclass(frozen=True)
class Population:
    """Kinds of things.

    Args:
        sizes, bodies: of each kind.
        riding: the same of those that differ while they move: the box of a cycle holds who rides it.
        tight: kinds whose box is drawn close about the body.
        parked, driving, people, riders, standing: share of each kind among the parked vehicles, those that drive, the
            people, those that ride, and the cycles that stand on the pavement.
        work_zones, barriers: chance of a work zone, and of a row of barriers, on a side.
    """

    sizes: Mapping[str, Sizes]
    bodies: Mapping[str, Body]
    riding: Mapping[str, tuple[Sizes, Body]]
    tight: frozenset[str]
    parked: Mapping[str, float]
    driving: Mapping[str, float]
    people: Mapping[str, float]
    riders: Mapping[str, float]
    standing: Mapping[str, float]
    work_zones: float
    barriers: float

    def make(
        self, shares: Mapping[str, float], along: float, left: float, rng: Rng, turn: float = 0.0, speed: float = 0.0
    ) -> Thing:
        """One thing of one of the kinds, which `shares` says how often each is."""
        weights = np.array(list(shares.values()))
        kind = list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]
        sizes, body = self.sizes[kind], self.bodies[kind]
        if speed and kind in self.riding:
            sizes, body = self.riding[kind]
        size = sizes.draw(rng)
        smaller = np.clip(rng.normal(*_LOOSE_M, 3), 0.0, 0.2) * [1.0, 1.0, 0.4]
        if kind in self.tight:
            smaller = np.full(3, _LOOSE_PERSON_M)
        length, width, height = (float(one) for one in size - smaller)
        return Thing(body(length, width, height, rng), along, left, turn, kind, size, speed)


_KITTI_SIZES = {
    "Car": Sizes((3.88, 1.63, 1.53), (0.43, 0.10, 0.14), (0.35, 0.17, 0.31), (2.94, 1.4, 1.27), (4.89, 1.9, 1.97)),
    "Van": Sizes((5.08, 1.90, 2.21), (0.83, 0.17, 0.32), (0.65, 0.82, 0.67), (3.72, 1.6, 1.71), (6.86, 2.3, 2.87)),
    "Truck": Sizes((10.1, 2.59, 3.25), (2.86, 0.22, 0.45), (0.41, 0.21, 0.38), (5.4, 2.1, 2.3), (16.8, 3.0, 4.2)),
    "Tram": Sizes((16.1, 2.54, 3.53), (7.8, 0.22, 0.18), (0, 0, 0), (10.0, 2.2, 3.2), (30.0, 2.8, 3.8)),
    "Misc": Sizes((3.58, 1.51, 1.91), (2.0, 0.5, 0.6), (0.7, 0.7, 0.6), (1.6, 0.9, 0.9), (8.0, 2.5, 3.2)),
    "Pedestrian": Sizes((0.84, 0.66, 1.76), (0.23, 0.14, 0.11), (0.2, 0.27, 0.13), (0.4, 0.4, 1.45), (1.3, 1.0, 2.0)),
    "Person_sitting": Sizes((0.8, 0.59, 1.27), (0.2, 0.08, 0.11), (0, 0, 0.3), (0.5, 0.4, 1.06), (1.3, 0.8, 1.6)),
    "Cyclist": Sizes((1.76, 0.60, 1.74), (0.18, 0.12, 0.09), (0.3, 0.37, 0.13), (1.2, 0.4, 1.45), (2.1, 0.9, 1.97)),
}
KITTI = Population(
    sizes=_KITTI_SIZES,
    bodies={
        "Car": vehicles.car_body,
        "Van": vehicles.van_body,
        "Truck": vehicles.truck_body,
        "Tram": vehicles.bus_body,
        "Misc": vehicles.trailer_body,
        "Pedestrian": people.pedestrian_body,
        "Person_sitting": people.sitting_body,
        "Cyclist": people.cyclist_body,
    },
    riding={},
    tight=frozenset({"Pedestrian", "Person_sitting", "Cyclist"}),
    parked={"Car": 0.85, "Van": 0.11, "Truck": 0.01, "Misc": 0.03},
    driving={"Car": 0.82, "Van": 0.08, "Truck": 0.06, "Tram": 0.02, "Misc": 0.02},
    people={"Pedestrian": 0.96, "Person_sitting": 0.04},
    riders={"Cyclist": 1.0},
    standing={},
    work_zones=0.0,
    barriers=0.0,
)


def _about(mean: Size, spread: float) -> Sizes:
    """Sizes that vary by a share of their mean."""
    low, high, sd = ((mean[0] * f, mean[1] * f, mean[2] * f) for f in (1 - 3 * spread, 1 + 3 * spread, spread))
    return Sizes(mean, sd, (0.5, 0.3, 0.3), low, high)


NUSCENES = Population(
    sizes={
        "car": _about((4.6, 1.93, 1.68), 0.07),
        "truck": _about((7.0, 2.5, 2.9), 0.12),
        "bus": _about((11.2, 2.9, 3.45), 0.06),
        "trailer": _about((11.5, 2.75, 3.85), 0.08),
        "construction_vehicle": _about((6.3, 2.75, 3.1), 0.12),
        "motorcycle": _about((2.1, 0.78, 1.45), 0.06),
        "bicycle": _about((1.72, 0.6, 1.25), 0.06),
        "pedestrian": _about((0.72, 0.66, 1.76), 0.08),
        "traffic_cone": _about((0.4, 0.4, 1.0), 0.12),
        "barrier": _about((0.5, 2.3, 1.0), 0.06),
    },
    bodies={
        "car": vehicles.car_body,
        "truck": vehicles.truck_body,
        "bus": vehicles.bus_body,
        "trailer": vehicles.trailer_body,
        "construction_vehicle": vehicles.digger_body,
        "motorcycle": people.motorcycle_body,
        "bicycle": people.bicycle_body,
        "pedestrian": people.pedestrian_body,
        "traffic_cone": people.cone_body,
        "barrier": people.barrier_body,
    },
    riding={
        "motorcycle": (_about((2.1, 0.78, 1.65), 0.06), people.motorcyclist_body),
        "bicycle": (_KITTI_SIZES["Cyclist"], people.cyclist_body),
    },
    tight=frozenset({"motorcycle", "bicycle", "pedestrian", "traffic_cone", "barrier"}),
    parked={"car": 0.82, "truck": 0.09, "bus": 0.03, "trailer": 0.03, "construction_vehicle": 0.03},
    driving={"car": 0.72, "truck": 0.11, "bus": 0.07, "trailer": 0.05, "motorcycle": 0.05},
    people={"pedestrian": 1.0},
    riders={"bicycle": 0.7, "motorcycle": 0.3},
    standing={"bicycle": 0.6, "motorcycle": 0.4},
    work_zones=0.35,
    barriers=0.3,
)
