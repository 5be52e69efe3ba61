"""Cabinets, shelves, refrigerators and bins: what stands along the walls and holds other objects."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pointcloud.generate.rooms.furniture import BRIGHT, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade, tinted
from pointcloud.generate.rooms.quads import Quads, Triple, at_height, box, cylinder, join, legs, loft, outline


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


def drawers(rng: Rng, width: float, depth: float, height: float, rgb: Triple, columns: int = 1) -> Quads:
    """A box with drawers from bottom to top, in one column or more; its top stands out a little, or not."""
    x, y, over = width / 2, depth / 2, rng.uniform(0.0, 0.03)
    parts = [
        box((-x, -y, 0), (x, y - 0.02, height), rgb),
        box((-x - over, -y, height - 0.03), (x + over, y + over, height), rgb),
    ]
    rows, front, wide = max(2, round(height / rng.uniform(0.2, 0.32))), tinted(rng, rgb), width / columns
    for row in range(rows):
        low, high = (0.04 + (height - 0.08) * (row + part) / rows for part in (0.04, 0.96))
        for middle in -x + wide * (np.arange(columns) + 0.5):
            parts.append(box((middle - wide / 2 + 0.015, y - 0.02, low), (middle + wide / 2 - 0.015, y, high), front))
            at = (low + high) / 2
            parts.append(box((middle - 0.07, y, at - 0.012), (middle + 0.07, y + 0.025, at + 0.012), (80, 80, 82)))
    return join(parts)


def dresser(rng: Rng) -> Furniture:
    """Drawers: as wide as a sideboard, a tall chest, or a wardrobe with drawers below its doors."""
    rgb, kind = shade(rng, (*WOOD, *WOOD, *PAINT)), rng.choice(3, p=[0.5, 0.3, 0.2])
    depth = about(rng, 0.5, 0.08)
    if kind == 0:
        wide = drawers(
            rng, about(rng, 1.3, 0.18), depth, about(rng, 0.9, 0.1), rgb, columns=2 if chance(rng, 0.6) else 1
        )
        return Furniture("dresser", wide)
    if kind == 1:
        return Furniture("dresser", drawers(rng, about(rng, 0.85, 0.15), depth, about(rng, 1.25, 0.1), rgb))
    width, top = about(rng, 1.1, 0.15), about(rng, 1.95, 0.06)
    below = drawers(rng, width, depth, 0.6, rgb)
    return Furniture("dresser", below + fronted(rng, width, depth, top - 0.6, rgb, z=0.6))


def nightstand(rng: Rng) -> Furniture:
    """Beside a bed: drawers to the floor, a drawer on legs, or an open case."""
    width, depth, high = about(rng, 0.52, 0.12), about(rng, 0.43, 0.12), about(rng, 0.6, 0.12)
    rgb, kind, x, y = shade(rng, (*WOOD, *PAINT)), rng.choice(3, p=[0.6, 0.2, 0.2]), width / 2, depth / 2
    if kind == 0:
        return Furniture("nightstand", drawers(rng, width, depth, high, rgb))
    if kind == 1:
        body = drawers(rng, width, depth, 0.45 * high, rgb).moved(z=0.55 * high)
        return Furniture("nightstand", body + legs(width, depth, 0.56 * high, 0.04, rgb, inset=0))
    sides = [box((s, -y, 0), (s + 0.025, y, high), rgb) for s in (-x, x - 0.025)]
    boards = [box((-x, -y, z), (x, y, z + 0.025), rgb) for z in (0.05, 0.5 * high, high - 0.025)]
    return Furniture("nightstand", join([*sides, *boards, box((-x, -y, 0), (x, -y + 0.02, high), rgb)]))


def bookshelf(rng: Rng) -> Furniture:
    """Boards between two sides, partly filled, with a back or open; in columns, or with doors below."""
    width, depth, height = about(rng, 1.2, 0.28), about(rng, 0.36, 0.18), about(rng, 1.7, 0.2)
    if chance(rng, 0.2):
        height = about(rng, 0.95, 0.12)
    rgb, x, y, thick = shade(rng, (*WOOD, *PAINT)), width / 2, depth / 2, rng.uniform(0.02, 0.045)
    columns = max(1, round(width / rng.uniform(0.35, 1.2)))
    edges = np.linspace(-x, x - thick, columns + 1)
    parts = [box((side, -y, 0), (side + thick, y, height), rgb) for side in edges.tolist()]
    if chance(rng, 0.75):
        parts.append(box((-x + 0.03, -y, 0), (x - 0.03, -y + 0.015, height), tinted(rng, rgb, 0.7, 0.95)))
    boards = np.linspace(0.06, height - 0.03, max(3, round(height / rng.uniform(0.28, 0.45))))
    parts += [box((-x + 0.03, -y, z), (x - 0.03, y, z + 0.025), rgb) for z in boards]
    closed = 2 if height > 1.3 and chance(rng, 0.2) else 0
    if closed:
        parts.append(fronted(rng, width - 0.02, depth - 0.02, float(boards[closed]) - 0.01, rgb))
    full = rng.uniform(0.25, 1.0)
    for low, high in pairwise(boards[closed:].tolist()):
        for left, right in pairwise(edges.tolist()):
            parts += _books(rng, (left + thick + 0.01, right - 0.01), y, low + 0.025, high - low - 0.05, full)
    return Furniture("bookshelf", join(parts))


def _books(rng: Rng, span: tuple[float, float], y: float, z: float, space: float, full: float) -> list[Quads]:
    """Runs of books of one colour and height, with gaps."""
    blocks, left = [], span[0]
    while left < span[1] - 0.08:
        right = min(left + rng.uniform(0.08, 0.3), span[1])
        if chance(rng, full):
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
