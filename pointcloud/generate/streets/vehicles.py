"""Bodies of vehicles: a lower body with bonnet and boot, a greenhouse of glass under a roof, seats, wheels, plates.

All of a body lies in its box, except for the mirrors, which the labels of KITTI leave out, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.streets.materials import GLASS, INSIDE, METAL, MIRROR, PAINT, RUBBER, albedo
from pointcloud.generate.streets.shapes import Shape, Y, box, join, prism

Rng = np.random.Generator
_BEND = 0.06  # metres by which the middle of a roof lies above its ends


@dataclass(frozen=True)
class Body:
    """The outline of a kind of car, seen from the side: shares of its length from the rear, and of its height.

    Args:
        rear_foot, rear_top: where the rear window begins below and ends above.
        front_top, front_foot: the same of the windscreen.
        belt: height at which the windows begin.
        bonnet: height of the bonnet at its front edge.
        panel: share of the side windows' length at the back that is sheet metal: a delivery van's.
    """

    rear_foot: float
    rear_top: float
    front_top: float
    front_foot: float
    belt: float = 0.65
    bonnet: float = 0.50
    panel: float = 0.0


CARS = {
    "hatchback": Body(0.02, 0.12, 0.55, 0.76),
    "sedan": Body(0.13, 0.28, 0.56, 0.74),
    "wagon": Body(0.02, 0.08, 0.57, 0.75),
    "suv": Body(0.02, 0.09, 0.60, 0.76, 0.63, 0.56),
    "minivan": Body(0.02, 0.06, 0.60, 0.84, 0.61, 0.48),
}
VANS = {
    "bus": Body(0.01, 0.03, 0.70, 0.90, 0.55, 0.45),
    "panel van": Body(0.01, 0.03, 0.70, 0.88, 0.52, 0.45, 0.66),
    "pickup": Body(0.42, 0.45, 0.66, 0.78, 0.58, 0.52),
}


def car_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A car of a kind that fits its sizes."""
    if height > 1.62:
        kind = "suv" if rng.random() < 0.55 else "minivan"
    elif length < 3.75:
        kind = "hatchback" if rng.random() < 0.85 else "minivan"
    else:
        kind = str(rng.choice(["hatchback", "sedan", "wagon"], p=[0.3, 0.4, 0.3]))
    return body(CARS[kind], length, width, height, rng)


def van_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A van with windows or of sheet metal, or a pickup."""
    kind = "pickup" if height < 1.85 and rng.random() < 0.5 else str(rng.choice(["bus", "panel van"]))
    return body(VANS[kind], length, width, height, rng)


def body(kind: Body, length: float, width: float, height: float, rng: Rng) -> Shape:
    """The shape of one vehicle; small differences of its kind, and its colour, come from `rng`."""
    paint = paint_albedo(rng)
    belt, bonnet = (height * share * rng.uniform(0.96, 1.04) for share in (kind.belt, kind.bonnet))
    at = [length * (share - 0.5) for share in (kind.rear_foot, kind.rear_top, kind.front_top, kind.front_foot)]
    clear, bumper, half = rng.uniform(0.1, 0.2), height * rng.uniform(0.28, 0.36), width / 2
    nose, tail = length / 2, -length / 2
    lower = prism(
        [
            (tail + 0.12, clear, RUBBER), (nose - 0.12, clear, PAINT), (nose, bumper, PAINT),
            (nose - 0.05 - 0.02 * length, bonnet, PAINT), (at[3], belt, INSIDE), (at[0], belt, PAINT),
            (tail + 0.01, belt - 0.08, PAINT), (tail, bumper, PAINT),
        ],
        half, paint, PAINT, lean=0.04, bevel=rng.uniform(0.12, 0.3), bow=rng.uniform(0.05, 0.18),
    )  # fmt: skip
    parts = [lower, *_greenhouse(kind, at, half - 0.02, belt, height, paint), *_seats(at, half, belt, height, rng)]
    parts += wheels(length, width, min(0.33, 0.21 * height), rng)
    return join([*parts, *_marks(length, width, height, paint, rng)])


def _greenhouse(kind: Body, at: list[float], half: float, belt: float, height: float, paint: float) -> list[Shape]:
    """Glass from the belt up, the roof on it, and the metal at the back that has no window."""
    rear_foot, rear_top, front_top, front_foot = at
    lean, middle = 0.13 if height < 1.8 else 0.05, (rear_top + front_top) / 2
    ledge = height - 0.09

    def between(low: float, high: float, z: float) -> float:
        return low + (high - low) * (z - belt) / (height - _BEND - belt)

    glass = prism(
        [(rear_foot, belt, INSIDE), (front_foot, belt, GLASS), (between(front_foot, front_top, ledge), ledge, INSIDE),
         (between(rear_foot, rear_top, ledge), ledge, GLASS)],
        half, paint, GLASS, lean,
    )  # fmt: skip
    inward = lean * (ledge - belt)
    roof = prism(
        [
            (between(rear_foot, rear_top, ledge), ledge, INSIDE), (between(front_foot, front_top, ledge), ledge, PAINT),
            (front_top, height - _BEND, PAINT), (middle, height, PAINT), (rear_top, height - _BEND, PAINT),
        ],
        half - inward, paint, PAINT, lean=0.3,
    )  # fmt: skip
    back = 0.09 if not kind.panel else kind.panel * (front_top - rear_foot)
    side = prism(  # the pillar or the panel behind the last window
        [(rear_foot + 0.03, belt, INSIDE), (rear_foot + back, belt, PAINT), (rear_top + back, ledge, PAINT),
         (rear_top + 0.03, ledge, PAINT if kind.panel else GLASS)],
        half - 0.005, paint, PAINT, lean,
    )  # fmt: skip
    post = prism(  # between the doors
        [(middle - 0.05, belt, INSIDE), (middle + 0.05, belt, GLASS), (middle + 0.05, ledge, GLASS),
         (middle - 0.05, ledge, GLASS)], half - 0.004, paint, PAINT, lean,
    )  # fmt: skip
    return [glass, roof, side, post]


def _seats(at: list[float], half: float, belt: float, height: float, rng: Rng) -> list[Shape]:
    """Backs and heads of two rows."""
    tone, found = albedo(INSIDE, rng), []
    high = (height - belt) * 0.5
    for place, across in ((0.58, 0.38), (0.2, 0.42)):
        x = at[0] + place * (at[3] - at[0]) - 0.15
        for side in (-0.45, 0.45):
            middle = (x, side * half, belt + high / 2 - 0.05)
            found.append(box(middle, (0.16, across * half * 1.3, high), INSIDE, tone))
    return found


def wheels(length: float, width: float, radius: float, rng: Rng) -> list[Shape]:
    """Four, flush with the sides."""
    turn = np.arange(8) * np.pi / 4 + np.pi / 8
    tone, found = albedo(RUBBER, rng), []
    for place in (-0.31, 0.31):
        outline = [(place * length + radius * np.cos(a), radius + radius * np.sin(a), RUBBER) for a in turn]
        for side in (-1.0, 1.0):
            wheel = prism(outline, 0.1, tone, RUBBER)
            wheel.solids[:, Y] += side * (width / 2 - 0.12)
            found.append(wheel)
    return found


def _marks(length: float, width: float, height: float, paint: float, rng: Rng) -> list[Shape]:
    """Plates and lamps, which send the light back, and the mirrors."""
    found, bright = [], albedo(MIRROR, rng)
    for end in (-1.0, 1.0):
        high = height * (rng.uniform(0.42, 0.56) if end < 0 else rng.uniform(0.25, 0.33))
        found.append(box((end * (length / 2 - 0.03), 0, high), (0.08, 0.5, 0.11), MIRROR, bright))
        lamp = height * (0.55 if end < 0 else 0.44)
        for side in (-1.0, 1.0):
            middle = (end * (length / 2 - 0.12), side * (width / 2 - 0.2), lamp)
            found.append(box(middle, (0.14, 0.22, 0.13), MIRROR if end < 0 else GLASS, 0.7 * bright))
    for side in (-1.0, 1.0):
        found.append(box((0.21 * length, side * (width / 2 + 0.04), height * 0.65), (0.1, 0.16, 0.13), PAINT, paint))
    return found


def truck_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A cab and a load, on three axles."""
    cab = min(2.2, 0.35 * length)
    paint, load = paint_albedo(rng), paint_albedo(rng)
    low, high = rng.uniform(0.8, 1.15), height if rng.random() < 0.75 else 0.55 * height
    front = prism(
        [(length / 2 - cab, 0.35, RUBBER), (length / 2 - 0.05, 0.35, PAINT), (length / 2, 0.5 * height, GLASS),
         (length / 2 - 0.25, 0.82 * height, PAINT), (length / 2 - cab, 0.86 * height, PAINT)],
        width / 2 - 0.03, paint, PAINT, bevel=0.1,
    )  # fmt: skip
    box_length = length - cab - 0.15
    middle = (-length / 2 + box_length / 2, 0.0, (low + high) / 2)
    cargo = box(middle, (box_length, width, high - low), METAL, load)
    frame = box((0, 0, 0.65), (0.96 * length, 0.4 * width, 0.35), RUBBER, 0.06)
    return join([front, cargo, frame, *wheels(length, width, 0.48, rng)])


def bus_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A bus or a tram: a long box with a band of windows."""
    paint, belt, ledge = paint_albedo(rng), 0.36 * height, 0.78 * height
    lower = box((0, 0, (0.25 + belt) / 2), (length, width, belt - 0.25), PAINT, paint)
    glass = box((0, 0, (belt + ledge) / 2), (length - 0.1, width - 0.06, ledge - belt), GLASS, paint)
    roof = box((0, 0, (ledge + height) / 2), (length - 0.1, width - 0.04, height - ledge), PAINT, paint)
    rows = np.arange(-length / 2 + 1.2, length / 2 - 1.2, 1.1)
    seats = [box((x, y * width, belt + 0.2), (0.25, 0.8, 0.5), INSIDE, 0.15) for x in rows for y in (-0.3, 0.3)]
    return join([lower, glass, roof, *seats, *wheels(length, width, 0.45, rng)])


def trailer_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A trailer, a caravan or a machine: a box on wheels, with or without a bar in front of it."""
    bar = 0.2 * length if rng.random() < 0.6 else 0.0
    low = rng.uniform(0.3, 0.5)
    middle = (-bar / 2, 0, (low + height) / 2)
    load = box(middle, (length - bar, width, height - low), METAL, paint_albedo(rng))
    pole = box((length / 2 - bar / 2 - 0.05, 0, 0.45), (bar + 0.1, 0.12, 0.12), METAL, 0.3)
    return join([load, pole, *wheels(0.5 * length, width, 0.3, rng)])


def digger_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A construction vehicle: two tracks, an engine, a cab of glass, an arm with a shovel in front."""
    paint = paint_albedo(rng)
    tracks = [
        box((-0.15 * length, s * 0.38 * width, 0.4), (0.68 * length, 0.22 * width, 0.8), RUBBER, 0.1) for s in (-1, 1)
    ]
    engine = box((-0.3 * length, 0, 0.45 * height), (0.4 * length, 0.9 * width, 0.4 * height), PAINT, paint)
    cab = box((0.0, 0.2 * width, 0.82 * height), (0.22 * length, 0.4 * width, 0.36 * height), GLASS, paint)
    seat = box((-0.02 * length, 0.2 * width, 0.7 * height), (0.4, 0.5, 0.5), INSIDE, 0.15)
    arm = box((0.2 * length, -0.1 * width, 0.55 * height), (0.4 * length, 0.16 * width, 0.14 * height), PAINT, paint)
    shovel = box((0.44 * length, -0.05 * width, 0.25 * height), (0.12 * length, 0.5 * width, 0.4 * height), METAL, 0.3)
    return join([*tracks, engine, cab, seat, arm, shovel])


def paint_albedo(rng: Rng) -> float:
    """Of a car: half of them are dark, few are brilliant."""
    low, high = [(0.01, 0.08), (0.3, 0.55), (0.55, 0.9)][int(rng.choice(3, p=[0.52, 0.4, 0.08]))]
    return float(rng.uniform(low, high))
