"""The cameras and the scanner of a generated KITTI set, about as KITTI's car has them: four cameras in a row, 64 beams.

The LiDAR's frame is x ahead, y left, z up; the cameras look ahead with x right and y down.
Every mount is a little askew, so that a reader who leaves one out is found.
"""

from __future__ import annotations

import numpy as np

from pointcloud.datasets.kitti.calibration import KittiCalibration, parse_calibration

LIDAR_HEIGHT_M = 1.69
"""Of the scanner above the road: in real frames the road 4 m ahead is at -1.70 m."""
IMAGE_SIZE = (1242, 375)
_FOCAL_PX, _CENTRE_PX = 720.0, (608.0, 174.0)
_BASELINES_M = {"P0": (0.0, 0.0, 0.0), "P1": (-0.54, 0.0, 0.0), "P2": (0.06, 0.0, 0.003), "P3": (-0.47, 0.003, 0.003)}
_AHEAD = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])  # the camera's axes in the LiDAR's


def ego_from_lidar() -> np.ndarray:
    """(4, 4) the scanner on its car, whose frame is on the ground."""
    mount = np.eye(4)
    mount[2, 3] = LIDAR_HEIGHT_M
    return mount


def calibration_text() -> str:
    """A calibration file: twelve or nine numbers a line."""
    lens = np.array([[_FOCAL_PX, 0, _CENTRE_PX[0]], [0, _FOCAL_PX, _CENTRE_PX[1]], [0, 0, 1]])
    matrices = {name: np.column_stack([lens, lens @ shift]) for name, shift in _BASELINES_M.items()}
    matrices["R0_rect"] = _turn(0.25, -0.45, 0.5)
    matrices["Tr_velo_to_cam"] = np.column_stack([_turn(-0.6, 0.4, 0.05) @ _AHEAD, [-0.005, -0.07, -0.28]])
    matrices["Tr_imu_to_velo"] = np.column_stack([_turn(0.8, 0.1, -0.05), [-0.8, 0.32, -0.8]])
    lines = [f"{name}: {' '.join(f'{number:.12e}' for number in matrices[name].ravel())}\n" for name in matrices]
    return "".join(lines) + "\n"


def calibration() -> KittiCalibration:
    """What a reader makes of that file."""
    return parse_calibration(calibration_text(), "the generator's calibration")


def _turn(x_deg: float, y_deg: float, z_deg: float) -> np.ndarray:
    """Turns about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = (f(np.deg2rad([x_deg, y_deg, z_deg])) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)
