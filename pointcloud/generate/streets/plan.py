"""What stands and moves in one street: traffic, parked rows, people, and what lines it. One of four kinds of street.

Where cars are, how they head and how many there are follows the 7,481 label files of KITTI: of the cars ahead 20 % are
3 to 6 m to the left, 13 % as far to the right; of those 6 to 9 m to the left 44 % are parked across.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pointcloud.generate.streets.people import stand_of_bicycles
from pointcloud.generate.streets.road import Ground, Profile, Road, lay_ground, lay_road
from pointcloud.generate.streets.scenery import SMALL, bush, fence, guard_rail, hedge, house, tree, wall
from pointcloud.generate.streets.shapes import Shape
from pointcloud.generate.streets.things import Thing, make

Rng = np.random.Generator
Range = tuple[float, float]
FIRST, LAST = -70.0, 85.0  # metres along the line where things stand
_OWN_M = (3.4, 1.3)  # half of what the scanner's car takes, along and across


@dataclass(frozen=True)
class Style:
    """A kind of street; ranges are lowest and highest, rates are a thing for so many metres.

    Args:
        half: width of half of the road, metres.
        parked: chance of a row of parked cars on a side; across: that they stand side by side.
        traffic: metres from one car to the next in a lane.
        people, cyclists: metres from one to the next on a side.
        houses, greens: chance that a stretch is built up, or has a hedge, a fence or a wall in front.
        setback: metres from the pavement to the houses.
        small: metres between trees, poles and signs at the kerb.
        wild: trees and bushes a hundred metres beyond the pavement.
        crossing: chance of another street that crosses ahead.
        lot: chance of a car park on a side.
        ends: chance that the street ends ahead, at houses or trees across it.
    """

    half: Range
    parked: float
    across: float
    traffic: float
    people: float
    cyclists: float
    houses: float
    greens: float
    setback: Range
    small: float
    wild: float
    crossing: float
    lot: float
    ends: float


STYLES = {
    "residential": (0.5, Style((3.4, 5.6), 0.8, 0.2, 60, 60, 120, 0.8, 0.8, (1, 6), 8, 12, 0.4, 0.1, 0.45)),
    "city": (0.22, Style((5.0, 8.0), 0.6, 0.2, 35, 16, 45, 0.9, 0.25, (0, 3), 8, 4, 0.5, 0.1, 0.25)),
    "road": (0.2, Style((4.0, 9.0), 0.04, 0.0, 35, 400, 200, 0.15, 0.5, (5, 20), 16, 35, 0.3, 0.1, 0.1)),
    "campus": (0.08, Style((3.0, 5.0), 0.25, 0.5, 120, 9, 25, 0.75, 0.4, (0, 10), 9, 10, 0.4, 0.2, 0.4)),
}


@dataclass(frozen=True, eq=False)
class Street:
    """A street and where in it the scanner's car is."""

    road: Road
    ground: Ground
    things: tuple[Thing, ...]
    own_left: float


@dataclass(eq=False)
class _Plot:
    """What has its place so far: rectangles on the road, and the things."""

    profile: Profile
    last: float = LAST
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, thing: Thing, margin: float = 0.25) -> bool:
        """Whether there was room for it before the street ends; things without a box are put anywhere."""
        length, width, _ = thing.size
        cos, sin = abs(np.cos(thing.turn)), abs(np.sin(thing.turn))
        half = ((length * cos + width * sin) / 2 + margin, (length * sin + width * cos) / 2 + margin)
        if thing.along > self.last:
            return False
        for along, left, half_along, half_left in self.taken:
            if abs(along - thing.along) < half[0] + half_along and abs(left - thing.left) < half[1] + half_left:
                return False
        if any(thing.size):
            self.taken.append((thing.along, thing.left, *half))
        self.things.append(thing)
        return True

    def crosses(self, along: float, margin: float = 1.5) -> bool:
        """Whether the other street is there."""
        middle, half = self.profile.crossing
        return half > 0 and abs(along - middle) < half + margin

    def kerb(self, side: float) -> float:
        """Metres from the line to the kerb of a side."""
        return self.profile.half[0 if side < 0 else 1]

    def edge(self, side: float) -> float:
        """Metres from the line to the end of the pavement of a side."""
        return self.kerb(side) + self.profile.pavement[0 if side < 0 else 1]


def plan_street(rng: Rng) -> Street:
    """A street of one of the kinds."""
    shares = np.array([share for share, _ in STYLES.values()])
    style = list(STYLES.values())[int(rng.choice(len(shares), p=shares / shares.sum()))][1]
    half = float(rng.uniform(*style.half))
    crossing = (float(rng.uniform(8, 55)), float(rng.uniform(2.8, 5))) if rng.random() < style.crossing else (0.0, 0.0)
    profile = Profile(
        half=(half, half),
        kerb=float(rng.uniform(0.05, 0.15)) if style.small < 20 else 0.0,
        pavement=(float(rng.uniform(0.8, 3.5)), float(rng.uniform(0.8, 3.5))),
        bank=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        grass=bool(rng.random() < 0.7),
        crossing=crossing,
    )
    rows = [rng.random() < style.parked for _ in range(2)]
    room = half - (1.9 if any(rows) and half > 4 else 0.4)  # of half of the road, for who drives
    own_left = -float(np.clip(rng.normal(0.5 * room, 0.3), 0.2, max(room - 1.0, 0.3)))
    end = float(rng.uniform(28, 70)) if rng.random() < style.ends else LAST
    plot = _Plot(profile, end - 6, taken=[(0.0, own_left, *_OWN_M)])
    for side, row in zip((-1.0, 1.0), rows, strict=True):
        if row:
            _park(plot, style, side, rng)
        if rng.random() < style.lot:
            _car_park(plot, side, rng)
    _traffic(plot, style, own_left, room, rng)
    _crossing(plot, rng)
    for side in (-1.0, 1.0):
        _people(plot, style, side, rng)
        _line(plot, style, side, rng)
    if end < LAST:
        _end(plot, end, rng)
    road = lay_road(profile, rng)
    return Street(road, lay_ground(road, rng), tuple(plot.things), own_left)


def _vehicle(rng: Rng, parked: bool) -> str:
    shares = {"Car": 0.85, "Van": 0.11, "Truck": 0.01, "Misc": 0.03} if parked else {
        "Car": 0.82, "Van": 0.08, "Truck": 0.06, "Tram": 0.02, "Misc": 0.02}  # fmt: skip
    return str(rng.choice(list(shares), p=list(shares.values())))


def _park(plot: _Plot, style: Style, side: float, rng: Rng) -> None:
    """A row along the kerb, or side by side across it, with gaps."""
    across, along, full = rng.random() < style.across, FIRST, rng.uniform(0.35, 0.95)
    inward = rng.uniform(0.85, 1.15) if plot.kerb(side) > 4 else rng.uniform(0.0, 0.9)
    first = along if rng.random() < 0.7 else rng.uniform(0, 25)
    while along < LAST:
        if rng.random() > full or along < first:
            along += rng.uniform(3, 7)
            continue
        turn = np.pi if (side > 0) != (rng.random() < 0.15) else 0.0
        left = plot.kerb(side) - inward + rng.normal(0, 0.12)
        if across:
            turn, left = side * rng.choice([-1, 1]) * np.pi / 2, plot.kerb(side) + 2.2 + rng.normal(0, 0.2)
        one = make(_vehicle(rng, parked=True), 0, side * left, rng, turn + rng.normal(0, 0.03))
        long = one.size[1] + 0.6 if across else one.size[0]
        one = Thing(one.shape, along + long / 2, one.left, one.turn, one.category, one.size)
        if not plot.crosses(one.along, long / 2 + 1):
            plot.add(one, 0.1)
        along += long + (0.3 + rng.exponential(0.4) if across else 0.6 + rng.exponential(0.8))


def _car_park(plot: _Plot, side: float, rng: Rng) -> None:
    """Rows side by side beyond the pavement; or cars here and there before the houses."""
    start, rows = rng.uniform(-10, 40), int(rng.integers(1, 4))
    for row in range(rows):
        left = plot.edge(side) + 3.0 + row * (5.5 if row % 2 else 6.5) + rng.uniform(0, 0.5)
        for spot in range(int(rng.integers(4, 14))):
            if rng.random() < 0.7:
                turn = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04)
                plot.add(make(_vehicle(rng, parked=True), start + 2.6 * spot, side * left, rng, turn), 0.1)


def _traffic(plot: _Plot, style: Style, own_left: float, room: float, rng: Rng) -> None:
    """Cars in the own lane and in those beside it, and in the lanes against it."""
    lanes = [(own_left, 0.0)]
    if room > 3.2:
        lanes.append((max(-own_left, own_left + 2.9), np.pi))
    if room > 6.0:
        other = own_left + rng.choice([-1, 1]) * 3.3
        lanes.append((other, 0.0 if other < 0 else np.pi))
    for left, turn in lanes:
        along = FIRST + rng.exponential(style.traffic)
        while along < LAST:
            kind = _vehicle(rng, parked=False)
            plot.add(make(kind, along, left + rng.normal(0, 0.2), rng, turn + rng.normal(0, 0.03), 8.0), 0.5)
            along += 6 + rng.exponential(style.traffic)


def _crossing(plot: _Plot, rng: Rng) -> None:
    """Cars in the street that crosses, driving and parked."""
    middle, half = plot.profile.crossing
    if not half:
        return
    for left in rng.uniform(-45, 45, int(rng.poisson(3.0))):
        lane, turn = rng.choice([-1, 1]) * half / 2, rng.normal(0, 0.06)
        plot.add(make(_vehicle(rng, False), middle + lane, left, rng, np.sign(lane) * np.pi / 2 + turn, 6.0), 0.3)
    for side in (-1.0, 1.0):  # parked in the street that crosses
        if rng.random() < 0.5:
            for left in np.arange(plot.edge(side) + 3, 45, 5.2):
                if rng.random() < 0.6:
                    at, turn = middle + rng.choice([-1, 1]) * (half - 0.9), rng.choice([-1, 1]) * np.pi / 2
                    plot.add(make(_vehicle(rng, True), at, side * left, rng, turn + rng.normal(0, 0.03)), 0.1)


def _people(plot: _Plot, style: Style, side: float, rng: Rng) -> None:
    """On the pavement, alone or together; some cross. Cyclists ride at the kerb or on the pavement."""
    along = FIRST
    while (along := along + rng.exponential(style.people) + 0.5) < LAST:
        wild = rng.random() < 0.15
        left = rng.uniform(-plot.kerb(side), plot.kerb(side)) if wild else plot.kerb(side) + rng.uniform(0.3, 4.0)
        heading = rng.uniform(-np.pi, np.pi) if wild or rng.random() < 0.4 else rng.choice([0.0, np.pi])
        for number in range(int(rng.choice([1, 1, 1, 2, 2, 3]))):
            kind = "Person_sitting" if rng.random() < 0.04 else "Pedestrian"
            turn = heading + rng.normal(0, 0.15)
            plot.add(make(kind, along + rng.normal(0, 0.3), side * (left + 0.75 * number), rng, turn, 1.2), 0.0)
    along = FIRST
    while (along := along + rng.exponential(style.cyclists) + 2) < LAST:
        turn = (0.0 if side < 0 else np.pi) + (np.pi if rng.random() < 0.1 else 0.0) + rng.normal(0, 0.1)
        left = plot.kerb(side) + rng.choice([-0.7, 1.2, -2.8]) + rng.normal(0, 0.3)
        plot.add(make("Cyclist", along, side * left, rng, turn, 4.5), 0.1)


def _end(plot: _Plot, end: float, rng: Rng) -> None:
    """What stands across the end of the street: houses, a hedge or a wall before them, trees."""
    plot.last, left = LAST, -32.0
    while left < 32:
        length, depth = rng.uniform(7, 20), rng.uniform(6, 12)
        if rng.random() < 0.75:
            plot.add(Thing(house(length, depth, rng), end + 4 + depth / 2, left + length / 2, -np.pi / 2))
        if rng.random() < 0.5:
            made = (hedge, wall, fence)[int(rng.integers(3))](length, rng)
            plot.add(Thing(made, end + rng.uniform(0, 2), left + length / 2, np.pi / 2))
        if rng.random() < 0.5:
            plot.add(Thing((tree if rng.random() < 0.5 else bush)(rng), end + rng.uniform(0, 4), left))
        left += length + rng.uniform(0.3, 4)


def _line(plot: _Plot, style: Style, side: float, rng: Rng) -> None:
    """What lines a side: houses, and before them hedges, fences and walls; trees, poles and signs at the kerb."""
    edge, turn = plot.edge(side), 0.0 if side > 0 else np.pi

    def put(shape: Shape, along: float, left: float, angle: float = turn) -> None:
        if not plot.crosses(along, 0.0):
            plot.add(Thing(shape, along, side * left, angle))

    along, setback = FIRST - 10, rng.uniform(*style.setback)
    while along < LAST:
        length, depth = rng.uniform(6, 24), rng.uniform(6, 13)
        middle = along + length / 2
        if not plot.crosses(middle, length / 2):
            if rng.random() < style.houses:
                put(house(length, depth, rng), middle, edge + setback + depth / 2 + rng.uniform(0, 1.5))
            if rng.random() < style.greens:
                kind = rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])
                made = (hedge, wall, fence, guard_rail)[kind](length - rng.uniform(0, 3), rng)
                put(made, middle, edge + rng.uniform(0, 0.5))
        along += length + (rng.uniform(1, 10) if rng.random() < 0.5 else 0.3)
    at = FIRST
    while (at := at + rng.exponential(style.small) + 0.5) < LAST:
        kinds = list(SMALL)
        made = kinds[int(rng.choice(len(kinds), p=np.array(list(SMALL.values()))))](rng)
        put(made, at, plot.kerb(side) + rng.uniform(0.3, 1.0), rng.normal(0, 0.1))
    if rng.random() < 0.15:
        put(stand_of_bicycles(int(rng.integers(2, 9)), rng), rng.uniform(0, 40), plot.kerb(side) + 1.2)
    for _ in range(int(rng.poisson(style.wild * (LAST - FIRST) / 100))):
        put((tree if rng.random() < 0.5 else bush)(rng), rng.uniform(FIRST, LAST), edge + rng.exponential(6) + 0.8)
