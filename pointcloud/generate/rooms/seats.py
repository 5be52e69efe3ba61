"""Chairs with which one works, armchairs and sofas."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.chairs import dining_chair, folding_chair, lounge_chair, tub_chair, upholstered_chair
from pointcloud.generate.rooms.furniture import FABRIC, METAL, PAINT, WOOD, Furniture, Rng, about, chance, shade, tinted
from pointcloud.generate.rooms.quads import Quads, Triple, box, cushion, cylinder, join, leaning, legs, turned_body


def chair(rng: Rng) -> Furniture:
    """With four legs, on a star of castors, or of one shell on a frame; upholstered or folding."""
    forms = (wooden_chair, dining_chair, office_chair, shell_chair, upholstered_chair, folding_chair)
    return forms[int(rng.choice(len(forms), p=[0.2, 0.25, 0.25, 0.1, 0.15, 0.05]))](rng)


def wooden_chair(rng: Rng) -> Furniture:
    """Four legs, seat, back of slats or board, sometimes arms."""
    width, depth, seat = about(rng, 0.47, 0.08), about(rng, 0.47, 0.08), about(rng, 0.45, 0.04)
    height, rgb, thick = about(rng, 0.83, 0.08), shade(rng, (*WOOD, *PAINT)), rng.uniform(0.03, 0.05)
    x, y = width / 2, depth / 2
    parts = [legs(width, depth, seat - 0.03, thick, rgb, inset=0.01)]
    parts.append(cushion((-x, -y, seat - 0.03), (x, y, seat + 0.03), shade(rng, FABRIC) if chance(rng, 0.4) else rgb))
    for side in (-x, x - thick):
        parts.append(box((side, -y, seat), (side + thick, -y + thick, height), rgb))
    if chance(rng, 0.5):
        parts.append(box((-x, -y, seat + 0.15), (x, -y + 0.025, height), rgb))
    else:
        parts += [box((-x, -y, z), (x, -y + 0.025, z + 0.06), rgb) for z in np.linspace(seat + 0.12, height - 0.06, 3)]
    if chance(rng, 0.25):
        parts += _arms(x, y, seat, thick, rgb)
    return Furniture("chair", join(parts))


def _arms(x: float, y: float, seat: float, thick: float, rgb: Triple) -> list[Quads]:
    rests = [box((side, -y, seat + 0.19), (side + thick, y - 0.08, seat + 0.22), rgb) for side in (-x, x - thick)]
    posts = [
        box((side, y - 0.12, seat), (side + thick, y - 0.12 + thick, seat + 0.19), rgb) for side in (-x, x - thick)
    ]
    return rests + posts


def office_chair(rng: Rng) -> Furniture:
    """A star of five feet, a column, seat and back, with arms or without."""
    seat, height = about(rng, 0.47, 0.06), about(rng, 0.88, 0.09)
    width, rgb, frame = about(rng, 0.5, 0.07), shade(rng, FABRIC), shade(rng, METAL)
    x, depth = width / 2, about(rng, 0.48, 0.07)
    foot = [box((0.02, -0.025, 0.03), (0.31, 0.025, 0.09), frame).turned(2 * np.pi * k / 5 + 0.3) for k in range(5)]
    parts = [*foot, cylinder(0.035, 0.06, seat - 0.04, frame)]
    parts.append(cushion((-x, -depth / 2, seat - 0.05), (x, depth / 2, seat + 0.04), rgb))
    parts.append(cushion((-x + 0.03, -depth / 2 - 0.03, seat + 0.1), (x - 0.03, -depth / 2 + 0.05, height), rgb))
    parts.append(box((-0.04, -depth / 2 - 0.02, seat - 0.03), (0.04, -depth / 2 + 0.02, seat + 0.15), frame))
    if chance(rng, 0.55):
        for side in (-x - 0.04, x - 0.01):
            parts.append(box((side, -0.16, seat + 0.17), (side + 0.05, 0.12, seat + 0.21), frame))
            parts.append(box((side, -0.05, seat - 0.02), (side + 0.04, 0, seat + 0.17), frame))
    return Furniture("office chair", join(parts))


def shell_chair(rng: Rng) -> Furniture:
    """A bent shell on metal legs: class rooms and canteens."""
    width, seat, rgb = about(rng, 0.46, 0.06), about(rng, 0.44, 0.05), shade(rng, (*FABRIC, *PAINT))
    x, top = width / 2, about(rng, 0.8, 0.05)
    parts = [legs(width, 0.44, seat, 0.025, shade(rng, METAL), inset=0.02)]
    parts.append(cushion((-x, -0.22, seat), (x, 0.22, seat + 0.04), rgb))
    parts.append(cushion((-x + 0.02, -0.24, seat + 0.03), (x - 0.02, -0.2, top), rgb))
    return Furniture("chair", join(parts))


def armchair(rng: Rng) -> Furniture:
    """A sofa for one, a tub or a lounge chair."""
    kind = rng.choice(3, p=[0.55, 0.2, 0.25])
    if kind:
        return (tub_chair, lounge_chair)[kind - 1](rng)
    return Furniture(
        "armchair", _upholstered(rng, about(rng, 0.86, 0.1), about(rng, 0.85, 0.08), 1, shade(rng, FABRIC))
    )


def sofa(rng: Rng) -> Furniture:
    """Two or three seats, sometimes with a long seat at one end; now and then a day bed on legs."""
    if chance(rng, 0.12):
        return _day_bed(rng)
    seats = int(rng.integers(2, 4))
    width, depth = about(rng, 0.55 + 0.58 * seats, 0.1), about(rng, 0.93, 0.07)
    rgb = shade(rng, FABRIC)
    body = _upholstered(rng, width, depth, seats, rgb)
    if chance(rng, 0.25):
        end = cushion((width / 2 - 0.85, depth / 2, 0.08), (width / 2, depth / 2 + about(rng, 0.7), 0.42), rgb)
        body = body + end
        body = body.mirrored() if chance(rng, 0.5) else body
    low, high = body.bounds()
    return Furniture("couch", body.moved(y=-(low[1] + high[1]) / 2))


def _day_bed(rng: Rng) -> Furniture:
    """A mattress and a back that leans on a frame of wood or metal, without arms."""
    x, y, seat = about(rng, 0.95, 0.06), about(rng, 0.45, 0.06), about(rng, 0.42, 0.06)
    frame, rgb, lean = shade(rng, (*WOOD, *METAL)), shade(rng, FABRIC), rng.uniform(0.08, 0.2)
    parts = [legs(2 * x, 2 * y, seat - 0.16, 0.05, frame), box((-x, -y, seat - 0.2), (x, y, seat - 0.14), frame)]
    parts.append(cushion((-x, -y + 0.1, seat - 0.14), (x, y, seat), rgb))
    parts.append(leaning((-x, -y + 0.08, seat - 0.05), (x, -y + 0.2, about(rng, 0.84, 0.06)), lean, rgb))
    parts += _pillows(rng, x, -y + 0.2, seat)
    return Furniture("couch", join(parts))


def _pillows(rng: Rng, x: float, y: float, seat: float) -> list[Quads]:
    """Up to four cushions that lie along a back or lean on it, and a throw."""
    parts = []
    for _ in range(int(rng.integers(0, 5)) if x > 0.6 else int(rng.integers(0, 2))):
        spot, half, deep = rng.uniform(-1, 1) * max(0.0, x - 0.3), rng.uniform(0.16, 0.26), rng.uniform(0.1, 0.18)
        pillow = cushion((-half, 0, 0), (half, deep, rng.uniform(0.3, 0.42)), shade(rng, FABRIC))
        parts.append(pillow.turned(rng.normal(0, 0.2)).moved(spot, y + rng.uniform(0, 0.1), seat))
    if x > 0.6 and chance(rng, 0.25):
        spot = rng.uniform(-x + 0.3, x - 0.3)
        parts.append(cushion((spot - 0.25, y, seat), (spot + 0.3, y + 0.5, seat + 0.05), shade(rng, FABRIC)))
    return parts


def _upholstered(rng: Rng, width: float, depth: float, seats: int, rgb: Triple) -> Quads:
    """Base, back and arms around `seats` cushions."""
    x, y = width / 2, depth / 2
    seat, top, arm = about(rng, 0.43, 0.05), about(rng, 0.85, 0.08), rng.uniform(0.08, 0.26)
    arm_top = top - 0.02 if chance(rng, 0.15) else seat + rng.uniform(0.1, 0.25)
    parts = [box((-x + 0.02, -y + 0.02, 0.06), (x - 0.02, y - 0.02, seat - 0.13), rgb)]
    parts.append(cushion((-x, -y, 0.08), (x, -y + 0.2, top), rgb))
    for side in (-x, x - arm):
        parts.append(cushion((side, -y + 0.03, 0.06), (side + arm, y, arm_top), rgb))
    inner, soft, lean = width - 2 * arm, tinted(rng, rgb), rng.uniform(0.0, 0.12)
    for number in range(seats):
        left, right = -x + arm + inner * number / seats, -x + arm + inner * (number + 1) / seats
        parts.append(cushion((left, -y + 0.15, seat - 0.15), (right, y - 0.01, seat), soft))
        parts.append(leaning((left, -y + 0.15, seat), (right, -y + 0.32, top - rng.uniform(-0.06, 0.1)), lean, soft))
    parts += _pillows(rng, inner / 2, -y + 0.32, seat)
    if chance(rng, 0.5):
        parts.append(turned_body([(0.03, 0.0), (0.03, 0.07)], shade(rng, WOOD)).moved(-x + 0.08, y - 0.1))
        parts.append(turned_body([(0.03, 0.0), (0.03, 0.07)], shade(rng, WOOD)).moved(x - 0.08, y - 0.1))
    return join(parts)
