"""Which axis of a scan points up: where its floor is, if the points show it; and the turn that makes it z.

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
    """The axis, and whether the points show it (or it is merely assumed)."""

    axis: str
    found: bool


_ASSUMED = Up("z", False)


def find_up(points: np.ndarray, metres: float = 1.0) -> Up:
    """The axis up of a sample (N, 3) of finite points; `z`, not found, where the evidence is weak.

    Args:
        points: in the file's axes and unit.
        metres: that unit.
    """
    if len(points) < _FEWEST:
        return _ASSUMED
    low, high = np.percentile(points, (1, 99), axis=0)
    extent = high - low
    if not (extent > 0).all():
        return _ASSUMED

    floor = _find_floor(points, low, high)
    if floor is None:
        return _ASSUMED
    if floor.axis == "z":
        return Up("z", True) if floor.is_clear(_KEEP, _LOW_KEEP) else _ASSUMED
    lies_flat = "xyz".index(floor.axis[-1]) == int(np.argmin(extent))  # rooms and streets are wider than high
    sure = lies_flat and floor.is_clear(_OVERRULE, _LOW_OVERRULE) and _is_room(np.sort(extent) * metres, floor.axis)
    return Up(floor.axis, True) if sure else _ASSUMED


@dataclass(frozen=True)
class _Floor:
    """What may be a floor.

    Args:
        axis: up from it.
        lead: how much fuller its slice is than those across the other axes.
        middle: where the median of the points above it lies, as a share of the height.
        height: where the slice itself lies.
    """

    axis: str
    lead: float
    middle: float
    height: float

    def is_clear(self, least_lead: float, highest_middle: float) -> bool:
        """Whether it is full, and low."""
        return self.lead >= least_lead and self.middle <= highest_middle and self.height <= self.middle + 0.1


def _find_floor(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> _Floor | None:
    """The fullest slice across an axis; None where too few points lie between the ends of that axis."""
    extent = high - low
    places, shares = zip(*(_fullest(points[:, axis], _SLICE * extent.max()) for axis in range(3)), strict=True)
    best = int(np.argmax(shares))
    lead = shares[best] / max(share for other, share in enumerate(shares) if other != best)

    heights, margin = points[:, best], 0.05 * extent[best]
    inside = heights[(heights > low[best] + margin) & (heights < high[best] - margin)]
    if len(inside) < _FEWEST:
        return None
    middle = float((np.median(inside) - low[best]) / extent[best])
    height = float((places[best] - low[best]) / extent[best])
    if middle > 0.5:
        return _Floor("-" + "xyz"[best], lead, 1 - middle, 1 - height)
    return _Floor("xyz"[best], lead, middle, height)


def _is_room(sides_m: np.ndarray, axis: str) -> bool:
    """Whether something with these sides, the shortest first, is as large as a room whose `axis` is up."""
    # A camera's z ends at the wall before it.
    return bool(sides_m[2] >= _LONG or (sides_m[0] >= _HIGH and axis != "-z"))


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
