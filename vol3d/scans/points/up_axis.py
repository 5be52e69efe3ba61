"""Which axis of a scan points up: where its floor is, if the points tell; and the turn that makes it z.

Floors, tables and seats are horizontal and gather the points in thin slices across the vertical; walls share theirs
between the other two axes. Furniture and ground stand at the lower end, so that most of the points are below the
middle. The evidence must be strong to overrule z, which nearly all files have: one wall seen from near looks like a
floor on its side, so that nothing smaller than a room is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vol3d.scans.points.options import check_up

# Axis up -> for each new axis x, y, z: the old one it is taken from and its sign. All are rotations.
_TURNS = {
    "z": ((0, 1), (1, 1), (2, 1)),
    "-z": ((0, 1), (1, -1), (2, -1)),
    "y": ((0, 1), (2, -1), (1, 1)),
    "-y": ((0, 1), (2, 1), (1, -1)),
    "x": ((1, 1), (2, 1), (0, 1)),
    "-x": ((1, 1), (2, -1), (0, -1)),
}
_SLICE = 0.01  # of the largest extent
_KEEP, _OVERRULE = 1.25, 1.5  # the fullest slice across this axis against those of the others
_LOW_KEEP, _LOW_OVERRULE = 0.45, 0.4  # where the median lies between the ends
_HIGH, _LONG = 1.5, 6.0  # metres: a room is as high, or as long, as that
_FEWEST = 100


@dataclass(frozen=True)
class Up:
    """The axis, and whether the points told (or it was merely assumed)."""

    axis: str
    found: bool


def find_up(points: np.ndarray, metres: float = 1.0) -> Up:
    """The axis up of a sample (N, 3) of finite points; `z`, not found, where the evidence is weak.

    Args:
        points: in the file's axes and unit.
        metres: that unit.
    """
    if len(points) < _FEWEST:
        return Up("z", False)
    low, high = np.percentile(points, (1, 99), axis=0)
    extent = high - low
    if not (extent > 0).all():
        return Up("z", False)
    places, shares = zip(*(_fullest(points[:, axis], _SLICE * extent.max()) for axis in range(3)), strict=True)
    best = int(np.argmax(shares))
    inside = (points[:, best] > low[best] + 0.05 * extent[best]) & (points[:, best] < high[best] - 0.05 * extent[best])
    if inside.sum() < _FEWEST:
        return Up("z", False)
    middle = (np.median(points[inside, best]) - low[best]) / extent[best]
    floor = (places[best] - low[best]) / extent[best]
    if middle > 0.5:
        middle, floor, sign = 1 - middle, 1 - floor, "-"
    else:
        sign = ""
    axis = sign + "xyz"[best]
    lead = shares[best] / max(share for other, share in enumerate(shares) if other != best)
    needed = (_KEEP, _LOW_KEEP) if axis == "z" else (_OVERRULE, _LOW_OVERRULE)
    sure = lead >= needed[0] and middle <= needed[1] and floor <= middle + 0.1
    if axis != "z":
        size = np.sort(extent) * metres
        roomy = size[2] >= _LONG or (size[0] >= _HIGH and axis != "-z")  # a camera's z ends at the wall before it
        sure = sure and roomy and best == int(np.argmin(extent))  # rooms and streets are wider than high
    return Up(axis, True) if sure else Up("z", False)


def turn_up(xyz: np.ndarray, up: str) -> np.ndarray:
    """Vectors (N, 3) of a scan in which `up` points up, turned so that z does; exact."""
    if up == "z":
        return xyz
    turned = np.empty_like(xyz)
    for axis, (old, sign) in enumerate(_TURNS[check_up(up)]):
        np.multiply(xyz[:, old], xyz.dtype.type(sign), out=turned[:, axis])
    return turned


def turn_matrix(up: str) -> np.ndarray:
    """(3, 3) of `turn_up`."""
    return turn_up(np.eye(3), up).T


def _fullest(values: np.ndarray, width: float) -> tuple[float, float]:
    """Middle of the slice of this width that holds most of the values, and the share it holds."""
    ordered = np.sort(values)
    held = np.searchsorted(ordered, ordered + width, side="right") - np.arange(len(ordered))
    first = int(held.argmax())
    return float(ordered[first] + width / 2), float(held[first] / len(ordered))
