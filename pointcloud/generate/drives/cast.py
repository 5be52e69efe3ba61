"""Rays against boxes, upright cones and ellipsoids, nearest hit first; a solid is tried against the rays near it only.

Solids are rows: kind (0 box, 1 cone, 2 ellipsoid), x y z of the centre (of a cone: of its foot), three sizes, yaw, and
albedo. Sizes are half lengths of a box, both radii and the height of a cone, half axes of an ellipsoid. All of it is
in metres relative to the scanner, with axes of the world.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BOX, CONE, BALL = 0, 1, 2
COLUMNS = 9
_MARGIN = 0.035  # radians: the scanner may lean by two degrees


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cast(
    rays: np.ndarray, first_azimuth: float, solids: np.ndarray, depth: np.ndarray, hit: np.ndarray, cosine: np.ndarray
) -> None:
    """Shortens `depth` where a ray meets a solid sooner, and notes which and at what angle.

    Args:
        rays: (columns, rings, 3) unit vectors; column c is at azimuth first_azimuth + 2 pi c / columns, about.
        solids: (n, 9).
        depth, hit, cosine: (columns, rings) metres so far, index of the solid, cosine of the angle to the surface.
    """
    columns, rings = depth.shape
    per_column = 2 * np.pi / columns
    for number in range(len(solids)):
        kind, x, y = solids[number, 0], solids[number, 1], solids[number, 2]
        a, b, c = solids[number, 4], solids[number, 5], solids[number, 6]
        reach = max(a, b) if kind == CONE else np.sqrt(a * a + b * b)
        away = np.sqrt(x * x + y * y)
        if away > reach + 0.01:
            half = np.arcsin(reach / away) + _MARGIN
            first = int(np.floor((np.arctan2(y, x) - half - first_azimuth) / per_column))
            count = min(int(2 * half / per_column) + 2, columns)
        else:
            first, count = 0, columns
        cos, sin = np.cos(solids[number, 7]), np.sin(solids[number, 7])
        for step in range(count):
            column = (first + step) % columns
            for ring in range(rings):
                dx, dy, dz = rays[column, ring, 0], rays[column, ring, 1], rays[column, ring, 2]
                # In the solid's own axes.
                ux, uy = cos * dx + sin * dy, -sin * dx + cos * dy
                px, py, pz = -(cos * x + sin * y), sin * x - cos * y, -solids[number, 3]
                if kind == BOX:
                    t, slant = _box(px, py, pz, ux, uy, dz, a, b, c)
                elif kind == CONE:
                    t, slant = _cone(px, py, pz, ux, uy, dz, a, b, c)
                else:
                    t, slant = _ball(px, py, pz, ux, uy, dz, a, b, c)
                if 0.0 < t < depth[column, ring]:
                    depth[column, ring], hit[column, ring], cosine[column, ring] = t, number, slant


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _box(px, py, pz, ux, uy, uz, a, b, c):  # type: ignore[no-untyped-def]
    """Distance and cosine at which a ray from p enters the box of half lengths a, b, c; -1 if it does not."""
    near, far, slant = -np.inf, np.inf, 0.0
    for p, u, half in ((px, ux, a), (py, uy, b), (pz, uz, c)):
        if abs(u) < 1e-12:
            if abs(p) > half:
                return -1.0, 0.0
            continue
        low, high = (-half - p) / u, (half - p) / u
        if low > high:
            low, high = high, low
        if low > near:
            near, slant = low, abs(u)
        far = min(far, high)
    return (near, slant) if near <= far else (-1.0, 0.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cone(px, py, pz, ux, uy, uz, low, high, height):  # type: ignore[no-untyped-def]
    """As `_box`, for the mantle of a cone with radii `low` at z = 0 and `high` at z = height."""
    rise = (high - low) / height
    radius = low + rise * pz
    a = ux * ux + uy * uy - rise * rise * uz * uz
    b = px * ux + py * uy - rise * radius * uz
    c = px * px + py * py - radius * radius
    root = b * b - a * c
    if root < 0 or abs(a) < 1e-12:
        return -1.0, 0.0
    t = (-b - np.sqrt(root)) / a
    z = pz + t * uz
    if t <= 0 or z < 0 or z > height or low + rise * z <= 0:
        return -1.0, 0.0
    r = low + rise * z
    return t, abs((px + t * ux) * ux + (py + t * uy) * uy) / r


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ball(px, py, pz, ux, uy, uz, a, b, c):  # type: ignore[no-untyped-def]
    """As `_box`, for an ellipsoid of half axes a, b, c."""
    qx, qy, qz, vx, vy, vz = px / a, py / b, pz / c, ux / a, uy / b, uz / c
    vv, qv, qq = vx * vx + vy * vy + vz * vz, qx * vx + qy * vy + qz * vz, qx * qx + qy * qy + qz * qz
    root = qv * qv - vv * (qq - 1)
    if root < 0:
        return -1.0, 0.0
    t = (-qv - np.sqrt(root)) / vv
    return t, np.sqrt(root / vv) if vv > 0 else 0.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cast_ground(
    rays: np.ndarray, place: np.ndarray, waves: np.ndarray, farthest: float, depth: np.ndarray, cosine: np.ndarray
) -> None:
    """Distance (columns, rings) at which each ray meets the ground, infinite if it does not within `farthest` metres.

    Args:
        place: (3,) of the scanner in the world.
        waves: (w, 4) of the relief, as in `Road`; slopes are slight, so that a few steps find the place.
    """
    columns, rings = depth.shape
    for column in range(columns):
        for ring in range(rings):
            dx, dy, dz = rays[column, ring, 0], rays[column, ring, 1], rays[column, ring, 2]
            t = np.inf
            if dz < -0.005:
                height = 0.0
                for _ in range(8):
                    t = min((height - place[2]) / dz, farthest)
                    height = 0.0
                    for wave in range(len(waves)):
                        x, y = place[0] + t * dx, place[1] + t * dy
                        height += waves[wave, 0] * np.sin(waves[wave, 1] * x + waves[wave, 2] * y + waves[wave, 3])
            depth[column, ring] = t if t < farthest else np.inf
            cosine[column, ring] = -dz
