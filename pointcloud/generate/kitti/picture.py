"""What the left colour camera sees of a frame, coarsely: a ray each quarter of a degree, as bright as what it meets."""

from __future__ import annotations

import numpy as np

from pointcloud.datasets.kitti.calibration import KittiCalibration
from pointcloud.generate.drives.scanner import Scanner, shoot

_EYE = Scanner(np.deg2rad(np.arange(-17.0, 17.0, 0.25)), turn_steps=1440, farthest_m=150.0)
_SKY, _GROUND, _THING = ((176, 200, 228), (120, 118, 112), (235, 225, 205))


def draw_picture(
    calibration: KittiCalibration,
    size: tuple[int, int],
    waves: np.ndarray,
    solids: np.ndarray,
    global_from_lidar: np.ndarray,
) -> np.ndarray:
    """(height, width, 3) uint8; `waves`, `solids` and the pose as of `shoot`."""
    eye = global_from_lidar.copy()
    eye[:3, 3] = (global_from_lidar @ calibration.lidar_from_camera)[:3, 3]
    echoes = shoot(_EYE, 0.0, waves, solids, eye)
    column, row = _beams_of_pixels(calibration, size)
    hit, light, depth = (values[column, row] for values in (echoes.hit, echoes.light, echoes.depth))
    colours = np.array([_SKY, _GROUND, _THING], np.float64)
    kind = np.where(hit >= 0, 2, np.where(np.isfinite(depth), 1, 0))
    shade = np.where(kind == 2, 0.25 + 0.75 * np.clip(light / 0.6, 0, 1), np.where(kind == 1, 0.6 + light, 1.0))
    haze = np.clip(depth / _EYE.farthest_m, 0, 1)[..., None] ** 2
    picture = colours[kind] * np.clip(shade, 0, 1)[..., None]
    return np.asarray((1 - haze) * picture + haze * colours[0]).astype(np.uint8)


def _beams_of_pixels(calibration: KittiCalibration, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and ring (height, width) of the beam of `_EYE` nearest to each pixel's."""
    width, height = size
    pixels = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones((height, width))], axis=-1)
    rays = pixels @ np.linalg.inv(calibration.p2[:, :3]).T @ calibration.lidar_from_camera[:3, :3].T
    azimuth, up = np.arctan2(rays[..., 1], rays[..., 0]), np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1]))
    column = np.round(azimuth / (2 * np.pi) * _EYE.turn_steps).astype(np.int64) % _EYE.turn_steps
    low, step = _EYE.elevations[0], _EYE.elevations[1] - _EYE.elevations[0]
    ring = np.round((up - low) / step).astype(np.int64)
    return column, ring.clip(0, len(_EYE.elevations) - 1)
