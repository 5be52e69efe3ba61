"""What the left colour camera sees of a frame, coarsely: a ray each quarter of a degree, as bright as what it meets."""

from __future__ import annotations

import numpy as np

from pointcloud.datasets.kitti.calibration import KittiCalibration
from pointcloud.generate.streets.materials import ASPHALT, GLASS, GRASS, INSIDE, LEAF, MIRROR
from pointcloud.generate.streets.scanners import Scanner
from pointcloud.generate.streets.shapes import ALBEDO
from pointcloud.generate.streets.sweep import Scene, shoot
from pointcloud.generate.streets.turn import standing

_UP = np.deg2rad(np.arange(-17.0, 17.0, 0.25))
_EYE = Scanner(_UP, np.zeros(len(_UP)), turn_steps=1440, nearest_m=0.5, farthest_m=110.0, noise_m=0.0, fades_m=100.0)
_FIRST, _COLUMNS = np.deg2rad(-46.0), 4 * 92
_SKY = np.array([176.0, 200.0, 228.0])
_COLOURS = {
    **{ASPHALT: (150, 148, 142), GRASS: (124, 152, 100), LEAF: (104, 146, 88)},
    **{GLASS: (90, 104, 116), INSIDE: (90, 84, 80), MIRROR: (250, 250, 210)},
}
_OTHER = (235, 225, 205)


def draw_picture(
    calibration: KittiCalibration, size: tuple[int, int], scene: Scene, global_from_lidar: np.ndarray
) -> np.ndarray:
    """(height, width, 3) uint8; the scene and the pose as of `shoot`."""
    eye = global_from_lidar.copy()
    eye[:3, 3] = (global_from_lidar @ calibration.lidar_from_camera)[:3, 3]
    echoes = shoot(_EYE, scene, standing(eye, _FIRST + np.arange(_COLUMNS) * _EYE.step), 0)
    column, row = _beams_of_pixels(calibration, size)
    hit, depth, material, cosine = (
        values[column, row] for values in (echoes.hit, echoes.depth, echoes.material, echoes.cosine)
    )
    table = np.array([_COLOURS.get(number, _OTHER) for number in range(material.max() + 1)], np.float64)
    tone = np.where(hit >= 0, 0.45 + np.append(scene.shape.solids[:, ALBEDO], 0)[hit], 0.95)
    shade = np.clip((0.5 + 0.5 * np.clip(cosine, 0, 1)) * tone, 0, 1)[..., None]
    haze = np.clip(depth / _EYE.farthest_m, 0, 1)[..., None] ** 2
    picture = (1 - haze) * table[material] * np.where(np.isfinite(depth)[..., None], shade, 1)
    return np.asarray(picture + haze * _SKY).astype(np.uint8)


def _beams_of_pixels(calibration: KittiCalibration, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and ring (height, width) of the beam of `_EYE` nearest to each pixel's."""
    width, height = size
    pixels = np.stack([*np.meshgrid(np.arange(width), np.arange(height)), np.ones((height, width))], axis=-1)
    rays = pixels @ np.linalg.inv(calibration.p2[:, :3]).T @ calibration.lidar_from_camera[:3, :3].T
    azimuth, up = np.arctan2(rays[..., 1], rays[..., 0]), np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1]))
    column = np.round((azimuth - _FIRST) / _EYE.step).astype(np.int64).clip(0, _COLUMNS - 1)
    ring = np.round((up - _UP[0]) / (_UP[1] - _UP[0])).astype(np.int64)
    return column, ring.clip(0, len(_UP) - 1)
