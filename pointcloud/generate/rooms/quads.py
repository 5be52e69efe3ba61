"""Surfaces made of quadrilaterals: boxes, prisms and turned bodies, coloured, joined, turned and shifted.

Everything in a room is a set of such faces: coarse ones cast the shadows, and cut into small ones they give the mesh.
Metres, z up; corners run counter-clockwise seen from outside, so that normals point out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Quads:
    """Faces of solid bodies.

    Args:
        corners: (Q, 4, 3) metres; the last may repeat the third, which makes a triangle.
        rgb: (Q, 3) from 0 to 255.
        response: (Q,) how well a depth camera sees the face: 1 for ordinary surfaces, little for glass and black gloss.
    """

    corners: np.ndarray
    rgb: np.ndarray
    response: np.ndarray

    def __len__(self) -> int:
        return len(self.corners)

    def __add__(self, other: Quads) -> Quads:
        return join([self, other])

    def turned(self, yaw: float) -> Quads:
        """Counter-clockwise about the z axis, radians."""
        cosine, sine = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return replace(self, corners=self.corners @ rotation.T)

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> Quads:
        """Shifted."""
        return replace(self, corners=self.corners + np.array([x, y, z]))

    def mirrored(self) -> Quads:
        """Left and right exchanged; the order of corners too, so that normals still point out."""
        return replace(self, corners=(self.corners * np.array([-1.0, 1, 1]))[:, ::-1])

    def seen_as(self, response: float) -> Quads:
        """With another response to depth cameras."""
        return replace(self, response=np.full(len(self), float(response)))

    def bounds(self) -> np.ndarray:
        """Lowest and highest corner, (2, 3)."""
        points = self.corners.reshape(-1, 3)
        return np.stack([points.min(axis=0), points.max(axis=0)])


def join(parts: Sequence[Quads]) -> Quads:
    """All faces of `parts`."""
    return Quads(
        *(np.concatenate([getattr(part, field) for part in parts]) for field in ("corners", "rgb", "response"))
    )


def faces(corners: np.ndarray, rgb: Triple) -> Quads:
    """Faces (Q, 4, 3) of one colour."""
    corners = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    return Quads(corners, np.tile(np.array(rgb, np.float64), (len(corners), 1)), np.ones(len(corners)))


def box(low: Triple, high: Triple, rgb: Triple, top: bool = True) -> Quads:
    """The box between two corners; without its top face if there is something on it."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return loft([at_height(ring, z0), at_height(ring, z1)], rgb, top=top)


def leaning(low: Triple, high: Triple, back: float, rgb: Triple) -> Quads:
    """The box between two corners with its top moved `back` metres towards -y: backs of chairs, crossed legs."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return loft([at_height(ring, z0), at_height(ring - np.array([0, back]), z1)], rgb)


def at_height(outline: np.ndarray, z: float) -> np.ndarray:
    """A plane outline (n, 2) at height z: (n, 3)."""
    return np.column_stack([outline, np.full(len(outline), z)])


def loft(rings: Sequence[np.ndarray], rgb: Triple, top: bool = True, bottom: bool = True) -> Quads:
    """The skin around outlines (n, 3) that run counter-clockwise, each above the one before.

    The ends are closed where asked; a closed end is convex and has an even number of points.
    """
    lower, upper = np.stack(rings[:-1]), np.stack(rings[1:])
    skin = np.stack([lower, np.roll(lower, -1, axis=1), np.roll(upper, -1, axis=1), upper], axis=2).reshape(-1, 4, 3)
    ends = ([_lid(rings[-1])] if top else []) + ([_lid(rings[0])[:, ::-1]] if bottom else [])
    return faces(np.concatenate([skin, *ends]), rgb)


def _lid(ring: np.ndarray) -> np.ndarray:
    """Slices across a convex outline with an even number of points."""
    n = len(ring)
    first = np.arange(n // 2 - 1)
    return ring[np.stack([first, first + 1, n - 2 - first, n - 1 - first], axis=1)]


def outline(
    width: float, depth: float, points: int = 12, power: float = 2.0, x: float = 0.0, y: float = 0.0
) -> np.ndarray:
    """An ellipse (n, 2) about (x, y), or with a power above 2 a rectangle with rounded corners."""
    angle = (np.arange(points) + 0.5) * 2 * np.pi / points
    cosine, sine = np.cos(angle), np.sin(angle)
    radius = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    return np.column_stack([x + width / 2 * radius * cosine, y + depth / 2 * radius * sine])


def cylinder(
    radius: float, z0: float, z1: float, rgb: Triple, x: float = 0.0, y: float = 0.0, points: int = 8
) -> Quads:
    """An upright cylinder."""
    ring = outline(2 * radius, 2 * radius, points, x=x, y=y)
    return loft([at_height(ring, z0), at_height(ring, z1)], rgb)


def turned_body(profile: Sequence[tuple[float, float]], rgb: Triple, points: int = 10) -> Quads:
    """A body of revolution about the z axis: (radius, height) from the bottom to the top."""
    return loft([at_height(outline(2 * radius, 2 * radius, points), z) for radius, z in profile], rgb)


def cushion(low: Triple, high: Triple, rgb: Triple) -> Quads:
    """A box with rounded edges: pillows, mattresses, seats."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    round_off = 0.25 * min(z1 - z0, x1 - x0, y1 - y0)

    def ring(inset: float, z: float) -> np.ndarray:
        width, depth = x1 - x0 - 2 * inset, y1 - y0 - 2 * inset
        return at_height(outline(width, depth, 16, 6, (x0 + x1) / 2, (y0 + y1) / 2), z)

    levels = [(round_off, z0), (0.0, z0 + round_off), (0.0, z1 - round_off), (round_off, z1)]
    return loft([ring(inset, z) for inset, z in levels], rgb)


def sweep_wave(width: float, depth: float, waves: int, z0: float, z1: float, rgb: Triple) -> Quads:
    """Hanging cloth: a wavy sheet along x, `depth` thick in all, with a front and a back."""
    x = np.linspace(-width / 2, width / 2, 4 * waves + 1)
    y = (depth / 2 - 0.01) * np.sin(2 * np.pi * waves * x / width)
    around = np.concatenate([np.column_stack([x, y - 0.01]), np.column_stack([x, y + 0.01])[::-1]])
    return loft([at_height(around, z0), at_height(around, z1)], rgb, top=False, bottom=False)


def legs(width: float, depth: float, height: float, thick: float, rgb: Triple, inset: float = 0.03) -> Quads:
    """Four square legs under a top of `width` x `depth` about the origin."""
    x, y, half = width / 2 - inset - thick / 2, depth / 2 - inset - thick / 2, thick / 2
    places = [(-x, -y), (x, -y), (x, y), (-x, y)]
    return reduce(Quads.__add__, [box((a - half, b - half, 0), (a + half, b + half, height), rgb) for a, b in places])
