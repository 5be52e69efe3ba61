"""What objects in a street look like to a scanner: a few boxes, cones and ellipsoids each, that fill the annotated box.

A part stands in the thing's own box: x and y from -0.5 to 0.5, x along the heading, z from 0 to 1.

    ("box", x0, x1, y0, y1, z0, z1)
    ("cone", x, y, z0, z1, r0, r1)        round, radii r0 below and r1 above in shares of the width
    ("ball", x, y, z, rx, ry, rz)
"""

from __future__ import annotations

from dataclasses import dataclass

Part = tuple[str, float, float, float, float, float, float]


def _wheels(x: float, radius: float, height: float) -> tuple[Part, ...]:
    return tuple(
        ("box", place - radius, place + radius, *sides, 0.0, height)
        for place in (-x, x)
        for sides in ((-0.5, -0.38), (0.38, 0.5))
    )


_TWO_WHEELS: tuple[Part, ...] = (
    ("box", -0.5, -0.2, -0.06, 0.06, 0.0, 0.5),
    ("box", 0.2, 0.5, -0.06, 0.06, 0.0, 0.5),
    ("box", 0.18, 0.26, -0.5, 0.5, 0.58, 0.68),
)
_RIDER: tuple[Part, ...] = (("cone", -0.08, 0.0, 0.45, 0.85, 0.32, 0.4), ("ball", -0.02, 0.0, 0.92, 0.07, 0.16, 0.08))
_PERSON: tuple[Part, ...] = (
    ("cone", 0.0, 0.14, 0.0, 0.5, 0.14, 0.2),
    ("cone", 0.1, -0.14, 0.0, 0.5, 0.14, 0.2),
    ("cone", 0.0, 0.0, 0.48, 0.84, 0.3, 0.36),
    ("box", -0.2, 0.5, -0.5, -0.38, 0.45, 0.8),
    ("box", -0.5, 0.2, 0.38, 0.5, 0.45, 0.8),
    ("ball", 0.02, 0.0, 0.92, 0.15, 0.15, 0.08),
)


@dataclass(frozen=True)
class Kind:
    """One kind of annotated thing.

    Args:
        category: nuScenes' name for it.
        size: mean length, width, height in metres.
        spread: standard deviation of each as a share of the mean.
        parts: its shape.
        riding: further parts while it moves.
        moving, resting: attributes, "" for none.
        speed: slowest and fastest, m/s.
    """

    category: str
    size: tuple[float, float, float]
    spread: float
    parts: tuple[Part, ...]
    moving: str = ""
    resting: str = ""
    speed: tuple[float, float] = (0.0, 0.0)
    riding: tuple[Part, ...] = ()


_DRIVES = ("vehicle.moving", "vehicle.parked")
_CYCLE = ("cycle.with_rider", "cycle.without_rider")
_WALKS = ("pedestrian.moving", "pedestrian.standing")

KINDS = {
    "car": Kind(
        "vehicle.car", (4.6, 1.93, 1.68), 0.07,
        (("box", -0.5, 0.5, -0.5, 0.5, 0.14, 0.56), ("box", -0.4, 0.2, -0.44, 0.44, 0.56, 1.0),
         *_wheels(0.31, 0.07, 0.35)),
        *_DRIVES, (5, 13),
    ),
    "truck": Kind(
        "vehicle.truck", (7.0, 2.5, 2.9), 0.12,
        (("box", 0.24, 0.5, -0.48, 0.48, 0.12, 0.84), ("box", -0.5, 0.21, -0.5, 0.5, 0.3, 1.0),
         ("box", -0.5, 0.5, -0.3, 0.3, 0.14, 0.3), *_wheels(0.33, 0.06, 0.3)),
        *_DRIVES, (5, 11),
    ),
    "bus": Kind(
        "vehicle.bus.rigid", (11.2, 2.9, 3.45), 0.06,
        (("box", -0.5, 0.5, -0.5, 0.5, 0.1, 1.0), *_wheels(0.3, 0.045, 0.25)), *_DRIVES, (4, 10),
    ),
    "trailer": Kind(
        "vehicle.trailer", (11.5, 2.75, 3.85), 0.08,
        (("box", -0.5, 0.5, -0.5, 0.5, 0.3, 1.0), ("box", -0.45, -0.2, -0.5, 0.5, 0.0, 0.28),
         ("box", 0.25, 0.3, -0.35, 0.35, 0.0, 0.3)), *_DRIVES, (5, 10),
    ),
    "construction_vehicle": Kind(
        "vehicle.construction", (6.3, 2.75, 3.1), 0.12,
        (("box", -0.5, 0.12, -0.5, -0.24, 0.0, 0.3), ("box", -0.5, 0.12, 0.24, 0.5, 0.0, 0.3),
         ("box", -0.48, 0.1, -0.42, 0.42, 0.3, 0.68), ("box", -0.12, 0.12, 0.02, 0.42, 0.68, 1.0),
         ("box", 0.1, 0.42, -0.14, 0.06, 0.5, 0.62), ("box", 0.38, 0.5, -0.28, 0.2, 0.05, 0.56)),
        *_DRIVES, (1, 3),
    ),
    "motorcycle": Kind(
        "vehicle.motorcycle", (2.1, 0.78, 1.45), 0.06,
        (*_TWO_WHEELS, ("box", -0.35, 0.3, -0.18, 0.18, 0.22, 0.62), ("box", 0.15, 0.22, -0.3, 0.3, 0.62, 0.95)),
        *_CYCLE, (6, 13), _RIDER,
    ),
    "bicycle": Kind(
        "vehicle.bicycle", (1.72, 0.6, 1.25), 0.06,
        (*_TWO_WHEELS, ("box", -0.3, 0.25, -0.05, 0.05, 0.35, 0.62), ("box", -0.26, -0.1, -0.15, 0.15, 0.66, 0.72)),
        *_CYCLE, (2.5, 6), _RIDER,
    ),
    "pedestrian": Kind("human.pedestrian.adult", (0.72, 0.66, 1.76), 0.08, _PERSON, *_WALKS, (0.7, 1.8)),
    "traffic_cone": Kind(
        "movable_object.trafficcone", (0.4, 0.4, 1.0), 0.12,
        (("box", -0.5, 0.5, -0.5, 0.5, 0.0, 0.06), ("cone", 0.0, 0.0, 0.05, 1.0, 0.38, 0.07)),
    ),
    "barrier": Kind(
        "movable_object.barrier", (0.5, 2.3, 1.0), 0.06,
        (("box", -0.14, 0.14, -0.5, 0.5, 0.3, 1.0), ("box", -0.5, 0.5, -0.46, -0.36, 0.0, 0.3),
         ("box", -0.5, 0.5, 0.36, 0.46, 0.0, 0.3), ("box", -0.14, 0.14, -0.4, 0.4, 0.1, 0.2)),
    ),
}  # fmt: skip
"""By detection class; mean sizes are about those of nuScenes."""
PARKED_BUS = "vehicle.stopped"
