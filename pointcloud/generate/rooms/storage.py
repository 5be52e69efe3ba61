"""Cabinets, shelves, refrigerators and bins: what stands along the walls and holds other objects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointcloud.generate.rooms.furniture import BRIGHT, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade, tinted
from pointcloud.generate.rooms.quads import Quads, Triple, at_height, box, cylinder, join, loft, outline


def cabinet(rng: Rng) -> Furniture:
    """A sideboard, a filing cabinet, or a tall cupboard with doors."""
    rgb, kind = shade(rng, (*WOOD, *PAINT, *METAL)), rng.choice(3, p=[0.5, 0.25, 0.25])
    if kind == 0:
        return Furniture("cabinet", fronted(rng, about(rng, 1.15, 0.2), about(rng, 0.48), about(rng, 0.82, 0.12), rgb))
    if kind == 1:
        return Furniture(
            "file cabinet", drawers(rng, about(rng, 0.46, 0.08), about(rng, 0.6, 0.08), about(rng, 0.95), rgb)
        )
    return Furniture("cabinet", fronted(rng, about(rng, 1.05, 0.15), about(rng, 0.55), about(rng, 1.85, 0.06), rgb))


def fronted(
    rng: Rng, width: float, depth: float, height: float, rgb: Triple, z: float = 0.0, top: bool = True
) -> Quads:
    """A box with doors on its front, each slightly in front of the body, and knobs."""
    x, y = width / 2, depth / 2
    parts = [box((-x, -y, z), (x, y - 0.02, z + height), rgb, top=top)]
    doors = max(1, round(width / rng.uniform(0.4, 0.6)))
    front, foot = tinted(rng, rgb), 0.08 if z == 0 else 0.02
    for number in range(doors):
        left, right = (-x + width * (number + side) / doors for side in (0.02, 0.98))
        parts.append(box((left, y - 0.02, z + foot), (right, y, z + height - 0.02), front))
        parts.append(box((right - 0.06, y, z + 0.5 * height), (right - 0.04, y + 0.02, z + 0.6 * height), (90, 90, 90)))
    return join(parts)


def drawers(rng: Rng, width: float, depth: float, height: float, rgb: Triple) -> Quads:
    """A box with drawers from bottom to top."""
    x, y = width / 2, depth / 2
    parts = [box((-x, -y, 0), (x, y - 0.02, height), rgb)]
    rows, front = max(2, round(height / rng.uniform(0.2, 0.32))), tinted(rng, rgb)
    for row in range(rows):
        low, high = (0.04 + (height - 0.05) * (row + part) / rows for part in (0.04, 0.96))
        parts.append(box((-x + 0.015, y - 0.02, low), (x - 0.015, y, high), front))
        middle = (low + high) / 2
        parts.append(box((-0.07, y, middle - 0.012), (0.07, y + 0.025, middle + 0.012), (80, 80, 82)))
    return join(parts)


def dresser(rng: Rng) -> Furniture:
    """Drawers as wide as a sideboard: none of the benchmark's classes."""
    return Furniture(
        "dresser", drawers(rng, about(rng, 1.1), about(rng, 0.48, 0.06), about(rng, 0.9), shade(rng, WOOD))
    )


def nightstand(rng: Rng) -> Furniture:
    """Beside a bed: none of the benchmark's classes."""
    return Furniture(
        "nightstand", drawers(rng, about(rng, 0.48), about(rng, 0.42), about(rng, 0.58, 0.1), shade(rng, WOOD))
    )


def bookshelf(rng: Rng) -> Furniture:
    """Boards between two sides, partly filled, with a back or open."""
    width, depth, height = about(rng, 1.35, 0.22), about(rng, 0.36, 0.15), about(rng, 1.72, 0.15)
    rgb, x, y = shade(rng, (*WOOD, *PAINT)), width / 2, depth / 2
    parts = [box((side, -y, 0), (side + 0.03, y, height), rgb) for side in (-x, x - 0.03)]
    if chance(rng, 0.75):
        parts.append(box((-x + 0.03, -y, 0), (x - 0.03, -y + 0.015, height), tinted(rng, rgb, 0.7, 0.95)))
    boards = np.linspace(0.06, height - 0.03, max(3, round(height / rng.uniform(0.3, 0.42))))
    parts += [box((-x + 0.03, -y, z), (x - 0.03, y, z + 0.025), rgb) for z in boards]
    for low, high in pairwise(boards.tolist()):
        parts += _books(rng, (-x + 0.04, x - 0.04), y, low + 0.025, high - low - 0.05)
    return Furniture("bookshelf", join(parts))


def _books(rng: Rng, span: tuple[float, float], y: float, z: float, space: float) -> list[Quads]:
    """Runs of books of one colour and height, with gaps."""
    blocks, left = [], span[0]
    while left < span[1] - 0.08:
        right = min(left + rng.uniform(0.08, 0.3), span[1])
        if chance(rng, 0.7):
            high, front = z + space * rng.uniform(0.55, 0.95), y - rng.uniform(0.02, 0.6) * y
            blocks.append(box((left, -y + 0.02, z), (right, front, high), shade(rng, BRIGHT)))
        left = right + rng.uniform(0.0, 0.04)
    return blocks


def refrigerator(rng: Rng) -> Furniture:
    """Tall with two doors, or small."""
    small = chance(rng, 0.3)
    width, depth = about(rng, 0.58 if small else 0.78, 0.08), about(rng, 0.6 if small else 0.74, 0.06)
    height, rgb = about(rng, 0.88 if small else 1.68, 0.06), shade(rng, (*PAINT, *METAL))
    x, y, split = width / 2, depth / 2, height * rng.uniform(0.3, 0.7)
    parts = [box((-x, -y, 0), (x, y - 0.05, height), rgb)]
    for low, high in ((0.06, split - 0.01), (split + 0.01, height)):
        parts.append(box((-x, y - 0.045, low), (x, y, high), rgb))
        parts.append(box((-x + 0.04, y, (low + high) / 2 - 0.15), (-x + 0.07, y + 0.04, (low + high) / 2 + 0.15), rgb))
    return Furniture("refrigerator", join(parts))


def bin_for_garbage(rng: Rng) -> Furniture:
    """Round, tapered and open, or square with a lid, sometimes a pair for recycling."""
    rgb, kind = shade(rng, (*METAL, *BRIGHT, *PAINT)), rng.choice(3, p=[0.4, 0.35, 0.25])
    height = about(rng, 0.55, 0.2)
    if kind == 0:
        low, high = outline(0.32, 0.32, 12), outline(about(rng, 0.42), about(rng, 0.42), 12)
        inner = high * 0.9
        rings = [at_height(low, 0), at_height(high, height), at_height(inner, height), at_height(low * 0.9, 0.04)]
        return Furniture("trash can", loft(rings, rgb))
    x, y = about(rng, 0.23), about(rng, 0.23)
    body = box((-x, -y, 0), (x, y, height), rgb)
    lid = box((-x - 0.01, -y - 0.01, height), (x + 0.01, y + 0.01, height + 0.06), tinted(rng, rgb, 0.6, 1.2))
    if kind == 1:
        return Furniture("trash can", body + lid)
    return Furniture("recycling bin", body + cylinder(0.09, height, height + 0.02, (40, 40, 40)))
