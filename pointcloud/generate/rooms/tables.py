"""Tables and desks."""

from __future__ import annotations

from pointcloud.generate.rooms.furniture import FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade
from pointcloud.generate.rooms.on_walls import GLASS
from pointcloud.generate.rooms.quads import Quads, Triple, at_height, box, cylinder, join, leaning, legs, loft, outline


def dining_table(rng: Rng, long: bool = False) -> Furniture:
    """Rectangular on legs, panels, feet or crossed legs, round or oval on a foot; under a cloth, or of glass."""
    width, depth, height = about(rng, 2.1 if long else 1.4), about(rng, 0.9, 0.1), about(rng, 0.74, 0.03)
    rgb = shade(rng, (*WOOD, *WOOD, *PAINT))
    if chance(rng, 0.12):
        return Furniture("table", _under_cloth(rng, width, depth, height))
    if not long and chance(rng, 0.3):
        foot = shade(rng, METAL) if chance(rng, 0.5) else rgb
        wide = about(rng, 1.15)
        return Furniture(
            "table", _round(wide, wide * (rng.uniform(0.6, 0.8) if chance(rng, 0.3) else 1), height, rgb, foot)
        )
    kind = (_on_legs, _panels, _trestle)[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    return Furniture("table", kind(rng, width, depth, height, rgb))


def coffee_table(rng: Rng) -> Furniture:
    """Low, often with a shelf under the top; sometimes round or a plain block."""
    width, depth, height = about(rng, 1.15), about(rng, 0.65), about(rng, 0.43, 0.1)
    rgb, kind = shade(rng, WOOD), rng.choice(4, p=[0.45, 0.2, 0.2, 0.15])
    if kind == 1:
        wide = about(rng, 0.85)
        return Furniture("coffee table", _round(wide, wide * rng.uniform(0.65, 1.0), height, rgb, rgb))
    if kind == 3:
        x, y = width / 2, depth / 2
        seen = Quads.seen_as(box((-x, -y, height - 0.02), (x, y, height), (150, 170, 170)), GLASS)
        low = box((-x + 0.05, -y + 0.05, 0.1), (x - 0.05, y - 0.05, 0.13), rgb)
        return Furniture("coffee table", join([seen, low, legs(width, depth, height - 0.02, 0.05, shade(rng, METAL))]))
    if kind == 2:
        x, y = width / 2, depth / 2
        return Furniture("coffee table", box((-x, -y, 0), (x, y, height), rgb))
    shelf = box((-width / 2 + 0.05, -depth / 2 + 0.05, 0.12), (width / 2 - 0.05, depth / 2 - 0.05, 0.15), rgb)
    return Furniture("coffee table", _on_legs(rng, width, depth, height, rgb) + shelf)


def end_table(rng: Rng) -> Furniture:
    """Small, beside a sofa."""
    side, rgb = about(rng, 0.5, 0.1), shade(rng, WOOD)
    return Furniture("end table", _on_legs(rng, side, side, about(rng, 0.55, 0.08), rgb))


def _on_legs(rng: Rng, width: float, depth: float, height: float, rgb: Triple) -> Quads:
    thick = rng.uniform(0.03, 0.05)
    frame = shade(rng, METAL) if chance(rng, 0.3) else rgb
    top = box((-width / 2, -depth / 2, height - thick), (width / 2, depth / 2, height), rgb)
    return top + legs(width, depth, height - thick, rng.uniform(0.04, 0.08), frame)


def _panels(rng: Rng, width: float, depth: float, height: float, rgb: Triple) -> Quads:
    x, y = width / 2, depth / 2
    sides = [box((s, -y + 0.03, 0), (s + 0.04, y - 0.03, height - 0.04), rgb) for s in (-x + 0.02, x - 0.06)]
    return join([box((-x, -y, height - 0.04), (x, y, height), rgb), *sides])


def _trestle(rng: Rng, width: float, depth: float, height: float, rgb: Triple) -> Quads:
    """Two feet with a rail, or two pairs of crossed legs."""
    x, y, thick = width / 2, depth / 2, rng.uniform(0.03, 0.06)
    parts = [
        box((-x, -y, height - thick), (x, y, height), rgb),
        box((-x + 0.3, -0.03, 0.2), (x - 0.3, 0.03, 0.28), rgb),
    ]
    for at in (-x + 0.25, x - 0.3):
        if chance(rng, 0.5):
            parts.append(box((at, -0.06, 0.06), (at + 0.06, 0.06, height - thick), rgb))
            parts.append(box((at, -y + 0.08, 0), (at + 0.06, y - 0.08, 0.06), rgb))
        else:
            across = 2 * y - 0.24
            parts.append(leaning((at, y - 0.16, 0), (at + 0.05, y - 0.09, height - thick), across, rgb))
            parts.append(leaning((at, -y + 0.09, 0), (at + 0.05, -y + 0.16, height - thick), -across, rgb))
    return join(parts)


def _under_cloth(rng: Rng, width: float, depth: float, height: float) -> Quads:
    """A cloth that hangs down on all sides, some way or to the floor, and legs."""
    low, rgb = rng.uniform(0.0, height - 0.15), shade(rng, (*FABRIC, *PAINT, *PAINT))
    rings = [outline(width * a, depth * a, 24, 8) for a in (1.04, 1.0, 0.98)]
    cloth = loft(
        [at_height(ring, z) for ring, z in zip(rings, (low, height - 0.03, height), strict=True)], rgb, bottom=False
    )
    return cloth + legs(width, depth, height - 0.05, 0.06, shade(rng, WOOD))


def _round(diameter: float, across: float, height: float, rgb: Triple, foot: Triple) -> Quads:
    ring = outline(diameter, across, 20)
    top = loft([at_height(ring, height - 0.04), at_height(ring, height)], rgb)
    base = outline(0.5 * diameter, 0.5 * across, 12)
    return join(
        [top, cylinder(0.05, 0.03, height - 0.04, foot), loft([at_height(base, 0), at_height(base, 0.04)], foot)]
    )


def desk(rng: Rng, drawers: int = 0) -> Furniture:
    """On legs or panels; drawers under its left (-1) or right (1) end, or none.

    Some have a hutch at the back, and some a wing at one end.
    """
    width, depth, height = about(rng, 1.5, 0.15), about(rng, 0.74, 0.1), about(rng, 0.74, 0.04)
    rgb, x, y = shade(rng, (*WOOD, *PAINT)), width / 2, depth / 2
    parts = [(_panels if chance(rng, 0.55) else _on_legs)(rng, width, depth, height, rgb)]
    if drawers:
        parts += _pedestal(drawers, x, y, height, rgb)
    if chance(rng, 0.5):
        parts.append(box((-x + 0.06, -y + 0.08, 0.25), (x - 0.06, -y + 0.1, height - 0.04), rgb))
    if chance(rng, 0.3):
        parts += _hutch(x, y, height, about(rng, 1.3, 0.06), rgb)
    elif drawers and chance(rng, 0.25):
        parts += _wing(rng, -drawers, x, y, height, rgb)
    low, high = (body := join(parts)).bounds()
    return Furniture("desk", body.moved(y=-(low[1] + high[1]) / 2))


def _pedestal(side: int, x: float, y: float, height: float, rgb: Triple) -> list[Quads]:
    low, high = sorted((side * (x - 0.45), side * (x - 0.07)))
    fronts = [box((low + 0.02, y - 0.06, z), (high - 0.02, y - 0.04, z + 0.17), rgb) for z in (0.1, 0.3, 0.5)]
    return [box((low, -y + 0.05, 0.05), (high, y - 0.06, height - 0.05), rgb), *fronts]


def _wing(rng: Rng, side: int, x: float, y: float, height: float, rgb: Triple) -> list[Quads]:
    """A second top at a right angle to the first."""
    low, high = sorted((side * (x - 0.5), side * x))
    out = y + about(rng, 0.6)
    return [
        box((low, y, height - 0.04), (high, out, height), rgb),
        box((low + 0.03, out - 0.07, 0), (high - 0.03, out - 0.03, height - 0.04), rgb),
    ]


def _hutch(x: float, y: float, height: float, top: float, rgb: Triple) -> list[Quads]:
    middle = (height + top) / 2
    sides = [box((s, -y, height), (s + 0.03, -y + 0.28, top), rgb) for s in (-x, x - 0.03)]
    shelves = [box((-x + 0.03, -y, z - 0.03), (x - 0.03, -y + 0.28, z), rgb) for z in (middle, top)]
    return [*sides, *shelves, box((-x + 0.03, -y, height), (x - 0.03, -y + 0.02, top), rgb)]


def rug(rng: Rng) -> Furniture:
    """A thin sheet on the floor."""
    x, y = about(rng, 0.9), about(rng, 0.65)
    return Furniture("rug", box((-x, -y, 0), (x, y, 0.012), shade(rng, FABRIC)))
