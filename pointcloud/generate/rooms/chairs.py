"""Chairs of more forms: ladder backs, upholstered ones, folding ones, tubs; stools and benches."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.furniture import FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade
from pointcloud.generate.rooms.quads import Quads, Triple, box, cushion, cylinder, join, leaning, legs


def dining_chair(rng: Rng) -> Furniture:
    """A high back that leans, of rungs, spindles or a board between two posts."""
    width, depth, seat = about(rng, 0.46, 0.07), about(rng, 0.48, 0.07), about(rng, 0.46, 0.03)
    top, rgb, x, y = about(rng, 0.97, 0.07), shade(rng, (*WOOD, *PAINT)), width / 2, depth / 2
    lean = rng.uniform(0.03, 0.12)
    parts = [legs(width, depth, seat - 0.04, 0.04, rgb, inset=0.01)]
    parts.append(cushion((-x, -y, seat - 0.04), (x, y, seat + 0.02), shade(rng, FABRIC) if chance(rng, 0.5) else rgb))
    parts += [leaning((s, -y, seat), (s + 0.035, -y + 0.035, top), lean, rgb) for s in (-x, x - 0.035)]
    parts += _back(rng, x, y, (seat, top), lean, rgb)
    if chance(rng, 0.25):
        parts += [box((s, -y, seat + 0.2), (s + 0.04, y - 0.06, seat + 0.23), rgb) for s in (-x, x - 0.04)]
        parts += [box((s, y - 0.12, seat), (s + 0.04, y - 0.08, seat + 0.2), rgb) for s in (-x, x - 0.04)]
    return Furniture("chair", join(parts).moved(y=lean / 2))


def _back(rng: Rng, x: float, y: float, span: tuple[float, float], lean: float, rgb: Triple) -> list[Quads]:
    """What is between the posts of a back."""
    low, high = span
    kind, rise = int(rng.integers(3)), lean / (high - low)
    if kind == 0:  # rungs
        rungs = np.linspace(low + 0.12, high - 0.06, int(rng.integers(3, 6))).tolist()
        return [box((-x, -y - rise * (z - low), z), (x, -y - rise * (z - low) + 0.02, z + 0.05), rgb) for z in rungs]
    rail = box((-x, -y - lean, high - 0.06), (x, -y - lean + 0.03, high), rgb)
    if kind == 1:  # spindles
        at = np.linspace(-x, x, int(rng.integers(5, 9)))[1:-1].tolist()
        return [rail, *(leaning((s - 0.01, -y, low), (s + 0.01, -y + 0.02, high - 0.05), lean, rgb) for s in at)]
    half = x * rng.uniform(0.3, 0.95)
    return [rail, leaning((-half, -y, low + 0.03), (half, -y + 0.025, high - 0.05), lean, rgb)]


def upholstered_chair(rng: Rng) -> Furniture:
    """A thick seat and back, on legs or with cloth to the floor."""
    width, depth, seat = about(rng, 0.5, 0.08), about(rng, 0.56, 0.08), about(rng, 0.48, 0.04)
    top, rgb, x, y = about(rng, 0.95, 0.08), shade(rng, (*FABRIC, *PAINT)), width / 2, depth / 2
    lean, thick = rng.uniform(0.02, 0.12), rng.uniform(0.06, 0.12)
    low = 0.03 if chance(rng, 0.35) else seat - 0.13
    parts = [cushion((-x, -y, low), (x, y, seat), rgb), leaning((-x, -y, seat), (x, -y + thick, top), lean, rgb)]
    if low > 0.1:
        parts.append(legs(width, depth, low, 0.04, shade(rng, WOOD), inset=0.02))
    return Furniture("chair", join(parts).moved(y=lean / 2, z=-0.03 if low < 0.1 else 0.0))


def folding_chair(rng: Rng) -> Furniture:
    """Thin sheets on crossed tubes."""
    width, seat, top = about(rng, 0.45, 0.06), about(rng, 0.44, 0.03), about(rng, 0.8, 0.05)
    x, frame, rgb = width / 2, shade(rng, METAL), shade(rng, (*METAL, *PAINT, *FABRIC))
    parts = [box((-x + 0.02, -0.18, seat - 0.02), (x - 0.02, 0.2, seat + 0.01), rgb)]
    for side in (-x, x - 0.025):
        parts.append(leaning((side, 0.2, 0), (side + 0.025, 0.225, top), 0.45, frame))
        parts.append(leaning((side, -0.22, 0), (side + 0.025, -0.195, seat), -0.35, frame))
    back = -0.02 - 0.45 * (top - 0.1) / top + 0.22
    parts.append(leaning((-x + 0.02, back, top - 0.22), (x - 0.02, back + 0.015, top), 0.1, rgb))
    return Furniture("chair", join(parts))


def tub_chair(rng: Rng) -> Furniture:
    """A round shell around a cushion: clubs and waiting rooms."""
    radius, seat, top = about(rng, 0.36, 0.1), about(rng, 0.43, 0.05), about(rng, 0.74, 0.07)
    rgb, thick, low = shade(rng, (*FABRIC, *PAINT)), rng.uniform(0.05, 0.11), 0.1 if chance(rng, 0.5) else 0.02
    parts = [cylinder(radius - 0.02, low, seat, rgb, points=16)]
    for angle in np.linspace(-1.15, 1.15, 9) * np.pi / 1.6:  # around the back, open to the front
        fall = 0.55 * (top - seat) * (abs(angle) / 2.3) ** 2
        panel = box(
            (-0.11 * radius / 0.36, -radius - thick / 2, low),
            (0.11 * radius / 0.36, -radius + thick / 2, top - fall),
            rgb,
        )
        parts.append(panel.turned(float(angle)))
    if low > 0.05:
        parts.append(legs(radius * 1.5, radius * 1.5, low, 0.04, shade(rng, (*WOOD, *METAL)), inset=0))
    return Furniture("armchair", join(parts).moved(y=0.03, z=0 if low > 0.05 else -0.02))


def lounge_chair(rng: Rng) -> Furniture:
    """Low, with cushions that lean on a wooden frame."""
    width, depth, seat = about(rng, 0.68, 0.08), about(rng, 0.74, 0.08), about(rng, 0.38, 0.06)
    top, frame, rgb, x, y = about(rng, 0.86, 0.08), shade(rng, WOOD), shade(rng, FABRIC), width / 2, depth / 2
    lean = rng.uniform(0.12, 0.28)
    parts = [cushion((-x + 0.05, -y + 0.1, seat - 0.14), (x - 0.05, y, seat), rgb)]
    parts.append(leaning((-x + 0.05, -y + 0.12, seat), (x - 0.05, -y + 0.25, top), lean, rgb))
    for side in (-x, x - 0.05):
        parts += [box((side, a, 0), (side + 0.05, a + 0.05, seat + 0.2), frame) for a in (-y + 0.05, y - 0.07)]
        parts.append(box((side, -y + 0.05, seat + 0.18), (side + 0.06, y, seat + 0.21), frame))
    return Furniture("armchair", join(parts).moved(y=lean / 4))


def stool(rng: Rng) -> Furniture:
    """Round or square, low or as high as a bar; no chair to those who annotate."""
    high, rgb = (
        about(rng, 0.46, 0.05) if chance(rng, 0.6) else about(rng, 0.72, 0.05),
        shade(rng, (*WOOD, *METAL, *FABRIC)),
    )
    side = about(rng, 0.36, 0.1)
    top = (
        cylinder(side / 2, high - 0.06, high, rgb, points=14)
        if chance(rng, 0.5)
        else cushion((-side / 2, -side / 2, high - 0.08), (side / 2, side / 2, high), rgb)
    )
    return Furniture("", top + legs(side * 0.9, side * 0.9, high - 0.06, 0.035, shade(rng, (*WOOD, *METAL)), inset=0))


def bench(rng: Rng) -> Furniture:
    """At the foot of a bed, in a corridor, at a table."""
    x, y, high, rgb = (
        about(rng, 0.6, 0.15),
        about(rng, 0.21, 0.12),
        about(rng, 0.46, 0.06),
        shade(rng, (*FABRIC, *WOOD)),
    )
    if chance(rng, 0.4):
        return Furniture(
            "", box((-x, -y, 0), (x, y, high - 0.08), rgb) + cushion((-x, -y, high - 0.1), (x, y, high), rgb)
        )
    return Furniture("", cushion((-x, -y, high - 0.1), (x, y, high), rgb) + legs(2 * x, 2 * y, high - 0.1, 0.05, rgb))
