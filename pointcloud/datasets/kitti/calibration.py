"""The calibration of a KITTI frame, `calib/NNNNNN.txt`: one matrix a line, `P2: 12 numbers`, `R0_rect: 9 numbers` ...

`image = P2 @ R0_rect @ Tr_velo_to_cam @ lidar` in homogeneous coordinates (the devkit's readme).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from pointcloud.conventions import kitti_lidar_from_camera
from vol3d.errors import DataError

IMAGE_SIZE = (1242, 375)
"""Width and height of most of KITTI's images: taken where the image is not there."""
_SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}


@dataclass(frozen=True, eq=False)
class KittiCalibration:
    """The left colour camera and where the LiDAR is.

    Args:
        p2: (3, 4) float64, from the rectified camera frame in metres to pixels.
        lidar_from_camera: (4, 4) float64, from the rectified camera frame to the LiDAR's.
    """

    p2: np.ndarray
    lidar_from_camera: np.ndarray

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 2) of points (n, 3) in the LiDAR frame, and their distance (n,) along the view in metres."""
        camera_from_lidar = np.linalg.inv(self.lidar_from_camera)
        camera = xyz.astype(np.float64) @ camera_from_lidar[:3, :3].T + camera_from_lidar[:3, 3]
        image = camera @ self.p2[:, :3].T + self.p2[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            return image[:, :2] / image[:, 2:], camera[:, 2]

    def in_image(self, xyz: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Which points (n,) in the LiDAR frame the camera sees in an image of `size`, width and height."""
        pixels, away = self.project(xyz)
        with np.errstate(invalid="ignore"):
            return (away > 0) & (pixels >= 0).all(axis=1) & (pixels < size).all(axis=1)


def read_calibration(path: Path) -> KittiCalibration:
    """The calibration in a file.

    Raises:
        DataError: missing, a matrix is missing or has other numbers, or the LiDAR's motion is not rigid.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the calibration", where=path, got=error) from error
    return parse_calibration(text, path)


def parse_calibration(text: str, where: str | Path) -> KittiCalibration:
    """`read_calibration` for the text of a file that stood at `where`."""
    lines = (line.partition(":") for line in text.splitlines())
    texts = {name.strip(): numbers for name, colon, numbers in lines if colon}
    found = {name: _matrix(name, texts.get(name), shape, where) for name, shape in _SHAPES.items()}
    try:
        motion = kitti_lidar_from_camera(
            torch.from_numpy(found["R0_rect"]), torch.from_numpy(found["Tr_velo_to_cam"])
        ).numpy()
    except DataError as error:
        raise DataError(error.what, where=where, got=error.got) from error
    return KittiCalibration(found["P2"], motion)


def _matrix(name: str, text: str | None, shape: tuple[int, int], where: str | Path) -> np.ndarray:
    if text is None:
        raise DataError(f"no line {name}", where=where, wanted=", ".join(_SHAPES))
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise DataError(f"{name} has a word that is no number", where=where, got=error) from error
    if numbers.size != shape[0] * shape[1] or not np.isfinite(numbers).all():
        wanted = f"{shape[0] * shape[1]} finite numbers"
        raise DataError(f"{name} is no matrix", where=where, got=f"{numbers.size} numbers", wanted=wanted)
    return numbers.reshape(shape)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in an image's header; `IMAGE_SIZE` where there is no image.

    Raises:
        DataError: the file is no image.
    """
    if not path.is_file():
        return IMAGE_SIZE
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise DataError("the image is damaged", where=path, got=error, do="Unpack its archive again.") from error
