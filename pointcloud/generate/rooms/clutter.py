"""Small objects on tables and on the floor, of no class that is detected or of no name at all."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.chairs import bench, stool
from pointcloud.generate.rooms.furniture import BRIGHT, FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade
from pointcloud.generate.rooms.on_walls import GLOSS
from pointcloud.generate.rooms.quads import (
    Quads,
    at_height,
    box,
    cushion,
    cylinder,
    join,
    leaning,
    loft,
    outline,
    turned_body,
)


def on_top(rng: Rng) -> Furniture:
    """Something for a table, a desk or a counter, under half a metre high."""
    things = (monitor, small_box, stack_of_books, table_lamp, bottle, laptop, vase, crockery, soft_heap)
    return things[int(rng.integers(len(things)))](rng)


def on_floor(rng: Rng) -> Furniture:
    """Something that stands about."""
    things = (carton, floor_lamp, plant, backpack, suitcase, nameless, basket, shoes, soft_heap, stool, bench)
    return things[int(rng.integers(len(things)))](rng)


def under_top(rng: Rng) -> Furniture:
    """What is pushed under a table or a desk: a computer, cartons, a bag."""
    if chance(rng, 0.45):
        x, z = about(rng, 0.1), about(rng, 0.42, 0.08)
        return Furniture("", box((-x, -0.21, 0), (x, 0.21, z), shade(rng, METAL)))
    return (carton, backpack, basket, shoes)[int(rng.integers(4))](rng)


def laptop(rng: Rng) -> Furniture:
    """Open."""
    rgb, x = shade(rng, METAL), about(rng, 0.17)
    screen = leaning((-x, -0.13, 0.02), (x, -0.12, about(rng, 0.24)), rng.uniform(0.0, 0.1), (28, 28, 30)).seen_as(
        2 * GLOSS
    )
    return Furniture("", (box((-x, -0.12, 0), (x, 0.12, 0.02), rgb) + screen).turned(rng.normal(0, 0.3)))


def vase(rng: Rng) -> Furniture:
    """With stalks or without."""
    high, wide = about(rng, 0.26, 0.2), about(rng, 0.07, 0.2)
    body = turned_body(
        [(0.7 * wide, 0), (wide, 0.4 * high), (0.5 * wide, 0.85 * high), (0.6 * wide, high)],
        shade(rng, (*BRIGHT, *PAINT)),
    )
    if chance(rng, 0.5):
        stalks = [
            cushion((0, -0.03, 0), (rng.uniform(0.08, 0.2), 0.03, 0.02), shade(rng, ((70, 110, 60),))) for _ in range(7)
        ]
        body = join([body, *(s.turned(rng.uniform(0, 6.3)).moved(z=high + rng.uniform(0, 0.25)) for s in stalks)])
    return Furniture("", body)


def crockery(rng: Rng) -> Furniture:
    """Plates, cups and a bowl near each other."""
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(-0.25, 0.25), rng.uniform(-0.12, 0.12)
        wide, high = rng.uniform(0.035, 0.13), rng.uniform(0.02, 0.12)
        parts.append(turned_body([(0.6 * wide, 0), (wide, high)], shade(rng, (*PAINT, *BRIGHT))).moved(x, y))
    return Furniture("", join(parts))


def soft_heap(rng: Rng) -> Furniture:
    """Clothes, a blanket, cushions: rounded bodies on each other."""
    parts: list[Quads] = []
    for n in range(int(rng.integers(1, 4))):
        x, y, z = rng.uniform((0.12, 0.1, 0.06), (0.28, 0.22, 0.18))
        soft = cushion((-x, -y, 0), (x, y, z), shade(rng, (*FABRIC, *BRIGHT))).turned(rng.uniform(0, 3))
        parts.append(soft.moved(rng.normal(0, 0.06), rng.normal(0, 0.06), 0.08 * n))
    return Furniture("", join(parts))


def basket(rng: Rng) -> Furniture:
    """For laundry or toys, open and partly filled."""
    low, high, z = about(rng, 0.4), about(rng, 0.48), about(rng, 0.4, 0.2)
    outer, rgb = outline(high, high * rng.uniform(0.7, 1.0), 12, 4), shade(rng, (*BRIGHT, *PAINT, *WOOD))
    rings = [
        at_height(outer * low / high, 0),
        at_height(outer, z),
        at_height(outer * 0.9, z),
        at_height(outer * 0.8, z * rng.uniform(0.2, 0.9)),
    ]
    return Furniture("", loft(rings, rgb))


def shoes(rng: Rng) -> Furniture:
    """A few pairs."""
    parts = []
    for _ in range(int(rng.integers(2, 7))):
        shoe = cushion((-0.045, -0.14, 0), (0.045, 0.14, rng.uniform(0.07, 0.15)), shade(rng, (*FABRIC, *BRIGHT)))
        parts.append(shoe.turned(rng.uniform(-1, 1)).moved(rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2)))
    return Furniture("", join(parts))


def monitor(rng: Rng) -> Furniture:
    """A screen on a foot."""
    x, z = about(rng, 0.26), about(rng, 0.33)
    screen = box((-x, -0.02, 0.1), (x, 0.02, 0.1 + z), (28, 28, 30)).seen_as(2 * GLOSS)
    foot = box((-0.1, -0.08, 0), (0.1, 0.08, 0.02), (40, 40, 42)) + box(
        (-0.03, -0.04, 0), (0.03, -0.02, 0.2), (40, 40, 42)
    )
    return Furniture("monitor", screen + foot)


def small_box(rng: Rng) -> Furniture:
    """A printer, a carton, a radio."""
    x, y, z = rng.uniform((0.07, 0.06, 0.06), (0.2, 0.16, 0.28))
    return Furniture(
        "box", box((-x, -y, 0), (x, y, z), shade(rng, (*BRIGHT, *PAINT, *METAL))).turned(rng.normal(0, 0.3))
    )


def stack_of_books(rng: Rng) -> Furniture:
    """Lying on each other."""
    pile = [
        box((-0.1, -0.13, 0.03 * k), (0.1, 0.13, 0.03 * k + 0.028), shade(rng, BRIGHT)).turned(rng.normal(0, 0.2))
        for k in range(int(rng.integers(1, 6)))
    ]
    return Furniture("books", join(pile))


def table_lamp(rng: Rng) -> Furniture:
    """A foot and a shade."""
    foot = cylinder(0.06, 0, 0.02, shade(rng, METAL)) + cylinder(0.015, 0.02, 0.25, shade(rng, METAL), points=6)
    return Furniture("lamp", foot + turned_body([(0.15, 0.24), (0.1, 0.42)], shade(rng, PAINT)))


def bottle(rng: Rng) -> Furniture:
    """Never annotated."""
    return Furniture("", cylinder(0.035, 0, about(rng, 0.2), shade(rng, BRIGHT), points=6))


def carton(rng: Rng) -> Furniture:
    """A cardboard box, sometimes two."""
    x, y, z = rng.uniform((0.15, 0.12, 0.15), (0.3, 0.25, 0.45))
    body = box((-x, -y, 0), (x, y, z), shade(rng, ((170, 130, 85),)))
    if chance(rng, 0.3):
        body = body + box((-0.8 * x, -0.8 * y, z), (0.8 * x, 0.8 * y, 1.6 * z), shade(rng, ((170, 130, 85),)))
    return Furniture("box", body)


def floor_lamp(rng: Rng) -> Furniture:
    """A shade on a pole."""
    top, rgb = about(rng, 1.6, 0.06), shade(rng, METAL)
    pole = cylinder(0.14, 0, 0.03, rgb, points=12) + cylinder(0.02, 0.03, top - 0.25, rgb, points=6)
    return Furniture("lamp", pole + turned_body([(0.22, top - 0.28), (0.13, top)], shade(rng, PAINT)))


def plant(rng: Rng) -> Furniture:
    """Leaves around a stem in a pot."""
    pot = turned_body([(0.12, 0), (0.17, 0.3)], shade(rng, WOOD))
    leaves = []
    for _ in range(14):
        length, green = rng.uniform(0.15, 0.3), shade(rng, ((60, 100, 50), (85, 125, 65)))
        leaf = cushion((0, -0.05, 0), (length, 0.05, 0.03), green).turned(rng.uniform(0, 2 * np.pi))
        leaves.append(leaf.moved(z=rng.uniform(0.35, 0.95)))
    return Furniture("plant", join([pot, cylinder(0.02, 0.3, 0.9, (90, 75, 50), points=6), *leaves]))


def backpack(rng: Rng) -> Furniture:
    """Leaning upright."""
    rgb = shade(rng, (*FABRIC, *BRIGHT))
    pocket = cushion((-0.12, 0.1, 0.03), (0.12, 0.18, 0.22), rgb)
    return Furniture("backpack", cushion((-0.16, -0.12, 0), (0.16, 0.11, 0.45), rgb) + pocket)


def suitcase(rng: Rng) -> Furniture:
    """Upright, with its handle out."""
    rgb = shade(rng, (*FABRIC, *BRIGHT))
    handle = box((-0.12, -0.02, 0.6), (0.12, 0, 0.9), (60, 60, 62))
    return Furniture("suitcase", cushion((-0.22, -0.13, 0.03), (0.22, 0.13, 0.63), rgb) + handle)


def nameless(rng: Rng) -> Furniture:
    """A heap that no annotator named."""
    heap: list[Quads] = []
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.normal(0, 0.12, 2)
        size = rng.uniform(0.08, 0.2)
        heap.append(cushion((x - size, y - size, 0), (x + size, y + size, 1.4 * size), shade(rng, (*FABRIC, *BRIGHT))))
    return Furniture("", join(heap))
