"""Rays against solids, nearest hit first; a solid is tried against the rays near it only.

Places are in metres relative to the scanner, with axes of the world. Chance, which decides whether a beam passes a
window and how far it gets into leaves, is a function of (seed, ray, solid) alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pointcloud.generate.streets.materials import GLASS
from pointcloud.generate.streets.shapes import (
    CONE,
    CONVEX,
    DENSITY,
    KIND,
    MATERIAL,
    REACH,
    YAW,
    A,
    B,
    C,
    X,
    Y,
    Z,
)

THROUGH_GLASS = 0.92
"""Share of the beams that pass a window met square; of those that graze it fewer do."""
_NOWHERE = (-1.0, -1.0, 0.0, 0.0, 0, 0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cast(rays, origins, azimuths, solids, faces, motion, times, seed, depth, hit, face, cosine, window):  # type: ignore[no-untyped-def]
    """Shortens `depth` where a ray meets a solid sooner, and notes which, what of it and at what angle.

    Args:
        rays: (columns, rings, 3) unit vectors.
        origins: (columns, rings, 3) where they begin.
        azimuths: of the first column, from one to the next, and by how much they may be wrong, radians.
        solids: (n, 12) and `faces` (m, 5), as `Shape`, at time 0.
        motion: (n, 4) m/s of each solid along x y z, and metres by which it is elsewhere in any column at most,
            seen from the scanner.
        times: (columns,) s of each.
        seed: of what is left to chance.
        depth, hit, face, cosine: (columns, rings) metres so far, number of the solid, material, cosine of the angle
            to the surface.
        window: (columns, rings) metres to the first window that the ray passes, infinite so far.
    """
    columns, rings = depth.shape
    around = _around(azimuths[1])
    for number in range(len(solids)):
        solid = solids[number]
        reach = solid[REACH]
        first, count = _columns(solid[X], solid[Y], reach + motion[number, 3], azimuths)
        cos, sin = np.cos(solid[YAW]), np.sin(solid[YAW])
        for step in range(count):
            column = (first + step) % around
            if column >= columns:
                continue
            solid_x = solid[X] + times[column] * motion[number, 0]
            solid_y = solid[Y] + times[column] * motion[number, 1]
            solid_z = solid[Z] + times[column] * motion[number, 2]
            for ring in range(rings):
                dx, dy, dz = rays[column, ring, 0], rays[column, ring, 1], rays[column, ring, 2]
                x = origins[column, ring, 0] - solid_x
                y = origins[column, ring, 1] - solid_y
                z = origins[column, ring, 2] - solid_z
                along = -(x * dx + y * dy + z * dz)
                if x * x + y * y + z * z - along * along > reach * reach or along + reach < 0:
                    continue
                if along - reach > depth[column, ring]:
                    continue
                # In the solid's own axes.
                ux, uy = cos * dx + sin * dy, -sin * dx + cos * dy
                px, py = cos * x + sin * y, -sin * x + cos * y
                met = _meet(solid, faces, px, py, z, ux, uy, dz)
                near, far = met[0], met[1]
                if far <= 0 or near > far or near >= depth[column, ring] or (near <= 0 and solid[DENSITY] == 0):
                    continue
                chance = _chance(seed, column * rings + ring, number)
                near, slant, what, pane = _echo(met, solid[DENSITY], chance)
                window[column, ring] = min(window[column, ring], pane)
                if near < depth[column, ring]:
                    depth[column, ring], hit[column, ring] = near, number
                    face[column, ring], cosine[column, ring] = what, slant


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _around(step_azimuth):  # type: ignore[no-untyped-def]
    """Columns of a whole turn."""
    return int(np.round(2 * np.pi / abs(step_azimuth)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _columns(x, y, wide, azimuths):  # type: ignore[no-untyped-def]
    """The first column that may see a solid within `wide` of (x, y), and how many from there on; may be below 0."""
    first_azimuth, step_azimuth, margin = azimuths
    away = np.sqrt(x**2 + y**2)
    if away <= wide + 0.01:
        return 0, _around(step_azimuth)
    half = np.arcsin(wide / away) + margin
    sense = 1 if step_azimuth > 0 else -1
    first = int(np.floor((np.arctan2(y, x) - sense * half - first_azimuth) / step_azimuth))
    return first, min(int(2 * half / abs(step_azimuth)) + 2, _around(step_azimuth))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _echo(met, density, chance):  # type: ignore[no-untyped-def]
    """What answers where a ray met a solid: distance, cosine and material, and the distance of the window it passed.

    Distances are infinite where nothing answers and where there is no window.
    """
    near, far, slant, slant_far, what, what_far = met
    if density > 0:
        near = max(near, 0.0) - np.log(1 - chance) / density
        return near if near < far else np.inf, 0.3 + 0.7 * chance, what, np.inf
    if what == GLASS and chance < THROUGH_GLASS * min(1.0, 2 * slant):
        return far if what_far != GLASS else np.inf, slant_far, what_far, near
    return near, slant, what, np.inf


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _meet(solid, faces, px, py, pz, ux, uy, uz):  # type: ignore[no-untyped-def]
    """Where a ray from p enters and leaves a solid, both cosines and both materials."""
    kind, a, b, c, what = solid[KIND], solid[A], solid[B], solid[C], int(solid[MATERIAL])
    if kind == CONVEX:
        return _convex(faces, int(a), int(a + b), px, py, pz, ux, uy, uz)
    if kind == CONE:
        return _cone(px, py, pz, ux, uy, uz, a, b, c, what)
    return _ball(px, py, pz, ux, uy, uz, a, b, c, what)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _convex(faces, first, end, px, py, pz, ux, uy, uz):  # type: ignore[no-untyped-def]
    near, far, slant, slant_far, what, what_far = -np.inf, np.inf, 0.0, 0.0, 0, 0
    for number in range(first, end):
        nx, ny, nz = faces[number, 0], faces[number, 1], faces[number, 2]
        facing = nx * ux + ny * uy + nz * uz
        outside = nx * px + ny * py + nz * pz - faces[number, 3]
        if abs(facing) < 1e-12:
            if outside > 0:
                return _NOWHERE
            continue
        t = -outside / facing
        if facing < 0:
            if t > near:
                near, slant, what = t, -facing, int(faces[number, 4])
        elif t < far:
            far, slant_far, what_far = t, facing, int(faces[number, 4])
        if near > far:
            return _NOWHERE
    return near, far, slant, slant_far, what, what_far


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cone(px, py, pz, ux, uy, uz, low, high, height, what):  # type: ignore[no-untyped-def]
    """The mantle between z = 0 and z = height; open above and below."""
    rise = (high - low) / height
    radius = low + rise * pz
    a = ux * ux + uy * uy - rise * rise * uz * uz
    b = px * ux + py * uy - rise * radius * uz
    root = b * b - a * (px * px + py * py - radius * radius)
    if root < 0 or abs(a) < 1e-12:
        return _NOWHERE
    t, far = (-b - np.sqrt(root)) / a, (-b + np.sqrt(root)) / a
    z = pz + t * uz
    r = low + rise * z
    if t <= 0 or z < 0 or z > height or r <= 0:
        return _NOWHERE
    return t, max(far, t), abs((px + t * ux) * ux + (py + t * uy) * uy) / r, 0.0, what, what


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ball(px, py, pz, ux, uy, uz, a, b, c, what):  # type: ignore[no-untyped-def]
    qx, qy, qz, vx, vy, vz = px / a, py / b, pz / c, ux / a, uy / b, uz / c
    vv, qv, qq = vx * vx + vy * vy + vz * vz, qx * vx + qy * vy + qz * vz, qx * qx + qy * qy + qz * qz
    root = qv * qv - vv * (qq - 1)
    if root <= 0:
        return _NOWHERE
    slant = min(1.0, np.sqrt(root / vv))
    return (-qv - np.sqrt(root)) / vv, (-qv + np.sqrt(root)) / vv, slant, slant, what, what


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _chance(seed, ray, number):  # type: ignore[no-untyped-def]
    """0 to 1, from three numbers (the finaliser of SplitMix64)."""
    mixed = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(ray) * np.uint64(0xD1B54A32D192ED03)
    mixed += np.uint64(number) * np.uint64(0x8CB92BA72F3D8DD7)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cast_ground(rays, origins, heights, corner, cell, farthest, depth, cosine):  # type: ignore[no-untyped-def]
    """Distance (columns, rings) at which each ray meets the ground, infinite if not within `farthest` metres.

    Args:
        heights: (X, Y) of the ground, metres; between them it is bilinear.
        corner: (2,) x y of the first.
        cell: metres from one to the next.
    """
    columns, rings = depth.shape
    top = heights.max()
    for column in range(columns):
        for ring in range(rings):
            dx, dy, dz = rays[column, ring, 0], rays[column, ring, 1], rays[column, ring, 2]
            x, y, z = origins[column, ring, 0], origins[column, ring, 1], origins[column, ring, 2]
            depth[column, ring], cosine[column, ring] = np.inf, 0.0
            t, before = 0.5, 0.0
            while t < farthest and (dz < 0 or z + t * dz < top):
                above = z + t * dz - _height(heights, (x + t * dx - corner[0]) / cell, (y + t * dy - corner[1]) / cell)
                if above < 0.004:
                    for _ in range(8):  # between the last place above and this one
                        half = (before + t) / 2
                        ground = _height(
                            heights, (x + half * dx - corner[0]) / cell, (y + half * dy - corner[1]) / cell
                        )
                        if z + half * dz < ground:
                            t = half
                        else:
                            before = half
                    depth[column, ring] = t
                    cosine[column, ring] = _facing(
                        heights, (x + t * dx - corner[0]) / cell, (y + t * dy - corner[1]) / cell, cell, dx, dy, dz
                    )
                    break
                before = t
                t += max(0.1, above / (0.5 + abs(dz)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _height(heights, i, j):  # type: ignore[no-untyped-def]
    i, j = min(max(i, 0.0), heights.shape[0] - 1.001), min(max(j, 0.0), heights.shape[1] - 1.001)
    low, left = int(i), int(j)
    u, v = i - low, j - left
    return (1 - u) * ((1 - v) * heights[low, left] + v * heights[low, left + 1]) + u * (
        (1 - v) * heights[low + 1, left] + v * heights[low + 1, left + 1]
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _facing(heights, i, j, cell, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Cosine between a ray and the normal of the ground."""
    rise_x = (_height(heights, i + 0.5, j) - _height(heights, i - 0.5, j)) / cell
    rise_y = (_height(heights, i, j + 0.5) - _height(heights, i, j - 0.5)) / cell
    return max(0.0, (rise_x * dx + rise_y * dy - dz) / np.sqrt(1 + rise_x * rise_x + rise_y * rise_y))
