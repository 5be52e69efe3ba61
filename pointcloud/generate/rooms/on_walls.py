"""Doors, windows, curtains, pictures and boards: in or on a wall, whose plane is y = 0 and whose room is y > 0."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.furniture import (
    BRIGHT,
    FABRIC,
    METAL,
    PAINT,
    WOOD,
    Furniture,
    Group,
    Rng,
    about,
    chance,
    shade,
    tinted,
)
from pointcloud.generate.rooms.quads import Quads, Triple, box, cushion, join, sweep_wave

GLASS, GLOSS = 0.12, 0.3  # how well a depth camera sees them


def door(rng: Rng) -> Furniture:
    """A leaf in its frame: shut, or open into the room."""
    width, height = about(rng, 0.92, 0.08), about(rng, 1.99, 0.03)
    rgb, x = shade(rng, (*WOOD, *PAINT)), width / 2
    parts = _frame(x, 0.0, height, shade(rng, (*PAINT, rgb)), 0.07, sill=False)
    leaf = [box((0, -0.045, 0.01), (width - 0.14, 0, height - 0.08), rgb)]
    for z in (0.25, 1.15):  # panels
        leaf.append(box((0.12, 0, z), (width - 0.28, 0.012, z + 0.6), tinted(rng, rgb)))
    leaf.append(box((width - 0.24, 0, 0.98), (width - 0.2, 0.06, 1.06), shade(rng, METAL)))
    opened = rng.uniform(0.4, 1.45) if chance(rng, 0.25) else 0.0
    parts.append(join(leaf).turned(opened).moved(-x + 0.07))
    body = join(parts)
    return Furniture("door", body.mirrored() if chance(rng, 0.5) else body)


def window(rng: Rng) -> Furniture:
    """Panes in a frame that stands out a little; glass is hardly seen."""
    width, height, sill = about(rng, 1.45, 0.25), about(rng, 1.25, 0.12), about(rng, 0.9, 0.1)
    height = min(height, 2.25 - sill)
    x, rgb, panes = width / 2, shade(rng, PAINT), max(1, round(width / rng.uniform(0.5, 0.9)))
    parts = _frame(x, sill, sill + height, rgb, rng.uniform(0.05, 0.09), sill=True)
    for number in range(1, panes):
        middle = -x + width * number / panes
        parts.append(box((middle - 0.025, -0.06, sill), (middle + 0.025, 0.02, sill + height), rgb))
    sky = shade(rng, ((190, 205, 220), (150, 165, 160), (235, 240, 245)))
    parts.append(box((-x, -0.07, sill), (x, -0.05, sill + height), sky).seen_as(rng.uniform(GLASS, 0.4)))
    if chance(rng, 0.25):  # a blind, drawn down some way
        drawn = sill + height * rng.uniform(0.2, 0.8)
        parts.append(box((-x + 0.03, -0.04, drawn), (x - 0.03, -0.01, sill + height - 0.02), shade(rng, PAINT)))
    return Furniture("window", join(parts))


def _frame(x: float, z0: float, z1: float, rgb: Triple, wide: float, sill: bool) -> list[Quads]:
    out, deep = 0.03, -0.08
    parts = [box((-x, deep, z0), (-x + wide, out, z1), rgb), box((x - wide, deep, z0), (x, out, z1), rgb)]
    parts.append(box((-x, deep, z1 - wide), (x, out, z1), rgb))
    if sill:
        parts.append(box((-x - 0.03, deep, z0 - 0.03), (x + 0.03, 0.09, z0), rgb))
    return parts


def window_with_curtains(rng: Rng) -> Group:
    """A window between two curtains that are one object, or with one drawn to a side."""
    pane = window(rng)
    width, rgb, top = float(pane.size[0]), shade(rng, FABRIC), about(rng, 2.28, 0.03)
    low = 0.06 if chance(rng, 0.6) else about(rng, 0.65)
    side = max(0.35, 0.4 * width)
    cloth = sweep_wave(side, about(rng, 0.14), max(2, round(side / 0.14)), low, top, rgb)
    shift, away = width / 2 - side / 2 + rng.uniform(0.1, 0.3), 0.2
    halves = [cloth.moved(-shift, away), cloth.moved(shift, away)]
    if chance(rng, 0.2):
        return [pane, Furniture("curtain", halves[int(rng.integers(2))])]
    rod = box((-shift - side / 2, away - 0.01, top), (shift + side / 2, away + 0.01, top + 0.02), shade(rng, METAL))
    return [pane, Furniture("curtain", join([*halves, rod]))]


def curtain(rng: Rng) -> Furniture:
    """Drawn across what is behind it."""
    width, low = about(rng, 1.7, 0.2), 0.05 if chance(rng, 0.7) else about(rng, 0.7)
    depth = about(rng, 0.15)
    cloth = sweep_wave(width, depth, max(3, round(width / 0.16)), low, about(rng, 2.1, 0.05), shade(rng, FABRIC))
    return Furniture("curtain", cloth.moved(y=depth / 2 + 0.06))


def picture(rng: Rng) -> Furniture:
    """A frame with a canvas, its back slightly in the wall."""
    x, height = about(rng, 0.27, 0.28), about(rng, 0.54, 0.28)
    z = rng.uniform(1.45, 1.65) - height / 2
    deep, rgb = rng.uniform(0.03, 0.05), shade(rng, (*WOOD, *METAL, *PAINT))
    canvas = box((-x + 0.03, 0, z + 0.03), (x - 0.03, deep + 0.005, z + height - 0.03), shade(rng, BRIGHT))
    inner = box((-0.5 * x, 0, z + 0.3 * height), (0.4 * x, deep + 0.01, z + 0.65 * height), shade(rng, BRIGHT))
    return Furniture("picture", join([box((-x, -0.01, z), (x, deep, z + height), rgb), canvas, inner]))


def board(rng: Rng) -> Furniture:
    """A white board or a blackboard: none of the benchmark's classes."""
    white = chance(rng, 0.7)
    x, z, height = about(rng, 1.1, 0.25), about(rng, 0.95, 0.05), about(rng, 1.15, 0.08)
    rgb = (235.0, 236.0, 238.0) if white else (45.0, 62.0, 55.0)
    parts = [box((-x, -0.01, z), (x, 0.03, z + height), rgb)]
    parts.append(box((-x, 0.03, z - 0.02), (x, 0.1, z), shade(rng, METAL)))
    return Furniture("whiteboard" if white else "blackboard", join(parts))


def mirror(rng: Rng) -> Furniture:
    """Hardly seen by a depth camera; none of the benchmark's classes."""
    x, z = about(rng, 0.3, 0.2), about(rng, 1.15, 0.04)
    height = float(np.clip(about(rng, 0.75), 0.5, 1.0))
    return Furniture("mirror", box((-x, -0.01, z), (x, 0.02, z + height), (170, 180, 185)).seen_as(GLASS))


def television(rng: Rng) -> Furniture:
    """On a wall, glossy black."""
    x, z = about(rng, 0.55, 0.15), about(rng, 1.1, 0.08)
    return Furniture("tv", box((-x, 0.02, z), (x, 0.07, z + 1.15 * x), (25, 25, 28)).seen_as(GLOSS))


def wall_thing(rng: Rng) -> Furniture:
    """What else hangs on walls, and nobody annotates: boards with books, coats on hooks, radiators, clocks, lamps."""
    return (_board_of_books, _coats, _radiator, _small_thing)[int(rng.integers(4))](rng)


def _board_of_books(rng: Rng) -> Furniture:
    x, z, deep = about(rng, 0.45, 0.2), rng.uniform(1.2, 1.8), about(rng, 0.22)
    parts, left = [box((-x, -0.01, z), (x, deep, z + 0.03), shade(rng, (*WOOD, *PAINT)))], -x
    while left < x - 0.1:
        right = min(left + rng.uniform(0.05, 0.25), x)
        if chance(rng, 0.6):
            parts.append(
                box(
                    (left, 0.01, z + 0.03),
                    (right, rng.uniform(0.5, 0.95) * deep, z + rng.uniform(0.12, 0.3)),
                    shade(rng, BRIGHT),
                )
            )
        left = right
    return Furniture("", join(parts))


def _coats(rng: Rng) -> Furniture:
    parts = [box((-0.4, -0.01, 1.6), (0.4, 0.03, 1.7), shade(rng, WOOD))]
    for at in np.linspace(-0.3, 0.3, int(rng.integers(2, 5))).tolist():
        parts.append(
            cushion(
                (at - 0.13, 0.03, rng.uniform(0.7, 1.1)), (at + 0.13, rng.uniform(0.12, 0.25), 1.65), shade(rng, FABRIC)
            )
        )
    return Furniture("", join(parts))


def _radiator(rng: Rng) -> Furniture:
    x, z, ribs = about(rng, 0.5, 0.2), about(rng, 0.65, 0.1), int(rng.integers(8, 20))
    at = np.linspace(-x, x, ribs + 1)[:-1].tolist()
    parts = [
        box((-x, 0.02, 0.12), (x, 0.06, z), (225, 222, 214)),
        box((-x, -0.01, 0.3), (x, 0.03, 0.34), (225, 222, 214)),
    ]
    return Furniture("", join([*parts, *(box((a, 0.06, 0.12), (a + x / ribs, 0.12, z), (225, 222, 214)) for a in at)]))


def _small_thing(rng: Rng) -> Furniture:
    x, high, deep = rng.uniform((0.08, 0.1, 0.04), (0.4, 0.45, 0.25))
    z = rng.uniform(1.2, 1.9)
    return Furniture("", box((-x, -0.01, z), (x, deep, z + high), shade(rng, (*PAINT, *METAL, *BRIGHT))))
