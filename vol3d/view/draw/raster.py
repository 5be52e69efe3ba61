"""A z-buffer in NumPy: points, and surfaces as the points on them, to pixels, without a display, a GPU or a library.

Each point covers a small disc whose size falls with the distance. It is bent away from the eye like a bowl, so that
discs that overlap share the ground evenly. A pixel keeps the nearest point: depth and index are packed into one
integer, and one `minimum` decides both.
Edges in depth are darkened (eye-dome lighting, Boucheny 2009), which shows shape where there are no normals. Pictures
are made at twice the size and averaged.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.spatial import cKDTree

from vol3d.view.draw.camera import View
from vol3d.view.draw.surfaces import Surface

SUPERSAMPLE = 2
_RADIUS_PX = (0.75, 6.0)
_EDL_STRENGTH, _EDL_RINGS_PX = 5.0, (1, 3)
_EDL_MOST = 0.15  # of the distance in powers of two: a far wall behind an edge is no darker than a near one
_NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1))
_DEPTH_STEPS = 2.0**31
_SAMPLED = 4000


def point_radius(xyz: np.ndarray) -> float:
    """Radius (metres) of discs that close most surfaces of a cloud (N, 3); 0 for fewer than two points.

    It is the median distance to the fourth neighbour: of points strewn evenly at random it leaves 2 % uncovered.
    """
    if len(xyz) < 2:
        return 0.0
    some = xyz[:: max(1, len(xyz) // _SAMPLED)]
    distance, _ = cKDTree(xyz, balanced_tree=False, compact_nodes=False).query(some, k=min(5, len(xyz)))
    return float(np.median(distance[:, -1]))


def draw_points(
    view: View, xyz: np.ndarray, rgb: np.ndarray, radius: float, ground: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The points as a picture.

    Args:
        view: its `size` is that of the result.
        xyz: (N, 3).
        rgb: (N, 3) uint8.
        radius: of a point's disc, in the unit of `xyz`.
        ground: colour where there is no point.

    Returns:
        (height, width, 3) uint8, and the depth (height, width) of the nearest point, infinite where there is none.
    """
    fine = view.scaled(SUPERSAMPLE)
    limits = (SUPERSAMPLE * _RADIUS_PX[0], SUPERSAMPLE * _RADIUS_PX[1])
    index, depth = _nearest(fine, xyz, radius, limits)
    picture = np.empty((*index.shape, 3), np.float32)
    picture[:] = ground
    hit = index >= 0
    picture[hit] = rgb[index[hit]] * _edge_light(depth)[hit][:, None]
    return _average(picture), _coarse_depth(depth)


def draw_surfaces(view: View, surfaces: list[Surface], ground: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Surfaces lit from beside the eye; arguments and result as of `draw_points`."""
    fine = view.scaled(SUPERSAMPLE)
    samples = [_sample(fine, surface) for surface in surfaces]
    xyz = np.concatenate([points for points, _ in samples]) if samples else np.zeros((0, 3))
    rgb = np.concatenate([colours for _, colours in samples]) if samples else np.zeros((0, 3), np.uint8)
    index, depth = _nearest(fine, xyz, 0.0, (1.0, 1.0))
    picture = np.empty((*index.shape, 3), np.float32)
    picture[:] = ground
    picture[index >= 0] = rgb[index[index >= 0]]
    return _average(picture), _coarse_depth(depth)


def _nearest(view: View, xyz: np.ndarray, radius: float, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Index (height, width) of the point that each pixel shows, -1 for none, and its depth (infinite)."""
    width, height = view.size
    pixels, depth = view.project(xyz)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(((pixels > -8) & (pixels < np.array(view.size) + 8)).all(axis=1))
    sizes = np.clip(view.focal_px * radius / depth[rows], *limits)
    order = np.argsort(-sizes, kind="stable")  # then those whose disc holds an offset come first
    rows, sizes = rows[order], sizes[order]
    near, far = (float(depth[rows].min()), float(depth[rows].max()) + radius) if len(rows) else (0.0, 1.0)
    steps = (_DEPTH_STEPS - 1) / max(far - near, 1e-12)
    x, y = np.floor(pixels[rows]).astype(np.int64).T
    ahead = (depth[rows] - near) * steps
    nothing = np.iinfo(np.int64).max
    buffer = np.full(width * height, nothing, np.int64)
    reach = int(sizes.max(initial=0))
    for dx, dy in itertools.product(range(-reach, reach + 1), repeat=2):
        away = dx * dx + dy * dy
        part = slice(0, int(np.searchsorted(-sizes, -np.sqrt(away), side="right")))
        at_x, at_y = x[part] + dx, y[part] + dy
        inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
        bent = ahead[part] + radius * steps * away / np.maximum(sizes[part] ** 2, 1)
        keys = bent.astype(np.int64) << 32 | rows[part]
        np.minimum.at(buffer, (at_y * width + at_x)[inside], keys[inside])
    hit = buffer != nothing
    index = np.where(hit, buffer & 0xFFFFFFFF, -1).reshape(height, width)
    return index, np.where(hit, near + (buffer >> 32) / steps, np.inf).reshape(height, width).astype(np.float32)


def _edge_light(depth: np.ndarray) -> np.ndarray:
    """(height, width) from 0 to 1: darker the more its neighbours are nearer to the eye than the pixel."""
    far = np.isinf(depth)
    logs = np.log2(np.where(far, np.float32(1), depth))
    logs[far] = 1e3  # nothing there: as if far away, it darkens no pixel
    darkness = np.zeros_like(logs)
    for ring in _EDL_RINGS_PX:
        for dy, dx in _NEIGHBOURS:
            step = SUPERSAMPLE * ring
            here, there = _shifted(dy * step, logs.shape[0]), _shifted(dx * step, logs.shape[1])
            nearer = logs[here[0], there[0]] - logs[here[1], there[1]]
            darkness[here[0], there[0]] += np.clip(nearer, 0, _EDL_MOST)
    return np.exp(-_EDL_STRENGTH * darkness)


def _shifted(step: int, length: int) -> tuple[slice, slice]:
    """Slices of an axis and of the same axis `step` further, where both exist."""
    return slice(max(0, -step), length - max(0, step)), slice(max(0, step), length - max(0, -step))


def _average(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[0] // SUPERSAMPLE, picture.shape[1] // SUPERSAMPLE
    blocks = picture.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, -1)
    return np.clip(blocks.mean(axis=(1, 3)), 0, 255).astype(np.uint8)


def _coarse_depth(depth: np.ndarray) -> np.ndarray:
    height, width = depth.shape[0] // SUPERSAMPLE, depth.shape[1] // SUPERSAMPLE
    return depth.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE).min(axis=(1, 3))


def _sample(view: View, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Points (S, 3) on the surface's triangles, about one for each pixel that they cover, and their colours."""
    pixels, _ = view.project(surface.vertices.astype(np.float64))
    a, b, c = (pixels[surface.faces[:, corner]] for corner in range(3))
    area = ((b - a)[:, 1] * (c - a)[:, 0] - (b - a)[:, 0] * (c - a)[:, 1]) / 2  # below 0: seen from inside, so hidden
    counts = np.where(area > 0, np.ceil(np.nan_to_num(area)), -1).astype(np.int64) + 1
    face = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The additive sequence of Roberts (2018), folded into the triangle, leaves no holes where random numbers would.
    u, v = ((0.5 + number * step) % 1 for step in (0.7548776662466927, 0.5698402909980532))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    shares = np.stack((1 - u - v, u, v), axis=1)[..., None]
    corners = surface.faces[face]
    points = (surface.vertices[corners] * shares).sum(axis=1)
    normals = (surface.normals[corners] * shares).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    base = np.array(tuple(bytes.fromhex(surface.colour[1:])), np.float64)
    return points, _lit(view, points, normals, base)


def _lit(view: View, points: np.ndarray, normals: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Lambert's diffuse light with a small highlight, from above the eye's left shoulder: (S, 3) uint8."""
    towards = view.eye - points
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    lamp = np.array((-0.45, -0.6, -1.0)) @ view.axes
    lamp /= np.linalg.norm(lamp)
    half = towards + lamp
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    diffuse = np.clip(normals @ lamp, 0, 1)
    shine = np.clip((normals * half).sum(axis=1), 0, 1) ** 40
    light = 0.28 + 0.72 * diffuse
    return np.clip(base * light[:, None] + 60 * shine[:, None], 0, 255).astype(np.uint8)
