"""Tables, desks and beds: what has a top."""

from __future__ import annotations

from pointcloud.generate.rooms.furniture import FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade
from pointcloud.generate.rooms.quads import Quads, Triple, at_height, box, cushion, cylinder, join, legs, loft, outline


def dining_table(rng: Rng, long: bool = False) -> Furniture:
    """Rectangular on four legs or two panels, or round on a foot."""
    width, depth, height = about(rng, 2.1 if long else 1.4), about(rng, 0.9, 0.1), about(rng, 0.74, 0.03)
    rgb = shade(rng, (*WOOD, *WOOD, *PAINT))
    if not long and chance(rng, 0.3):
        return Furniture("table", _round(about(rng, 1.15), height, rgb, shade(rng, METAL) if chance(rng, 0.5) else rgb))
    kind = _panels if chance(rng, 0.25) else _on_legs
    return Furniture("table", kind(rng, width, depth, height, rgb))


def coffee_table(rng: Rng) -> Furniture:
    """Low, often with a shelf under the top; sometimes round or a plain block."""
    width, depth, height = about(rng, 1.15), about(rng, 0.65), about(rng, 0.43, 0.1)
    rgb, kind = shade(rng, WOOD), rng.choice(3, p=[0.55, 0.25, 0.2])
    if kind == 1:
        return Furniture("coffee table", _round(about(rng, 0.8), height, rgb, rgb))
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


def _round(diameter: float, height: float, rgb: Triple, foot: Triple) -> Quads:
    ring = outline(diameter, diameter, 20)
    top = loft([at_height(ring, height - 0.04), at_height(ring, height)], rgb)
    base = outline(0.5 * diameter, 0.5 * diameter, 12)
    return join(
        [top, cylinder(0.05, 0.03, height - 0.04, foot), loft([at_height(base, 0), at_height(base, 0.04)], foot)]
    )


def desk(rng: Rng, drawers: int = 0) -> Furniture:
    """On legs or panels, sometimes with a hutch at the back; drawers under its left (-1) or right (1) end, or none."""
    width, depth, height = about(rng, 1.6, 0.14), about(rng, 0.78, 0.08), about(rng, 0.74, 0.03)
    rgb, x, y = shade(rng, (*WOOD, *PAINT)), width / 2, depth / 2
    parts = [(_panels if chance(rng, 0.6) else _on_legs)(rng, width, depth, height, rgb)]
    if drawers:
        low, high = sorted((drawers * (x - 0.45), drawers * (x - 0.07)))
        parts.append(box((low, -y + 0.05, 0.05), (high, y - 0.06, height - 0.05), rgb))
        parts += [box((low + 0.02, y - 0.06, z), (high - 0.02, y - 0.04, z + 0.17), rgb) for z in (0.1, 0.3, 0.5)]
    if chance(rng, 0.5):
        parts.append(box((-x + 0.06, -y + 0.08, 0.25), (x - 0.06, -y + 0.1, height - 0.04), rgb))
    if chance(rng, 0.35):
        parts += _hutch(x, y, height, about(rng, 1.3, 0.06), rgb)
    return Furniture("desk", join(parts))


def _hutch(x: float, y: float, height: float, top: float, rgb: Triple) -> list[Quads]:
    middle = (height + top) / 2
    sides = [box((s, -y, height), (s + 0.03, -y + 0.28, top), rgb) for s in (-x, x - 0.03)]
    shelves = [box((-x + 0.03, -y, z - 0.03), (x - 0.03, -y + 0.28, z), rgb) for z in (middle, top)]
    return [*sides, *shelves, box((-x + 0.03, -y, height), (x - 0.03, -y + 0.02, top), rgb)]


def bed(rng: Rng) -> Furniture:
    """Mattress and blanket on a frame with head board and pillows; now and then a bunk bed."""
    if chance(rng, 0.12):
        return _bunk_bed(rng)
    width, length = float(rng.choice([1.0, 1.45, 1.65, 1.9])) * rng.uniform(0.95, 1.08), about(rng, 2.1, 0.04)
    x, y, top, rgb = width / 2, length / 2, about(rng, 0.58, 0.12), shade(rng, (*WOOD, *FABRIC))
    parts = [box((-x, -y + 0.05, 0.06), (x, y, top - 0.2), rgb)]
    parts += _bedding(rng, x - 0.02, y, top)
    parts.append(box((-x, -y, 0), (x, -y + rng.uniform(0.04, 0.1), about(rng, 1.12, 0.15)), rgb))
    if chance(rng, 0.3):
        parts.append(box((-x, y - 0.05, 0), (x, y, top + 0.1), rgb))
    return Furniture("bed", join(parts))


def _bedding(rng: Rng, x: float, y: float, top: float) -> list[Quads]:
    sheet, blanket = shade(rng, PAINT), shade(rng, (*FABRIC, *PAINT))
    fold = rng.uniform(-0.35, 0.1) * y
    parts = [cushion((-x, -y + 0.06, top - 0.22), (x, y - 0.02, top), sheet)]
    parts.append(cushion((-x - 0.02, fold, top - 0.2), (x + 0.02, y - 0.01, top + 0.05), blanket))
    for middle in (-x / 2, x / 2) if x > 0.6 else (0.0,):
        low, high = (middle - 0.27, -y + 0.12, top - 0.02), (middle + 0.27, -y + 0.5, top + 0.12)
        parts.append(cushion(low, high, shade(rng, (*PAINT, *FABRIC))))
    return parts


def _bunk_bed(rng: Rng) -> Furniture:
    width, length, height, rgb = about(rng, 1.0, 0.05), about(rng, 2.05, 0.03), about(rng, 1.75, 0.04), shade(rng, WOOD)
    x, y = width / 2, length / 2
    parts = [legs(width, length, height, 0.07, rgb, inset=0)]
    for level in (0.5, 1.4):
        parts.append(box((-x, -y, level - 0.22), (x, y, level - 0.12), rgb))
        parts += _bedding(rng, x - 0.05, y - 0.03, level)
    parts += [box((-x, end, z), (x, end + 0.03, z + 0.08), rgb) for end in (-y, y - 0.03) for z in (0.7, 1.6)]
    parts += [box((side, -y, 1.55), (side + 0.03, y, 1.62), rgb) for side in (-x, x - 0.03)]
    return Furniture("bed", join(parts))


def rug(rng: Rng) -> Furniture:
    """A thin sheet on the floor."""
    x, y = about(rng, 0.9), about(rng, 0.65)
    return Furniture("rug", box((-x, -y, 0), (x, y, 0.012), shade(rng, FABRIC)))
