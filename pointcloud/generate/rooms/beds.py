"""Beds of several forms, with what lies on them."""

from __future__ import annotations

from pointcloud.generate.rooms.furniture import FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade
from pointcloud.generate.rooms.quads import Quads, Triple, box, cushion, join, leaning, legs


def bed(rng: Rng) -> Furniture:
    """Mattress and blanket on a frame with head board and pillows; now and then a bunk bed or a hospital's."""
    kind = rng.random()
    if kind < 0.08:
        return _bunk_bed(rng)
    width, length = float(rng.choice([1.0, 1.45, 1.65, 1.9])) * rng.uniform(0.95, 1.08), about(rng, 2.1, 0.05)
    x, y, top, rgb = width / 2, length / 2, about(rng, 0.6, 0.15), shade(rng, (*WOOD, *WOOD, *FABRIC))
    parts = _base(rng, x, y, top, rgb) + _bedding(rng, x - 0.02, y, top)
    if kind < 0.92:
        parts += _head(rng, x, y, about(rng, 1.2, 0.18), rgb)
    if chance(rng, 0.35):
        foot = top + rng.uniform(-0.1, 0.3)
        parts.append(box((-x, y - 0.06, 0), (x, y, foot), rgb))
    if kind > 0.88 or kind < 0.1:
        parts += _posts(x, y, about(rng, 1.9, 0.08), rgb)
    return Furniture("bed", join(parts))


def _base(rng: Rng, x: float, y: float, top: float, rgb: Triple) -> list[Quads]:
    """What carries the mattress: a closed block, a frame on legs, rails of metal, a low platform that stands out."""
    kind = int(rng.integers(4))
    if kind == 0:
        return [box((-x, -y + 0.05, 0.0), (x, y, top - 0.2), rgb)]
    if kind == 1:
        frame = box((-x, -y + 0.05, top - 0.36), (x, y, top - 0.2), rgb)
        return [frame, legs(2 * x, 2 * y - 0.1, top - 0.36, 0.07, rgb)]
    if kind == 2:
        metal = shade(rng, METAL)
        return [
            box((-x, -y + 0.05, top - 0.25), (x, y, top - 0.2), metal),
            legs(2 * x, 2 * y - 0.1, top - 0.25, 0.04, metal),
        ]
    out = rng.uniform(0.0, 0.1)
    return [
        box((-x - out, -y + 0.05, 0.08), (x + out, y + out, 0.5 * top), rgb),
        box((-x, -y + 0.05, 0.5 * top), (x, y, top - 0.2), rgb),
    ]


def _head(rng: Rng, x: float, y: float, high: float, rgb: Triple) -> list[Quads]:
    """A board, a padded one, one that leans, or bars."""
    kind, thick = int(rng.integers(4)), rng.uniform(0.04, 0.12)
    if kind == 0:
        return [cushion((-x, -y, 0.2), (x, -y + thick, high), shade(rng, FABRIC))]
    if kind == 1:
        return [leaning((-x, -y + 0.05, 0), (x, -y + 0.05 + thick, high), rng.uniform(0.05, 0.2), rgb)]
    if kind == 2:
        bars = [
            box((-x + 0.16 * n, -y, 0.3), (-x + 0.16 * n + 0.02, -y + 0.03, high - 0.04), rgb)
            for n in range(int(2 * x / 0.16) + 1)
        ]
        return [
            *bars,
            box((-x, -y, high - 0.05), (x, -y + 0.04, high), rgb),
            box((-x, -y, 0), (-x + 0.05, -y + 0.05, high), rgb),
        ]
    wide = x + (rng.uniform(0.0, 0.15) if chance(rng, 0.3) else 0.0)
    return [box((-wide, -y, 0), (wide, -y + thick, high), rgb)]


def _posts(x: float, y: float, high: float, rgb: Triple) -> list[Quads]:
    """Four posts and rails between their tops."""
    posts = [box((a, b, 0), (a + 0.07, b + 0.07, high), rgb) for a in (-x, x - 0.07) for b in (-y, y - 0.07)]
    rails = [box((-x, b, high - 0.05), (x, b + 0.04, high), rgb) for b in (-y, y - 0.05)]
    return posts + rails + [box((a, -y, high - 0.05), (a + 0.04, y, high), rgb) for a in (-x, x - 0.05)]


def _bedding(rng: Rng, x: float, y: float, top: float) -> list[Quads]:
    """Mattress, blanket, one to three rows of pillows, and sometimes a folded cover or clothes."""
    sheet, blanket = shade(rng, PAINT), shade(rng, (*FABRIC, *PAINT))
    fold, hang = rng.uniform(-0.45, 0.3) * y, rng.uniform(0.1, 0.35)
    parts = [cushion((-x, -y + 0.06, top - 0.22), (x, y - 0.02, top), sheet)]
    if chance(rng, 0.85):
        parts.append(cushion((-x - 0.03, fold, top - hang), (x + 0.03, y - 0.01, top + 0.05), blanket))
    for row in range(int(rng.choice([0, 1, 2, 3], p=[0.1, 0.45, 0.3, 0.15]))):
        upright = chance(rng, 0.35)
        back, deep, high = -y + 0.1 + 0.22 * row, (0.18, 0.4) if upright else (0.42, 0.14), rng.uniform(0.9, 1.3)
        for middle in (-x / 2, x / 2) if x > 0.6 else (0.0,):
            low = (middle - rng.uniform(0.2, 0.32), back, top - 0.02)
            far = (middle + rng.uniform(0.2, 0.32), back + deep[0], top + deep[1] * high)
            parts.append(cushion(low, far, shade(rng, (*PAINT, *FABRIC))))
    if chance(rng, 0.3):
        at, wide = rng.uniform(-x + 0.3, x - 0.3), rng.uniform(0.2, 0.4)
        heap = cushion((-wide, -0.25, 0), (wide, 0.25, rng.uniform(0.08, 0.25)), shade(rng, FABRIC))
        parts.append(heap.turned(rng.uniform(-0.5, 0.5)).moved(at, rng.uniform(0, y - 0.4), top + 0.03))
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
