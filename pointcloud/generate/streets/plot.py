"""Kinds of streets, and the plot of one while it is planned: what has its place so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pointcloud.generate.streets.road import Profile
from pointcloud.generate.streets.things import Thing

Range = tuple[float, float]
FIRST, LAST = -70.0, 85.0  # metres along the line where things stand, about the way of the scanner's car


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
    "residential": (0.5, Style((3.4, 5.6), 0.8, 0.1, 60, 60, 120, 0.8, 0.95, (0.5, 5), 6, 20, 0.35, 0.05, 0.45)),
    "city": (0.22, Style((5.0, 8.0), 0.6, 0.1, 35, 16, 45, 0.9, 0.4, (0, 3), 7, 8, 0.45, 0.05, 0.25)),
    "road": (0.2, Style((4.0, 9.0), 0.04, 0.0, 35, 400, 200, 0.15, 0.6, (3, 15), 16, 55, 0.3, 0.06, 0.1)),
    "campus": (0.08, Style((3.0, 5.0), 0.25, 0.3, 120, 9, 25, 0.75, 0.5, (0, 8), 8, 16, 0.4, 0.2, 0.4)),
}


@dataclass(eq=False)
class Plot:
    """What has its place so far.

    Args:
        profile: of the ground.
        last: metres along the line where the street ends.
        end: the same of the plot, beyond it.
        things: so far.
        taken: rectangles `along left half_along half_left` on the road.
    """

    profile: Profile
    last: float
    end: float
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, thing: Thing, margin: float = 0.25) -> bool:
        """Whether there was room for it before the street ends; things without a box are put anywhere."""
        length, width, _ = thing.size
        cos, sin = abs(np.cos(thing.turn)), abs(np.sin(thing.turn))
        half = ((length * cos + width * sin) / 2 + margin, (length * sin + width * cos) / 2 + margin)
        if not self.free(thing.along, thing.left, *half):
            return False
        if any(thing.size):
            self.taken.append((thing.along, thing.left, *half))
        self.things.append(thing)
        return True

    def free(self, along: float, left: float, half_along: float, half_left: float) -> bool:
        """Whether nothing with a box is in a rectangle, and the street goes on there."""
        return along < self.last and not any(
            abs(x - along) < a + half_along and abs(y - left) < b + half_left for x, y, a, b in self.taken
        )

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
