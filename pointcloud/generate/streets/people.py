"""People on foot and on cycles, and what stands about a work zone; a little different each time."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.streets.materials import CLOTH, METAL, MIRROR, RUBBER, WALL, albedo
from pointcloud.generate.streets.shapes import Shape, Y, ball, box, cone, join, placed, prism

Rng = np.random.Generator


def pedestrian_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """Two legs a step apart, a body, arms, a head; the stride and the arms fill the box."""
    tone, dark = albedo(CLOTH, rng), albedo(CLOTH, rng)
    stride, hips = 0.5 * length - 0.1, 0.46 * height
    broad = min(0.5 * width - 0.04, 0.24)
    legs = [_limb(0.0, sign * stride, 0.0, hips, 0.085, -sign * 0.09, dark) for sign in (-1.0, 1.0)]
    trunk = ball((0, 0, 0.65 * height), (0.14, broad, 0.21 * height), CLOTH, tone)
    arms = [
        _limb(0.0, sign * stride, 0.42 * height, 0.8 * height, 0.05, sign * (broad + 0.02), tone)
        for sign in (-1.0, 1.0)
    ]
    head = ball((0.02, 0, 0.925 * height), (0.1, 0.085, 0.075 * height), CLOTH, 0.3)
    more = []
    if rng.random() < 0.3:  # a rucksack or a bag
        more.append(box((-0.2, rng.normal(0, 0.08), 0.66 * height), (0.16, 0.28, 0.26 * height), CLOTH, dark))
    return join([*legs, trunk, *arms, head, *more])


def _limb(top: float, end: float, low: float, high: float, thick: float, left: float, tone: float) -> Shape:
    """A leg or an arm that swings: from `top` ahead at the height `high` to `end` ahead at the height `low`."""
    outline = [(end - thick, low), (end + thick, low), (top + thick, high), (top - thick, high)]
    limb = prism([(*corner, CLOTH) for corner in outline], thick, tone, CLOTH)
    limb.solids[:, Y] += left
    return limb


def sitting_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """On a chair."""
    tone = albedo(CLOTH, rng)
    return join([
        box((0.1, 0, 0.36 * height), (0.8 * length, 0.7 * width, 0.14), CLOTH, tone),
        box((0.36 * length, 0, 0.18 * height), (0.14, 0.6 * width, 0.36 * height), CLOTH, tone),
        ball((-0.2 * length, 0, 0.6 * height), (0.14, 0.4 * width, 0.24 * height), CLOTH, tone),
        ball((-0.18 * length, 0, 0.9 * height), (0.1, 0.09, 0.1 * height), CLOTH, 0.3),
    ])  # fmt: skip


def bicycle_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """Wheels as thin discs that let most beams through, a frame, a handlebar; as high as a rider or not."""
    radius, tone = min(0.34, 0.2 * length), albedo(METAL, rng)
    parts = [
        box((sign * (length / 2 - radius), 0, radius), (1.9 * radius, 0.05, 1.9 * radius), RUBBER, 0.1, density=8.0)
        for sign in (-1.0, 1.0)
    ]
    frame = box((0, 0, 0.6), (0.9, 0.06, 0.35), METAL, tone, density=12.0)
    top = min(1.0, 0.85 * height)
    bar = box((0.28 * length, 0, top), (0.08, 0.9 * width, 0.08), METAL, tone)
    saddle = box((-0.14 * length, 0, 0.9 * top), (0.26, 0.14, 0.1), RUBBER, 0.1)
    return join([*parts, frame, bar, saddle])


def cyclist_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A bicycle and its rider, who leans a little to the front."""
    tone, dark = albedo(CLOTH, rng), albedo(CLOTH, rng)
    broad = min(0.42 * width, 0.24)
    legs = [cone((0.02, sign * 0.12, 0.3), (0.07, 0.1), 0.55, CLOTH, dark) for sign in (-1.0, 1.0)]
    trunk = ball((0.06, 0, 0.67 * height), (0.2, broad, 0.19 * height), CLOTH, tone)
    arms = box((0.26, 0, 0.66 * height), (0.34, 1.9 * broad, 0.1), CLOTH, tone, density=4.0)
    head = ball((0.16, 0, 0.92 * height), (0.11, 0.09, 0.08 * height), CLOTH, 0.3)
    return join([bicycle_body(length, width, height, rng), *legs, trunk, arms, head])


def stand_of_bicycles(count: int, rng: Rng) -> Shape:
    """Several side by side."""
    return join([
        placed(bicycle_body(1.75, 0.6, 1.1, rng), (rng.normal(0, 0.05), 0.55 * number, 0), rng.normal(0, 0.08))
        for number in range(count)
    ])  # fmt: skip


def motorcycle_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """Two wheels, an engine, a seat, a handlebar with a screen."""
    tone, radius = albedo(METAL, rng), 0.16 * length
    wheels = [
        box((s * (length / 2 - radius), 0, radius), (2 * radius, 0.14, 2 * radius), RUBBER, 0.08) for s in (-1, 1)
    ]
    trunk = box((-0.02 * length, 0, 0.4 * height), (0.55 * length, 0.36 * width, 0.35 * height), METAL, tone)
    bar = box((0.24 * length, 0, 0.72 * height), (0.1, 0.95 * width, 0.08), METAL, tone)
    screen = box((0.27 * length, 0, 0.85 * height), (0.08, 0.4 * width, 0.25 * height), METAL, tone)
    return join([*wheels, trunk, bar, screen])


def motorcyclist_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A motorcycle and its rider, whose head is at the top of the box."""
    tone, dark = albedo(CLOTH, rng), albedo(CLOTH, rng)
    legs = [cone((0.05, s * 0.17, 0.25), (0.08, 0.11), 0.5, CLOTH, dark) for s in (-1.0, 1.0)]
    trunk = ball((-0.08, 0, 0.72 * height), (0.18, 0.24, 0.17 * height), CLOTH, tone)
    arms = box((0.12, 0, 0.7 * height), (0.4, 0.5, 0.1), CLOTH, tone, density=5.0)
    head = ball((0.0, 0, 0.92 * height), (0.13, 0.12, 0.08 * height), CLOTH, 0.3)
    return join([motorcycle_body(length, width, 0.8 * height, rng), *legs, trunk, arms, head])


def cone_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """A traffic cone on its foot, with a band that sends the light back."""
    foot = box((0, 0, 0.03), (length, width, 0.06), RUBBER, 0.1)
    body = cone((0, 0, 0.05), (0.38 * width, 0.06 * width), height - 0.05, CLOTH, albedo(CLOTH, rng))
    band = cone((0, 0, 0.5 * height), (0.23 * width, 0.17 * width), 0.2 * height, MIRROR, albedo(MIRROR, rng))
    return join([foot, body, band])


def barrier_body(length: float, width: float, height: float, rng: Rng) -> Shape:
    """What closes a lane or a pavement: a wall of concrete or plastic, a board across two feet, or a rack of bars."""
    kind = int(rng.choice(3, p=[0.45, 0.35, 0.2]))
    if kind == 0:  # broad below, narrow above
        half, top, material = length / 2, 0.12 * length, WALL if rng.random() < 0.5 else CLOTH
        outline = [(-half, 0.0), (half, 0.0), (half, 0.12 * height), (0.6 * half, 0.35 * height), (top, height)]
        outline += [(-x, z) for x, z in outline[:1:-1]]
        return prism([(*corner, material) for corner in outline], width / 2, albedo(material, rng), material)
    tone = albedo(METAL, rng)
    feet = [box((0, s * 0.42 * width, 0.15), (length, 0.14, 0.3), METAL, tone) for s in (-1, 1)]
    if kind == 1:
        material = MIRROR if rng.random() < 0.3 else METAL
        return join([box((0, 0, 0.7 * height), (0.12, width, 0.6 * height), material, tone), *feet])
    bars = box((0, 0, 0.55 * height), (0.05, width, 0.9 * height), METAL, tone, density=rng.uniform(6, 15))
    rail = box((0, 0, height - 0.03), (0.05, width, 0.06), METAL, tone)
    return join([bars, rail, *feet])
