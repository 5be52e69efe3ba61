"""Things that belong together: chairs at tables, night stands at beds, coffee tables in front of sofas."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.beds import bed
from pointcloud.generate.rooms.chairs import bench, dining_chair, upholstered_chair
from pointcloud.generate.rooms.clutter import on_top, table_lamp, under_top
from pointcloud.generate.rooms.furniture import Furniture, Group, Rng, about, chance
from pointcloud.generate.rooms.on_walls import GLASS, GLOSS
from pointcloud.generate.rooms.quads import box
from pointcloud.generate.rooms.seats import armchair, chair, office_chair, shell_chair, sofa
from pointcloud.generate.rooms.storage import dresser, nightstand
from pointcloud.generate.rooms.tables import coffee_table, desk, dining_table, end_table

AROUND_TABLES = (chair, office_chair, shell_chair, dining_chair, upholstered_chair)


def workplace(rng: Rng) -> Group:
    """A desk with a chair that faces it and objects on it."""
    drawers = int(rng.integers(-1, 2))
    table = desk(rng, drawers)
    seat = office_chair(rng) if chance(rng, 0.75) else chair(rng)
    group = [table, *_on_table(rng, table, 0.7, int(rng.integers(0, 5)))]
    if chance(rng, 0.4):
        side = float(rng.choice([-1, 1])) * (float(table.size[0]) / 2 - 0.3)
        group.append(under_top(rng).placed(side, -0.1))
    if chance(rng, 0.9):
        group.append(_facing(rng, seat, -drawers * 0.22, float(table.size[1]) / 2, np.pi))
    return group


def dining_set(rng: Rng) -> Group:
    """A table with chairs around it."""
    table = dining_table(rng)
    width, depth, _ = table.size
    chairs = _around(rng, width, depth, per_side=1 if width < 1.25 else 2, ends=0.5)
    return [table, *chairs, *_on_table(rng, table, 0.7, int(rng.integers(0, 5)))]


def conference_set(rng: Rng) -> Group:
    """A long table with six to eight chairs of one kind."""
    table = dining_table(rng, long=True)
    width, depth, _ = table.size
    chairs = _around(rng, width, depth, per_side=3 if width > 1.8 else 2, ends=0.7)
    return [table, *chairs, *_on_table(rng, table, 0.7, int(rng.integers(0, 5)))]


def school_table(rng: Rng) -> Group:
    """A table with one or two chairs on one side."""
    table = dining_table(rng) if chance(rng, 0.5) else desk(rng)
    width, depth, _ = table.size
    places = np.array([0.0]) if width < 1.2 or chance(rng, 0.3) else np.array([-0.25, 0.25]) * width
    return [table, *(_facing(rng, shell_chair(rng), x, depth / 2, np.pi) for x in places)]


def _around(rng: Rng, width: float, depth: float, per_side: int, ends: float) -> Group:
    kind = AROUND_TABLES[int(rng.choice(len(AROUND_TABLES), p=[0.15, 0.2, 0.15, 0.3, 0.2]))]
    places = (np.arange(per_side) + 0.5) / per_side * width - width / 2
    chairs = [_facing(rng, kind(rng), x, depth / 2, np.pi) for x in places if chance(rng, 0.85)]
    chairs += [_facing(rng, kind(rng), x, depth / 2, np.pi).placed(yaw=np.pi) for x in places if chance(rng, 0.85)]
    for side in (-np.pi / 2, np.pi / 2):
        if chance(rng, ends):
            chairs.append(_facing(rng, kind(rng), 0.0, width / 2, np.pi).placed(yaw=side))
    return chairs


def _facing(rng: Rng, seat: Furniture, x: float, edge: float, yaw: float) -> Furniture:
    """The seat at y = `edge` of a table, a little under its top or drawn out, turned towards it."""
    drawn_out = rng.uniform(-0.1, 0.12) if chance(rng, 0.6) else rng.uniform(0.1, 0.4)
    turned = yaw + rng.normal(0, 0.1 + 0.6 * max(0.0, drawn_out))
    return seat.placed(x, edge + float(seat.size[1]) / 2 + drawn_out, yaw=turned)


def _on_table(rng: Rng, table: Furniture, height: float, count: int) -> Group:
    """Clutter on the highest plain top, in places that do not touch."""
    low, high = table.quads.bounds()
    tops = table.quads.corners[(np.ptp(table.quads.corners[..., 2], axis=1) < 1e-6)]
    level = max((z for z in tops[..., 2].max(axis=1) if z < height + 0.15), default=height)
    spots = (np.arange(count) + 0.5) / max(1, count) * (high[0] - low[0]) * 0.8 + low[0] * 0.8
    back, front = (low[1] + 0.38, high[1] - 0.2) if high[2] > level + 0.2 else (0.6 * low[1], 0.5 * high[1])
    return [on_top(rng).placed(x, rng.uniform(back, max(front, back)), level) for x in spots]


def sitting_set(rng: Rng) -> Group:
    """A sofa, often with a coffee table in front, an end table with a lamp beside it, an armchair opposite."""
    couch = sofa(rng)
    low, high = couch.quads.bounds()
    group, front = [couch], high[1]
    if chance(rng, 0.75):
        table = coffee_table(rng)
        middle = front + about(rng, 0.4, 0.2) + table.size[1] / 2
        group += [item.placed(0.0, middle) for item in (table, *_on_table(rng, table, 0.4, int(rng.integers(0, 3))))]
        front = middle + table.size[1] / 2
    if chance(rng, 0.5):
        table, side = end_table(rng), -1 if chance(rng, 0.5) else 1
        x = side * (high[0] + 0.06 + table.size[0] / 2)
        lamp = [table_lamp(rng).placed(z=float(table.size[2]))] if chance(rng, 0.6) else []
        group += [item.placed(x, low[1] + 0.4) for item in (table, *lamp)]
    if chance(rng, 0.35):
        seat = armchair(rng)
        group.append(
            seat.placed(rng.uniform(-0.3, 0.3), front + 0.45 + seat.size[1] / 2, yaw=np.pi + rng.normal(0, 0.2))
        )
    return group


def bed_set(rng: Rng) -> Group:
    """A bed with up to two night stands with things on them, and sometimes a bench at its foot."""
    middle = bed(rng)
    low, high = middle.quads.bounds()
    group = [middle]
    for side in (-1, 1):
        if chance(rng, 0.6):
            stand = nightstand(rng)
            x, y = side * (high[0] + rng.uniform(0.04, 0.15) + stand.size[0] / 2), low[1] + stand.size[1] / 2 + 0.02
            group += [item.placed(x, y) for item in (stand, *_on_stand(rng, float(stand.size[2])))]
    if chance(rng, 0.2):
        seat = bench(rng)
        group.append(seat.placed(0.0, high[1] + 0.05 + float(seat.size[1]) / 2))
    return group


def _on_stand(rng: Rng, height: float) -> Group:
    if chance(rng, 0.5):
        return [table_lamp(rng).placed(z=height)]
    return [on_top(rng).placed(z=height)] if chance(rng, 0.4) else []


def dresser_set(rng: Rng) -> Group:
    """A dresser, if it is low with a mirror, a television or other things on it."""
    chest = dresser(rng)
    x, y, top = chest.size
    if top > 1.5:
        return [chest]
    if chance(rng, 0.3):
        glass = box((-0.4 * x, -0.02, 0.05), (0.4 * x, 0.02, about(rng, 0.9)), (170, 180, 185)).seen_as(GLASS)
        return [chest, Furniture("mirror", glass).placed(y=-y / 2 + 0.03, z=top), *_on_table(rng, chest, top, 1)]
    if chance(rng, 0.3):
        wide = about(rng, 0.45, 0.15)
        screen = box((-wide, -0.03, 0.0), (wide, 0.03, 1.15 * wide), (25, 25, 28)).seen_as(GLOSS)
        return [chest, Furniture("tv", screen).placed(z=top)]
    return [chest, *_on_table(rng, chest, top, int(rng.integers(0, 4)))]
