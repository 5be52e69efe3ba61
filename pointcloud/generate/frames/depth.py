"""From true depths to what a depth camera returns: shadows, noise, steps, smeared edges, holes, an end of its range."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from pointcloud.generate.frames.sensors import Sensor
from pointcloud.generate.rooms.furniture import Rng

TURN = 2 * np.pi
JUMP = 0.04  # an edge: neighbours whose depths differ by this share
LOST_AT_EDGES, SMEARED = 0.3, 0.3  # share of pixels at edges without a return, between front and back
WEAK = 0.02  # signal below which half of the pixels return nothing; 1 is a bright wall, head on, at 1 m


def measured(
    rng: Rng, sensor: Sensor, depth: np.ndarray, cosine: np.ndarray, response: np.ndarray, bright: np.ndarray
) -> np.ndarray:
    """Depths (H, W) in metres as the camera returns them, 0 where it returns none.

    Args:
        depth: (H, W) true depths, infinite where nothing is.
        cosine: (H, W) between ray and surface normal.
        response: (H, W) how well a depth camera sees the surface, see `Quads`.
        bright: (H, W) of the surface, 0 to 1.
    """
    seen = np.where(np.isfinite(depth), depth, 2 * sensor.far_m)
    lost = _in_shadow(sensor, seen) | _too_weak(rng, sensor, seen, cosine * response, bright) | _holes(rng, seen)
    seen, at_edge = _smeared(rng, seen)
    lost |= at_edge & (rng.random(seen.shape) < LOST_AT_EDGES)
    seen = _noisy(rng, sensor, seen)
    return np.where(lost | (seen < sensor.near_m) | (seen > sensor.far_m * rng.uniform(0.75, 1.0)), 0.0, seen)


def _in_shadow(sensor: Sensor, depth: np.ndarray) -> np.ndarray:
    """What the camera sees and the projector beside it does not: strips at the left of what is near."""
    if not sensor.base_m:
        return np.zeros(depth.shape, bool)
    at = np.arange(depth.shape[1]) - sensor.focal * sensor.base_m / depth  # column in the projector's image
    from_right = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(at > from_right + 1.0)


def _too_weak(rng: Rng, sensor: Sensor, depth: np.ndarray, turned: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Glancing, dark, glossy and far surfaces, in patches; more of them towards the corners."""
    height, width = depth.shape
    v, u = np.mgrid[:height, :width]
    from_middle = np.hypot((2 * u / width - 1), (2 * v / height - 1)) / np.sqrt(2)
    signal = turned * (0.45 + 0.55 * bright) / np.maximum(depth, 1.0) ** 2 * (1 - sensor.corners * from_middle**4)
    patches = _patches(rng, depth.shape, 120, 15)
    needed = WEAK * rng.uniform(0.2, 1.0) * np.exp(0.5 * patches + 0.35 * rng.normal(size=depth.shape))
    return np.asarray(signal < needed)


def _patches(rng: Rng, shape: tuple[int, ...], longest: float, shortest: float) -> np.ndarray:
    """A smooth random image, about of mean 0 and deviation 1; lengths in pixels."""
    image, count = np.zeros(shape), 6
    lowest, highest = np.array([shortest, 0, 0]), np.array([longest, TURN, TURN])
    drawn = rng.uniform(lowest[:, None], highest[:, None], (3, count))
    for length, way, phase in drawn.T.tolist():
        across = np.exp(1j * (TURN / length * np.cos(way) * np.arange(shape[1]) + phase))
        down = np.exp(1j * TURN / length * np.sin(way) * np.arange(shape[0]))
        image += np.outer(down.real, across.imag) + np.outer(down.imag, across.real)
    return image * np.sqrt(2 / count)


def _holes(rng: Rng, depth: np.ndarray) -> np.ndarray:
    """Round spots that return nothing for no visible reason: lamps, reflections, the sun."""
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    lost = np.zeros(depth.shape, bool)
    for _ in range(int(rng.integers(0, 4))):
        x, y, radius = rng.uniform(0, depth.shape[1]), rng.uniform(0, depth.shape[0]), rng.uniform(2, 12)
        lost |= ((u - x) / rng.uniform(0.6, 2.0)) ** 2 + (v - y) ** 2 < radius**2
    return lost & (rng.random(depth.shape) < 0.9)


def _smeared(rng: Rng, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths of which some at edges are mixed from front and back, and where edges are."""
    front, back = minimum_filter(depth, 3), maximum_filter(depth, 3)
    at_edge = back - front > JUMP * front
    mixed = at_edge & (rng.random(depth.shape) < SMEARED)
    return np.where(mixed, front + rng.random(depth.shape) ** 2 * (back - front), depth), at_edge


def _noisy(rng: Rng, sensor: Sensor, depth: np.ndarray) -> np.ndarray:
    """Errors that grow with the distance, half of them shared by neighbours, then steps."""
    level = rng.uniform(0.3, 1.0)  # frames of a still camera are averaged
    deviation = level * (sensor.noise_m + sensor.noise_per_m2 * depth**2)
    error = 0.8 * np.clip(rng.normal(size=depth.shape), -2.5, 2.5) + 0.5 * _patches(rng, depth.shape, 40, 6)
    noisy = np.maximum(depth + deviation * error, 1e-3)
    step = level * sensor.step_per_m2()
    return 1 / (np.maximum(np.rint(1 / noisy / step), 1) * step) if step else noisy
