"""What stands and moves in one drive: traffic, parked vehicles, a work zone, people, buildings, trees, poles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pointcloud.generate.drives.road import (
    AHEAD,
    BEHIND,
    BICYCLES,
    KERB,
    LANE,
    PARKING,
    SIDEWALK,
    Road,
    lay_road,
)
from pointcloud.generate.drives.shapes import KINDS, PARKED_BUS, Part

Rng = np.random.Generator


@dataclass(frozen=True)
class Actor:
    """One thing with a box; it keeps its distance from the centre line and its speed.

    Args:
        kind: detection class.
        size: length, width, height in metres.
        along, left: where it is at time 0, metres on the road.
        speed: m/s along the road, negative against it.
        turn: radians from the heading of the road.
        category, attribute: nuScenes' names.
        parts: its shape.
        albedo: share of the light that it gives back.
    """

    kind: str
    size: tuple[float, float, float]
    along: float
    left: float
    speed: float
    turn: float
    category: str
    attribute: str
    parts: tuple[Part, ...]
    albedo: float


@dataclass(frozen=True)
class Fixture:
    """Something that is not annotated: a part of a building, a tree, a pole. As `Actor`, without motion."""

    size: tuple[float, float, float]
    along: float
    left: float
    turn: float
    parts: tuple[Part, ...]
    albedo: float


@dataclass(frozen=True, eq=False)
class Street:
    """A drive: the road, what is in it, and how fast the car with the scanner goes in its right lane."""

    road: Road
    actors: tuple[Actor, ...]
    fixtures: tuple[Fixture, ...]
    ego_speed: float


def plan_street(rng: Rng) -> Street:
    """A street with objects of all ten classes near the car's way."""
    road, ego_speed = lay_road(rng), float(rng.uniform(3.5, 9.0))
    actors = [*_lane(rng, -LANE, ego_speed, clear=True), *_lane(rng, LANE, -float(rng.uniform(5, 11)), clear=False)]
    for side in (-1.0, 1.0):
        actors += _riders(rng, side)
        actors += _kerbside(rng, side)
        actors += _people(rng, side)
    return Street(road, tuple(actors), tuple(_surroundings(rng)), ego_speed)


def _actor(rng: Rng, kind: str, along: float, left: float, speed: float = 0.0, turn: float = 0.0) -> Actor:
    made = KINDS[kind]
    length, width, height = (float(mean * np.clip(rng.normal(1, made.spread), 0.75, 1.3)) for mean in made.size)
    attribute = made.moving if speed else PARKED_BUS if kind == "bus" else made.resting
    if speed < 0:
        turn += np.pi
    albedo = float(rng.uniform(0.08, 0.7))
    parts = made.parts + (made.riding if speed else ())
    return Actor(kind, (length, width, height), along, left, speed, turn, made.category, attribute, parts, albedo)


def _choose(rng: Rng, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def _lane(rng: Rng, left: float, speed: float, clear: bool) -> list[Actor]:
    """Traffic of one lane at one speed, so that nothing meets; `clear` keeps the place of the car itself free."""
    shares = {"car": 0.66, "truck": 0.1, "bus": 0.08, "trailer": 0.1, "motorcycle": 0.06}
    found, along = [], BEHIND + 30
    while along < AHEAD - 40:
        kind = _choose(rng, shares)
        one = _actor(rng, kind, 0.0, left + rng.normal(0, 0.15), speed)
        along += one.size[0] / 2
        fits = not clear or abs(along) > 7 + one.size[0] / 2
        if fits:
            found.append(replace(one, along=along))
        along += one.size[0] / 2
        if kind == "trailer" and fits:  # what draws it, in the direction of travel
            towing = _actor(rng, "truck", 0.0, left, speed)
            ahead = np.sign(speed) * (one.size[0] + towing.size[0] + 1.2) / 2
            if not clear or abs(found[-1].along + ahead) > 11:
                found.append(replace(towing, along=found[-1].along + ahead))
            along += towing.size[0] + 1.5
        along += rng.uniform(9, 34)
    return _apart(found)


def _apart(actors: list[Actor]) -> list[Actor]:
    """Those that stand clear of the ones before, along the road."""
    kept: list[Actor] = []
    for one in sorted(actors, key=lambda actor: actor.along):
        if not kept or one.along - one.size[0] / 2 > kept[-1].along + kept[-1].size[0] / 2 + 0.4:
            kept.append(one)
    return kept


def _riders(rng: Rng, side: float) -> list[Actor]:
    """Bicycles and motorcycles beside the lane, with the traffic of their side."""
    speed, along, found = -side * float(rng.uniform(3, 6)), BEHIND + 40, []
    while (along := along + rng.uniform(14, 60)) < AHEAD - 40:
        found.append(_actor(rng, _choose(rng, {"bicycle": 0.7, "motorcycle": 0.3}), along, side * BICYCLES, speed))
    return found


def _kerbside(rng: Rng, side: float) -> list[Actor]:
    """Parked vehicles, and one work zone behind barriers and cones."""
    shares = {"car": 0.74, "truck": 0.1, "bus": 0.05, "trailer": 0.06, "construction_vehicle": 0.05}
    found, along = [], BEHIND + 30
    zone = float(rng.uniform(-10, 70))
    zone_end = zone + float(rng.uniform(16, 26))
    found += _work_zone(rng, side, zone, zone_end)
    while along < AHEAD - 40:
        one = _actor(rng, _choose(rng, shares), 0.0, side * (PARKING + rng.normal(0, 0.1)), 0.0, _facing(rng, side))
        start, end = along, along + one.size[0]
        along = end + rng.uniform(0.7, 2.0) + (rng.uniform(4, 25) if rng.random() < 0.4 else 0)
        if end + 3 < zone or start - 3 > zone_end:
            found.append(replace(one, along=(start + end) / 2))
    along = BEHIND + 40
    while (along := along + rng.uniform(10, 45)) < AHEAD - 40:  # cycles that stand on the pavement
        kind = _choose(rng, {"bicycle": 0.6, "motorcycle": 0.4})
        for number in range(int(rng.integers(1, 4))):
            turn = np.pi / 2 + rng.normal(0, 0.15)
            found.append(_actor(rng, kind, along + 0.9 * number, side * (KERB + 0.7), 0.0, turn))
    return found


def _facing(rng: Rng, side: float) -> float:
    """Most park in the direction of the traffic on their side."""
    against = rng.random() < 0.1
    return float(rng.normal(0, 0.03)) + (np.pi if (side > 0) != against else 0.0)


def _work_zone(rng: Rng, side: float, start: float, end: float) -> list[Actor]:
    """A construction vehicle and workers, a row of barriers or cones towards the traffic."""
    kind, found = _choose(rng, {"barrier": 0.5, "traffic_cone": 0.5}), []
    turn = float(rng.uniform(-0.06, 0.06)) + (np.pi if rng.random() < 0.5 else 0.0)
    found.append(_actor(rng, "construction_vehicle", (start + end) / 2, side * (PARKING + 0.35), 0.0, turn))
    step = 2.7 if kind == "barrier" else float(rng.uniform(1.6, 3))
    for along in np.arange(start, end, step):
        found.append(_actor(rng, kind, float(along), side * (BICYCLES + 0.55), 0.0, np.pi / 2 + rng.normal(0, 0.05)))
    for along in (start - 1, end + 1):
        for left in np.arange(BICYCLES + 0.9, KERB, 0.9 if kind == "barrier" else 2.5):
            other = "traffic_cone" if kind == "barrier" else "barrier"
            found.append(_actor(rng, other, float(along), side * float(left), 0.0, float(rng.normal(0, 0.1))))
    for _ in range(int(rng.integers(0, 3))):
        along, facing = float(rng.choice([start + 2, end - 2])), float(rng.uniform(-3, 3))
        found.append(_actor(rng, "pedestrian", along, side * (PARKING + rng.normal(0, 0.4)), 0.0, facing))
    return found


def _people(rng: Rng, side: float) -> list[Actor]:
    """People on the pavement, alone or together, walking or standing."""
    found, along = [], BEHIND + 40
    while (along := along + rng.exponential(9) + 1) < AHEAD - 40:
        walks = rng.random() < 0.7
        speed = float(rng.uniform(0.7, 1.8) * rng.choice([-1, 1])) if walks else 0.0
        left, facing = rng.uniform(SIDEWALK - 0.3, SIDEWALK + 1.6), 0.0 if walks else float(rng.uniform(-3, 3))
        for number in range(1 if rng.random() < 0.7 else 2):
            found.append(_actor(rng, "pedestrian", along, side * (left + 0.8 * number), speed, facing))
    return found


def _surroundings(rng: Rng) -> list[Fixture]:
    """Buildings, walls, trees, poles, signs, bins and bushes."""
    found = []
    for side in (-1.0, 1.0):
        along = BEHIND + 10
        while along < AHEAD - 10:
            length, depth = float(rng.uniform(8, 28)), float(rng.uniform(8, 16))
            front, high = rng.uniform(12, 17), float(rng.uniform(4, 18))
            if rng.random() < 0.82:
                albedo, middle = float(rng.uniform(0.15, 0.5)), along + length / 2
                found.append(_block((length, depth, high), middle, side * (front + depth / 2), albedo))
                if rng.random() < 0.6:  # steps or a porch
                    porch = (float(rng.uniform(1.5, 4)), 1.6, float(rng.uniform(0.4, 3)))
                    found.append(_block(porch, middle, side * (front - 0.7), albedo))
            elif rng.random() < 0.6:
                found.append(_block((length, 0.3, float(rng.uniform(1, 2.2))), along + length / 2, side * front, 0.3))
            along += length + (rng.uniform(2, 12) if rng.random() < 0.5 else 0.2)
        along = BEHIND + 10
        while (along := along + rng.uniform(4, 16)) < AHEAD - 10:
            found += _beside_the_kerb(rng, along, side)
    return found


def _block(size: tuple[float, float, float], along: float, left: float, albedo: float) -> Fixture:
    sunk = (size[0], size[1], size[2] + 1.0)  # its foot lies in the ground, which is not level
    return Fixture(sunk, along, left, 0.0, (("box", -0.5, 0.5, -0.5, 0.5, -1.0 / sunk[2], 1 - 1.0 / sunk[2]),), albedo)


def _beside_the_kerb(rng: Rng, along: float, side: float) -> list[Fixture]:
    left = side * (KERB + float(rng.uniform(0.2, 0.6)))
    what = rng.choice(5, p=[0.35, 0.3, 0.1, 0.1, 0.15])
    parts: tuple[Part, ...]
    if what == 0:  # a tree
        high = float(rng.uniform(4, 9))
        trunk = float(rng.uniform(0.25, 0.5)) / high
        parts = (("cone", 0.0, 0.0, -0.02, 0.5, trunk / 2, trunk / 3), ("ball", 0.0, 0.0, 0.7, 0.25, 0.25, 0.3))
        return [Fixture((high, high, high), along, left, 0.0, parts, float(rng.uniform(0.1, 0.3)))]
    if what == 1:  # a lamp post, or the pole of a sign
        high = float(rng.uniform(2.4, 8))
        parts = (("cone", 0.0, 0.0, -0.02, 1.0, 0.5, 0.4),)
        pole = Fixture((0.16, 0.16, high), along, left, 0.0, parts, 0.3)
        sign = (("box", -0.5, 0.5, -0.5, 0.5, 0.75, 1.0),)
        return [pole, Fixture((0.06, 0.7, high), along, left, 0.0, sign, 0.9)] if high < 3.5 else [pole]
    if what == 2:  # a bin
        size = (float(rng.uniform(0.4, 0.7)), float(rng.uniform(0.4, 0.7)), float(rng.uniform(0.8, 1.2)))
        return [Fixture(size, along, left, 0.0, (("box", -0.5, 0.5, -0.5, 0.5, 0.0, 1.0),), 0.3)]
    if what == 3:  # a bollard
        return [Fixture((0.2, 0.2, 0.9), along, left, 0.0, (("cone", 0.0, 0.0, -0.05, 1.0, 0.5, 0.5),), 0.3)]
    high = float(rng.uniform(0.7, 1.6))  # a bush
    bush: tuple[Part, ...] = (("ball", 0.0, 0.0, 0.45, 0.5, 0.4, 0.55),)
    return [Fixture((high * 1.4, high * 1.2, high), along, side * (SIDEWALK + 2.4), 0.0, bush, 0.2)]
