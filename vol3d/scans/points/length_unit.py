"""Metres, centimetres or millimetres: what the sizes of a scan show, and what they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FAR = 20  # times its own size from the origin


@dataclass(frozen=True)
class Unit:
    """Metres per unit, and whether the points show it (or metres are merely assumed)."""

    metres: float
    found: bool


@dataclass(frozen=True)
class StatedUnit:
    """Metres per unit as a file states them; `z_metres` where z has a unit of its own."""

    metres: float
    z_metres: float | None = None


def find_unit(points: np.ndarray) -> Unit:
    """The unit of a sample (N, 3) of finite points; metres, not found, where their sizes fit several.

    Rooms are 1 to 6 m high and at most five times as long: what has a room's form and is higher may be in feet. Few
    scans in metres are over 100 m high and none 1.5 km, and nearly none in centimetres is 300 m long.
    """
    if not len(points):
        return Unit(1.0, False)
    low, high = np.percentile(points, (1, 99), axis=0)
    least, _, most = np.sort(high - low)
    near = np.abs((low + high) / 2).max() <= _FAR * most  # map coordinates are metres nearly always
    if near and (_is_room(least, most, 1000) or (least >= 1500 and most >= 30_000)):
        return Unit(0.001, True)
    if near and 150 <= least <= 600 and most <= 4 * least:
        return Unit(0.01, True)

    hall = least > 6 and most <= 5 * least
    return Unit(1.0, bool(0.5 <= most <= 500 and least < 100 and not hall))


def _is_room(least: float, most: float, metre: float) -> bool:
    """Whether the sides are those of a room, in units of which so many are a metre."""
    return metre <= least <= 6 * metre and most <= 5 * least
