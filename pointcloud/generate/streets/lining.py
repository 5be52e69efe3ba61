"""What lines a street: houses, hedges, fences and walls, trees, poles and signs; and what stands across its end."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.streets.people import stand_of_bicycles
from pointcloud.generate.streets.plot import FIRST, Plot, Style
from pointcloud.generate.streets.scenery import (
    SMALL,
    bush,
    fence,
    guard_rail,
    hedge,
    house,
    tree,
    upright,
    wall,
)
from pointcloud.generate.streets.shapes import Shape
from pointcloud.generate.streets.things import Thing

Rng = np.random.Generator


def close(plot: Plot, end: float, rng: Rng) -> None:
    """What stands across the end of the street: houses, a hedge or a wall before them, trees."""
    plot.last, left = plot.end, -32.0
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


def line(plot: Plot, style: Style, side: float, rng: Rng) -> None:
    """What lines a side: houses, and before them hedges, fences and walls; trees, poles and signs at the kerb."""
    edge, turn = plot.edge(side), 0.0 if side > 0 else np.pi

    def put(
        shape: Shape, along: float, left: float, half: tuple[float, float] = (0.3, 0.3), angle: float = turn
    ) -> None:
        if not plot.crosses(along, 0.0) and plot.free(along, side * left, *half):
            plot.add(Thing(shape, along, side * left, angle))

    along, setback = FIRST - 10, rng.uniform(*style.setback)
    while along < plot.last:
        length, depth = rng.uniform(6, 24), rng.uniform(6, 13)
        middle = along + length / 2
        if not plot.crosses(middle, length / 2):
            if rng.random() < style.houses:
                left = edge + setback + depth / 2 + rng.uniform(0, 1.5)
                put(house(length, depth, rng), middle, left, (length / 2, depth / 2))
                for _ in range(int(rng.poisson(1.0))):  # before the house
                    before = edge + rng.uniform(0, max(setback, 1.0))
                    put(upright(rng), middle + rng.uniform(-0.5, 0.5) * length, before, angle=rng.uniform(-3, 3))
            if rng.random() < style.greens:
                kind = rng.choice(4, p=[0.45, 0.25, 0.2, 0.1])
                made = (hedge, wall, fence, guard_rail)[kind](length - rng.uniform(0, 3), rng)
                put(made, middle, edge + rng.uniform(0, 0.5), (length / 2, 0.5))
        along += length + (rng.uniform(1, 10) if rng.random() < 0.5 else 0.3)
    at = FIRST
    while (at := at + rng.exponential(style.small) + 0.5) < plot.last:
        kinds = list(SMALL)
        made = kinds[int(rng.choice(len(kinds), p=np.array(list(SMALL.values()))))](rng)
        put(made, at, plot.kerb(side) + rng.uniform(0.3, 1.0), angle=rng.normal(0, 0.1))
    if rng.random() < 0.15:
        put(stand_of_bicycles(int(rng.integers(2, 9)), rng), rng.uniform(0, 40), plot.kerb(side) + 1.2, (2.5, 1))
    for _ in range(int(rng.poisson(style.wild * (plot.last - FIRST) / 100))):
        grow = (tree, bush, upright)[int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
        put(grow(rng), rng.uniform(FIRST, plot.last), edge + rng.exponential(6) + 0.8)
