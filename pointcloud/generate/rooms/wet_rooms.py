"""Bathrooms and kitchens: toilets, basins, bathtubs, counters and what is built in with them."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.furniture import (
    BRIGHT,
    CERAMIC,
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
)  # fmt: skip
from pointcloud.generate.rooms.quads import (
    Quads,
    Triple,
    at_height,
    box,
    cylinder,
    join,
    leaning,
    loft,
    outline,
    sweep_wave,
)
from pointcloud.generate.rooms.storage import fronted


def toilet(rng: Rng) -> Furniture:
    """Bowl, seat and tank, or a bowl that hangs on a wall whose tank is inside; the lid open, shut or absent."""
    rgb, width, length = shade(rng, CERAMIC), about(rng, 0.4, 0.06), about(rng, 0.7, 0.05)
    seat, top, back = about(rng, 0.42, 0.04), about(rng, 0.78, 0.06), -length / 2
    hangs = chance(rng, 0.12)
    deep = 0.04 if hangs else about(rng, 0.2, 0.1)
    bowl, y = length - deep, length / 2 - (length - deep) / 2
    rings = [(0.6, 0.7, 0.0), (0.55, 0.6, 0.15), (0.95, 0.95, seat - 0.06), (1.0, 1.0, seat), (0.62, 0.62, seat)]
    if hangs:
        rings = [(0.5, 0.7, 0.12), (0.8, 0.9, 0.25), *rings[2:]]
    skin = [at_height(outline(width * a, bowl * b, 16, y=y), z) for a, b, z in rings]
    skin.append(at_height(outline(0.35 * width, 0.35 * bowl, 16, y=y), seat - 0.15))
    parts, lid = [loft(skin, rgb)], rng.random()
    if not hangs:
        half = width / 2 * rng.uniform(0.95, 1.2)
        parts.append(box((-half, back, seat - 0.02), (half, back + deep - 0.01, top), rgb))
    if lid < 0.35:
        parts.append(
            leaning(
                (-width / 2 + 0.02, back + deep + 0.02, seat),
                (width / 2 - 0.02, back + deep + 0.05, seat + 0.4),
                0.03,
                rgb,
            )
        )
    elif lid < 0.75:
        ring = outline(0.98 * width, 0.98 * bowl, 16, y=y)
        parts.append(loft([at_height(ring, seat), at_height(ring, seat + 0.03)], rgb))
    return Furniture("toilet", join(parts))


def bathtub(rng: Rng) -> Furniture:
    """A tub with a rim, its long side along the wall, or an oval one that stands free."""
    width, depth, height = about(rng, 1.55, 0.07), about(rng, 0.76, 0.06), about(rng, 0.5, 0.1)
    if chance(rng, 0.15):
        shape, rgb = (
            [(0.75, 0.7, 0.0), (0.95, 0.95, 0.7 * height), (1, 1, height), (0.9, 0.85, height), (0.6, 0.5, 0.15)],
            shade(rng, CERAMIC),
        )
        return Furniture("bathtub", loft([at_height(outline(width * a, depth * b, 20), z) for a, b, z in shape], rgb))
    return Furniture(
        "bathtub", _basin(width, depth, 0, height, rng.uniform(0.05, 0.1), 0.38 * height / 0.5, shade(rng, CERAMIC))
    )


def _basin(width: float, depth: float, z0: float, z1: float, rim: float, hollow: float, rgb: Triple) -> Quads:
    """A block with a rounded hollow in its top."""
    outer, edge = outline(width, depth, 20, 12), outline(width - 2 * rim, depth - 2 * rim, 20, 5)
    bottom = outline(0.8 * (width - 2 * rim), 0.7 * (depth - 2 * rim), 20, 4)
    rings = [at_height(outer, z0), at_height(outer, z1), at_height(edge, z1), at_height(bottom, z1 - hollow)]
    return loft(rings, rgb)


def tap(x: float, y: float, z: float) -> Quads:
    """A tap at a basin's back edge."""
    rgb = (170, 172, 175)
    return cylinder(0.02, z, z + 0.12, rgb, x, y, 6) + box(
        (x - 0.015, y, z + 0.1), (x + 0.015, y + 0.14, z + 0.13), rgb
    )


def pedestal_sink(rng: Rng) -> Furniture:
    """A basin on the wall; the column under it is no part of what is annotated, so there is none."""
    width, depth, rim = about(rng, 0.56), about(rng, 0.46), about(rng, 0.84, 0.03)
    basin = _basin(width, depth, rim - about(rng, 0.18), rim, 0.04, 0.13, shade(rng, CERAMIC))
    return Furniture("sink", basin + tap(0, -depth / 2 + 0.03, rim))


def vanity(rng: Rng) -> Group:
    """A counter with a basin on a cabinet."""
    return _built_in(rng, about(rng, 1.1, 0.15), about(rng, 0.55, 0.05), "bathroom vanity")


def kitchen_line(rng: Rng) -> Group:
    """Cabinets, the counter on them with a sink, cabinets on the wall above, perhaps a refrigerator at one end."""
    from pointcloud.generate.rooms.storage import refrigerator

    width, depth = about(rng, 2.7, 0.18), about(rng, 0.64, 0.04)
    group = _built_in(rng, width, depth, "kitchen cabinets")
    if chance(rng, 0.75):
        upper, height = width * rng.uniform(0.4, 1.0), about(rng, 0.7)
        quads = fronted(rng, upper, 0.34, height, tinted(rng, shade(rng, (*WOOD, *PAINT))), z=about(rng, 1.42, 0.03))
        group.append(
            Furniture("kitchen cabinet", quads.moved(rng.uniform(-1, 1) * (width - upper) / 2, -depth / 2 + 0.17))
        )
    if chance(rng, 0.75):
        fridge, side = refrigerator(rng), 1 if chance(rng, 0.5) else -1
        reach, deep = fridge.size[:2]
        group.append(fridge.placed(side * (width / 2 + 0.06 + reach / 2), (deep - depth) / 2))
    return group


def _built_in(rng: Rng, width: float, depth: float, label: str) -> Group:
    """A counter of four strips around the hole of its sink, and the cabinet under it."""
    height, thick, x, y = about(rng, 0.9, 0.02), 0.05, width / 2, depth / 2
    sink_width, sink_depth = min(about(rng, 0.52), width - 0.2), min(0.42, depth - 0.1)
    middle = rng.uniform(-1, 1) * (x - sink_width / 2 - 0.1)
    left, right, front, back = middle - sink_width / 2, middle + sink_width / 2, sink_depth / 2, -sink_depth / 2
    rgb, low, over = shade(rng, (*PAINT, *WOOD, *METAL)), height - thick, 0.02
    strips = [
        ((-x, -y), (left, y + over)), ((right, -y), (x, y + over)),
        ((left, -y), (right, back)), ((left, front), (right, y + over)),
    ]  # fmt: skip
    top = [box((*a, low), (*b, height), rgb) for a, b in strips]
    if chance(rng, 0.7):
        top.append(box((-x, -y, height), (x, -y + 0.02, height + about(rng, 0.12)), rgb))
    basin = _basin(
        sink_width - 0.01, sink_depth - 0.01, height - 0.2, height + 0.01, 0.03, 0.17, shade(rng, (*CERAMIC, *METAL))
    )
    sink = Furniture("sink", (basin + tap(0, back + 0.03, height + 0.01)).moved(middle))
    under = fronted(rng, width - 0.02, depth - 0.02, low - 0.005, shade(rng, (*WOOD, *PAINT)), top=False)
    counter = "kitchen counter" if "kitchen" in label else "bathroom counter"
    return [Furniture(counter, join(top)), sink, Furniture(label, under)]


def bar_counter(rng: Rng) -> Furniture:
    """A slab that two walls carry, as in offices and lobbies."""
    x, y, z = about(rng, 1.0, 0.15), about(rng, 0.35), about(rng, 1.0, 0.05)
    rgb = shade(rng, (*WOOD, *PAINT))
    sides = [box((s, -y + 0.05, 0), (s + 0.05, y - 0.05, z - 0.05), rgb) for s in (-x, x - 0.05)]
    return Furniture("counter", join([box((-x, -y, z - 0.05), (x, y, z), rgb), *sides]))


def shower_curtain(rng: Rng) -> Furniture:
    """Hanging at a bathtub's edge, drawn together."""
    width, height = about(rng, 0.75, 0.25), about(rng, 1.78, 0.05)
    rgb = shade(rng, (*PAINT, *FABRIC, *BRIGHT))
    return Furniture("shower curtain", sweep_wave(width, about(rng, 0.13), 4, 0.12, 0.12 + height, rgb))


def tub_with_curtain(rng: Rng) -> Group:
    """A bathtub along the wall, and often a shower curtain in front of one half of it."""
    tub = bathtub(rng)
    if not chance(rng, 0.75):
        return [tub]
    curtain, (width, depth, _) = shower_curtain(rng), tub.size
    spot = (width - curtain.size[0]) / 2
    return [tub, curtain.placed(float(rng.choice([-spot, spot])), depth / 2 + curtain.size[1] / 2 + 0.02)]


def towel(rng: Rng) -> Furniture:
    """Hanging on a wall."""
    x, z = about(rng, 0.25), about(rng, 1.0, 0.08)
    return Furniture(
        "towel", box((-x, -0.03, z), (x, 0.03, z + float(np.clip(about(rng, 0.6), 0.3, 0.9))), shade(rng, FABRIC))
    )
