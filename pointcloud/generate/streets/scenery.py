"""What stands beside a street without a box: trees, bushes, hedges, walls, houses, poles, signs, bins, posts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointcloud.generate.streets.materials import BARK, CLOTH, INSIDE, LEAF, METAL, MIRROR, WALL, albedo
from pointcloud.generate.streets.shapes import YAW, Shape, ball, box, cone, join, prism

Rng = np.random.Generator
_SUNK = 0.6  # metres by which what has a broad foot goes into the ground, which is not level


def tree(rng: Rng) -> Shape:
    """A trunk, and a crown of several clouds of leaves; of a young one the crown begins low."""
    high = rng.uniform(4, 12)
    foot, broad = rng.uniform(0.2, 0.5) * high, rng.uniform(0.2, 0.4) * high
    radius = rng.uniform(0.06, 0.1) + 0.016 * high
    tone, parts = albedo(LEAF, rng), [cone((0, 0, -0.2), (radius, 0.7 * radius), 0.75 * high, BARK, albedo(BARK, rng))]
    for _ in range(int(rng.integers(2, 6))):
        middle = (*rng.normal(0, 0.35 * broad, 2), rng.uniform(foot, high))
        size = broad * rng.uniform(0.35, 0.75, 3)
        parts.append(ball(middle, (size[0], size[1], max(0.5, 0.8 * size[2])), LEAF, tone, rng.uniform(0.4, 2.0)))
    return join(parts)


def bush(rng: Rng) -> Shape:
    """Two or three clouds of leaves on the ground; some are as large as a car."""
    size, tone = rng.uniform(0.4, 1.3), albedo(LEAF, rng)
    return join([
        ball((*rng.normal(0, 0.6 * size, 2), 0.45 * size), (size * rng.uniform(0.6, 1.2, 3)).tolist(), LEAF, tone,
             rng.uniform(2, 7))
        for _ in range(int(rng.integers(1, 4)))
    ])  # fmt: skip


def hedge(length: float, rng: Rng) -> Shape:
    """A long block of leaves, its top and its face uneven."""
    high, deep, tone, dense = rng.uniform(0.7, 2.2), rng.uniform(0.5, 1.2), albedo(LEAF, rng), rng.uniform(4, 10)
    parts, at = [], -length / 2
    while at < length / 2:
        step = min(rng.uniform(0.8, 3.0), length / 2 - at + 0.01)
        tall = high * rng.uniform(0.88, 1.1) + _SUNK
        middle = (at + step / 2, rng.normal(0, 0.06), tall / 2 - _SUNK)
        parts.append(box(middle, (step, deep * rng.uniform(0.9, 1.1), tall), LEAF, tone, density=dense))
        at += step
    return join(parts)


def wall(length: float, rng: Rng) -> Shape:
    """Low or as high as a man."""
    high = rng.uniform(0.4, 2.2) + _SUNK
    return box((0, 0, high / 2 - _SUNK), (length, rng.uniform(0.15, 0.4), high), WALL, albedo(WALL, rng))


def fence(length: float, rng: Rng) -> Shape:
    """Posts, and wire or boards that let part of the beams through."""
    high, tone = rng.uniform(0.8, 1.9), albedo(METAL, rng)
    sheet = box((0, 0, high / 2), (length, 0.05, high), METAL, tone, density=rng.uniform(3, 25))
    places = np.arange(-length / 2, length / 2, 2.5)
    posts = [cone((at, 0, -0.2), (0.04, 0.04), high + 0.25, METAL, tone) for at in places]
    return join([sheet, *posts])


def guard_rail(length: float, rng: Rng) -> Shape:
    """A rail at the height of a wheel, on posts."""
    tone = albedo(METAL, rng)
    posts = [box((at, 0.08, 0.3), (0.1, 0.06, 0.7), METAL, tone) for at in np.arange(-length / 2, length / 2, 2.0)]
    return join([box((0, 0, 0.6), (length, 0.1, 0.3), METAL, tone), *posts])


def house(length: float, depth: float, rng: Rng) -> Shape:
    """A block with a roof or without, windows in the face towards the street, a porch or a bay now and then."""
    high, tone = rng.uniform(3.5, 14), albedo(WALL, rng)
    parts = [box((0, 0, (high - _SUNK) / 2), (length, depth, high + _SUNK), WALL, tone)]
    if high < 8:
        ridge = [(-depth / 2 - 0.3, high, WALL), (depth / 2 + 0.3, high, WALL), (0.0, high + 0.35 * depth, WALL)]
        roof = prism(ridge, length / 2, tone, WALL)
        roof.solids[:, YAW] += np.pi / 2
        parts.append(roof)
    for storey in np.arange(1.5, high - 1, 2.9):
        for at in np.arange(-length / 2 + 1.2, length / 2 - 1.2, rng.uniform(2.0, 3.5)):
            parts.append(box((at, -depth / 2 - 0.005, storey), (1.1, 0.03, 1.3), INSIDE, 0.03))
    if rng.random() < 0.4:
        size = (rng.uniform(1.5, 4), rng.uniform(0.8, 2.0), rng.uniform(0.4, 3))
        middle = (rng.uniform(-0.3, 0.3) * length, -depth / 2 - size[1] / 2, size[2] / 2 - 0.2)
        parts.append(box(middle, (size[0], size[1], size[2] + 0.4), WALL, tone))
    return join(parts)


def pole(rng: Rng) -> Shape:
    """Of a lamp or a wire."""
    radius, tone = rng.uniform(0.05, 0.14), albedo(METAL, rng)
    return cone((0, 0, -0.2), (radius, 0.7 * radius), rng.uniform(3.5, 9), METAL, tone)


def sign(rng: Rng) -> Shape:
    """A traffic sign on its pole, across the street."""
    high, wide = rng.uniform(2.0, 3.0), rng.uniform(0.4, 0.9)
    plate = box((0, 0, high - wide / 2), (0.04, wide, wide), MIRROR, albedo(MIRROR, rng))
    return join([cone((0.04, 0, -0.2), (0.035, 0.035), high + 0.2, METAL, 0.3), plate])


def cabinet(rng: Rng) -> Shape:
    """A bin, a container, a switch box or a bench: blocks of a metre or two."""
    size = (rng.uniform(0.4, 1.9), rng.uniform(0.4, 1.1), rng.uniform(0.5, 1.5))
    material = METAL if rng.random() < 0.6 else WALL
    return box((0, 0, size[2] / 2 - 0.05), size, material, albedo(material, rng), rng.normal(0, 0.1))


def bollards(rng: Rng) -> Shape:
    """A few posts in a row, or stones."""
    step, radius, high = rng.uniform(1.2, 2.2), rng.uniform(0.05, 0.2), rng.uniform(0.4, 1.0)
    count = int(rng.integers(1, 6))
    return join([cone((step * at, 0, -0.1), (radius, radius), high + 0.1, WALL, 0.3) for at in range(count)])


def pillar(rng: Rng) -> Shape:
    """Of a gate or a fence, as broad as a person or less, with a ball on it now and then."""
    wide, high, tone = rng.uniform(0.25, 0.6), rng.uniform(0.9, 2.2), albedo(WALL, rng)
    parts = [box((0, 0, high / 2 - 0.1), (wide, wide * rng.uniform(0.8, 1.3), high + 0.2), WALL, tone)]
    if rng.random() < 0.3:
        parts.append(ball((0, 0, high + 0.1), [0.35 * wide] * 3, WALL, tone))
    return join(parts)


def narrow_shrub(rng: Rng) -> Shape:
    """Leaves that stand as a person does: a pointed one, or one ball above another."""
    tone, high, broad = albedo(LEAF, rng), rng.uniform(1.1, 2.4), rng.uniform(0.2, 0.5)
    dense = rng.uniform(3, 12)
    if rng.random() < 0.5:
        return cone((0, 0, -0.1), (broad, rng.uniform(0.05, 0.7) * broad), high + 0.1, LEAF, tone, dense)
    return join([
        ball((*rng.normal(0, 0.2 * broad, 2), at * high), (broad, broad, 0.35 * high), LEAF, tone, dense)
        for at in (0.3, 0.7)
    ])  # fmt: skip


def sapling(rng: Rng) -> Shape:
    """A thin trunk between two stakes, under few leaves."""
    high, tone, away = rng.uniform(2.0, 3.5), albedo(BARK, rng), rng.uniform(0.15, 0.35)
    stems = [((0.0, 0.0), high)] + [((0.0, sign * away), rng.uniform(1.2, 1.9)) for sign in (-1.0, 1.0)]
    parts = [cone((*at, -0.2), (0.04, 0.03), tall + 0.2, BARK, tone) for at, tall in stems]
    crown = rng.uniform(0.3, 0.8)
    return join([*parts, ball((0, 0, high), (crown, crown, crown), LEAF, albedo(LEAF, rng), rng.uniform(0.5, 3))])


def post_with_box(rng: Rng) -> Shape:
    """A letter box, a meter, a bin or a board on a post."""
    low, tone, size = rng.uniform(0.6, 1.3), albedo(METAL, rng), rng.uniform((0.1, 0.25, 0.25), (0.45, 0.7, 0.8))
    top = box((0, 0, low + size[2] / 2), size.tolist(), METAL, tone, rng.normal(0, 0.2))
    return join([cone((0, 0, -0.1), (rng.uniform(0.03, 0.1),) * 2, low + 0.1, METAL, tone), top])


def board(rng: Rng) -> Shape:
    """A sheet on the ground: a notice, an advertisement, a door of a fence that stands open."""
    size = rng.uniform((0.04, 0.4, 0.9), (0.15, 1.3, 2.1))
    material = (WALL, METAL, CLOTH)[int(rng.integers(3))]
    return box((0, 0, size[2] / 2 - 0.03), size.tolist(), material, albedo(material, rng), rng.uniform(-1.6, 1.6))


UPRIGHT = (pillar, narrow_shrub, sapling, post_with_box, board)


def upright(rng: Rng) -> Shape:
    """Something of about a person's size that is nobody."""
    return UPRIGHT[int(rng.integers(len(UPRIGHT)))](rng)


SMALL: dict[Callable[[Rng], Shape], float] = {
    **{tree: 0.26, pole: 0.16, sign: 0.11, cabinet: 0.1, bush: 0.1, bollards: 0.07, upright: 0.2},
}
"""What stands at the kerb, and how often."""
