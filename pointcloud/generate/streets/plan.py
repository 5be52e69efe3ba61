"""What stands and moves in one street: traffic, parked rows, people, work zones. One of four kinds of street.

Where cars are, how they head and how many there are follows the 7,481 label files of KITTI: of the cars ahead 20 % are
3 to 6 m to the left, 13 % as far to the right; of those 6 to 9 m to the left 44 % are parked across.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pointcloud.generate.streets.lining import close, line
from pointcloud.generate.streets.plot import FIRST, LAST, STYLES, Plot, Style
from pointcloud.generate.streets.populations import Population
from pointcloud.generate.streets.road import Ground, Profile, Road, lay_ground, lay_road
from pointcloud.generate.streets.things import Thing

Rng = np.random.Generator
_OWN_M = (3.4, 1.3)  # half of what the scanner's car takes, along and across


@dataclass(frozen=True, eq=False)
class Street:
    """A street, and how the scanner's car goes through it.

    Args:
        road: its line.
        ground: below it.
        things: all that stands or moves there.
        own_left: metres to the left of the line where the car is.
        own_speed: m/s along the line.
    """

    road: Road
    ground: Ground
    things: tuple[Thing, ...]
    own_left: float
    own_speed: float


def plan_street(rng: Rng, population: Population, trip_s: float = 0.0) -> Street:
    """A street of one of the kinds.

    Args:
        population: what kinds of things there are.
        trip_s: how long the scanner's car goes through it; then nothing stands in the way of what moves.
    """
    shares = np.array([share for share, _ in STYLES.values()])
    style = list(STYLES.values())[int(rng.choice(len(shares), p=shares / shares.sum()))][1]
    profile = _profile(style, rng)
    half, own_speed = profile.half[0], float(rng.uniform(3.5, 9.0))
    trip = own_speed * trip_s
    rows = [rng.random() < style.parked for _ in range(2)]
    room = half - (1.9 if any(rows) and half > 4 else 0.4)  # of half of the road, for who drives
    own_left = -float(np.clip(rng.normal(0.5 * room, 0.3), 0.2, max(room - 1.0, 0.3)))
    ends = rng.random() < style.ends and not trip
    last = float(rng.uniform(28, 70)) - 6 if ends else LAST + trip
    plot = Plot(profile, last, LAST + trip, taken=[(0.0, own_left, *_OWN_M)])
    for side, row in zip((-1.0, 1.0), rows, strict=True):
        _kerbside(plot, population, style, side, row, rng)
    _traffic(plot, population, style, [own_left, room, own_speed], rng)
    _crossing(plot, population, 0.0 if trip else 6.0, rng)
    for side in (-1.0, 1.0):
        _people(plot, population, style, side, rng)
        _riders(plot, population, style, side, rng)
        line(plot, style, side, rng)
    if ends:
        close(plot, last + 6, rng)
    road = lay_road(profile, rng, trip)
    return Street(road, lay_ground(road, rng, trip), tuple(plot.things), own_left, own_speed)


def _profile(style: Style, rng: Rng) -> Profile:
    half = float(rng.uniform(*style.half))
    crosses = rng.random() < style.crossing
    return Profile(
        half=(half, half),
        kerb=float(rng.uniform(0.05, 0.15)) if style.small < 16 else 0.0,
        pavement=(float(rng.uniform(0.8, 3.5)), float(rng.uniform(0.8, 3.5))),
        bank=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        grass=bool(rng.random() < 0.7),
        crossing=(float(rng.uniform(8, 55)), float(rng.uniform(2.8, 5))) if crosses else (0.0, 0.0),
    )


def _kerbside(plot: Plot, population: Population, style: Style, side: float, row: bool, rng: Rng) -> None:
    """A work zone, a row of barriers, a row of parked cars, a car park: all of them, or some, or none."""
    if rng.random() < population.work_zones:
        _work_zone(plot, population, side, rng)
    if population.barriers and rng.random() < population.barriers:  # no draw without: KITTI's frames stay as they are
        _barriers(plot, population, side, rng)
    if row:
        _park(plot, population, style, side, rng)
    if rng.random() < style.lot:
        _car_park(plot, population, side, rng)


def _park(plot: Plot, population: Population, style: Style, side: float, rng: Rng) -> None:
    """A row along the kerb, or side by side across it, with gaps."""
    across, along, full = rng.random() < style.across, FIRST, rng.uniform(0.35, 0.95)
    inward = rng.uniform(0.85, 1.15) if plot.kerb(side) > 4 else rng.uniform(0.0, 0.9)
    first = along if rng.random() < 0.7 else rng.uniform(0, 25)
    while along < plot.last:
        if rng.random() > full or along < first:
            along += rng.uniform(3, 7)
            continue
        turn = np.pi if (side > 0) != (rng.random() < 0.15) else 0.0
        left = plot.kerb(side) - inward + rng.normal(0, 0.12)
        if across:
            turn, left = side * rng.choice([-1, 1]) * np.pi / 2, plot.kerb(side) + 2.2 + rng.normal(0, 0.2)
        one = population.make(population.parked, 0, side * left, rng, turn + rng.normal(0, 0.03))
        long = one.size[1] + 0.6 if across else one.size[0]
        one = Thing(one.shape, along + long / 2, one.left, one.turn, one.category, one.size)
        if not plot.crosses(one.along, long / 2 + 1):
            plot.add(one, 0.1)
        along += long + (0.3 + rng.exponential(0.4) if across else 0.6 + rng.exponential(0.8))


def _car_park(plot: Plot, population: Population, side: float, rng: Rng) -> None:
    """Rows side by side beyond the pavement; or cars here and there before the houses."""
    start, rows = rng.uniform(-10, 40), int(rng.integers(1, 4))
    for row in range(rows):
        left = plot.edge(side) + 3.0 + row * (5.5 if row % 2 else 6.5) + rng.uniform(0, 0.5)
        for spot in range(int(rng.integers(4, 14))):
            if rng.random() < 0.7:
                turn = rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04)
                plot.add(population.make(population.parked, start + 2.6 * spot, side * left, rng, turn), 0.1)


def _traffic(plot: Plot, population: Population, style: Style, own: list[float], rng: Rng) -> None:
    """Cars in the own lane and in those beside it, and in the lanes against it; those of a lane keep their distance.

    `own` is where the scanner's car is to the left of the line, the width of half of the road, and the car's speed.
    """
    own_left, room, own_speed = own
    against = float(rng.uniform(5, 11))
    lanes = [(own_left, 0.0)]
    if room > 3.2:
        lanes.append((max(-own_left, own_left + 2.9), np.pi))
    if room > 6.0:
        other = own_left + rng.choice([-1, 1]) * 3.3
        lanes.append((other, 0.0 if other < 0 else np.pi))
    for left, turn in lanes:
        speed = against if turn else own_speed
        along = FIRST + rng.exponential(style.traffic)
        while along < plot.last:
            at, aside = left + rng.normal(0, 0.2), turn + rng.normal(0, 0.03)
            plot.add(population.make(population.driving, along, at, rng, aside, speed), 0.5)
            along += 6 + rng.exponential(style.traffic)


def _crossing(plot: Plot, population: Population, speed: float, rng: Rng) -> None:
    """Cars in the street that crosses, driving and parked."""
    middle, half = plot.profile.crossing
    if not half:
        return
    for left in rng.uniform(-45, 45, int(rng.poisson(3.0))):
        lane, turn = rng.choice([-1, 1]) * half / 2, rng.normal(0, 0.06)
        plot.add(
            population.make(population.driving, middle + lane, left, rng, np.sign(lane) * np.pi / 2 + turn, speed), 0.3
        )
    for side in (-1.0, 1.0):  # parked in the street that crosses
        if rng.random() < 0.3:
            for left in np.arange(plot.edge(side) + 3, 45, 5.2):
                if rng.random() < 0.6:
                    at, turn = middle + rng.choice([-1, 1]) * (half - 0.9), rng.choice([-1, 1]) * np.pi / 2
                    plot.add(population.make(population.parked, at, side * left, rng, turn + rng.normal(0, 0.03)), 0.1)


def _people(plot: Plot, population: Population, style: Style, side: float, rng: Rng) -> None:
    """On the pavement, alone or together; some stand, also in the street."""
    along = FIRST
    while (along := along + rng.exponential(style.people) + 0.5) < plot.last:
        wild = rng.random() < 0.15
        left = rng.uniform(-plot.kerb(side), plot.kerb(side)) if wild else plot.kerb(side) + rng.uniform(0.3, 4.0)
        stands = wild or rng.random() < 0.4
        heading, speed = (rng.uniform(-np.pi, np.pi), 0.0) if stands else (rng.choice([0.0, np.pi]), 1.2)
        for number in range(int(rng.choice([1, 1, 1, 2, 2, 3]))):
            turn, at = heading + rng.normal(0, 0.02 if speed else 0.2), along + rng.normal(0, 0.3)
            plot.add(population.make(population.people, at, side * (left + 0.75 * number), rng, turn, speed), 0.0)


def _riders(plot: Plot, population: Population, style: Style, side: float, rng: Rng) -> None:
    """Who rides at the kerb, beside the parked cars or on the pavement; and cycles that stand there."""
    along, lane = FIRST, rng.choice([-0.7, 1.2, -2.8])
    while (along := along + rng.exponential(style.cyclists) + 2) < plot.last:
        turn = (0.0 if side < 0 else np.pi) + rng.normal(0, 0.03)
        left = plot.kerb(side) + lane + rng.normal(0, 0.2)
        plot.add(population.make(population.riders, along, side * left, rng, turn, 4.5), 0.1)
    along = FIRST
    while population.standing and (along := along + rng.exponential(25) + 2) < plot.last:
        for number in range(int(rng.integers(1, 4))):
            at, turn = along + 0.9 * number, np.pi / 2 + rng.normal(0, 0.15)
            plot.add(population.make(population.standing, at, side * (plot.kerb(side) + 0.9), rng, turn), 0.0)


def _work_zone(plot: Plot, population: Population, side: float, rng: Rng) -> None:
    """A machine and workers at the kerb, behind a row of barriers or cones."""
    start, left = float(rng.uniform(-20, 60)), plot.kerb(side) - 1.4
    end = start + float(rng.uniform(12, 24))
    turn = float(rng.normal(0, 0.06)) + (np.pi if rng.random() < 0.5 else 0.0)
    plot.add(population.make({"construction_vehicle": 1.0}, (start + end) / 2, side * (left + 0.5), rng, turn), 0.1)
    for _ in range(int(rng.integers(0, 4))):
        plot.add(population.make(population.people, rng.uniform(start, end), side * left, rng, rng.uniform(-3, 3)))
    kind, step = ("barrier", 2.6) if rng.random() < 0.5 else ("traffic_cone", float(rng.uniform(1.5, 3)))
    for along in np.arange(start, end, step):
        turn = np.pi / 2 + rng.normal(0, 0.06)
        plot.add(population.make({kind: 1.0}, float(along), side * (left - 1.6 + rng.normal(0, 0.05)), rng, turn), 0.0)
    for along in (start - 1.5, end + 1.0):
        for aside in np.arange(left - 1.0, left + 1.5, 0.9):
            plot.add(population.make({"traffic_cone": 1.0}, along, side * float(aside), rng), 0.0)


def _barriers(plot: Plot, population: Population, side: float, rng: Rng) -> None:
    """A row end to end along the kerb, in the road or on the pavement; some begin with a few across the lane."""
    one, along, left = population.make({"barrier": 1.0}, 0, 0, rng), rng.uniform(-45, 35), rng.uniform(-1.8, 1.0)
    step, last, left = one.size[1] + rng.exponential(0.15), along + rng.uniform(8, 60), plot.kerb(side) + left

    def put(at: float, aside: float, turn: float) -> None:
        if not plot.crosses(at) and rng.random() < 0.95:
            plot.add(replace(one, along=at, left=side * aside, turn=turn + rng.normal(0, 0.04)), -0.05)

    if rng.random() < 0.35:
        for aside in np.arange(left + step / 2, plot.kerb(side) + 0.5, step):
            put(along - step / 2, aside, 0.0)
    while along < last:
        put(along, left + rng.normal(0, 0.05), np.pi / 2)
        along += step
