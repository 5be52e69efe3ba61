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
from vol3d.files import is_there, read_text, require_file
from vol3d.notes import Note

IMAGE_SIZE = (1242, 375)
"""Width and height of most of KITTI's images: taken where the image of such a camera is not there."""
_SMALLEST = (1200, 350)  # lies in each of KITTI's images
_PICTURES = (".png", ".jpg", ".jpeg")
_KITTI_OFF = np.array([0.06, 0.12])  # how far twice the principal points of KITTI's own cameras are off, and no others
_SIDES = (32, 20_000)  # pixels of an image
_SHAPES = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
_ABSENT = {
    "P2": "Write the camera's 3 x 4 projection, row by row.",
    "R0_rect": "Write `R0_rect: 1 0 0 0 1 0 0 0 1` where nothing is to be rectified; in KITTI's tracking it is R_rect.",
    "Tr_velo_to_cam": "Write the 3 x 4 motion from the LiDAR to the camera; in KITTI's tracking it is Tr_velo_cam.",
}


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

    def in_every_image(self, xyz: np.ndarray) -> np.ndarray:
        """The points (n, 3) that the camera sees whatever the size of its image, as far as KITTI's images differ.

        All of them where it sees none: what is left names a sweep, whole or cut to the view of the camera.
        """
        seen = self.in_image(xyz, _SMALLEST)
        return xyz[seen] if seen.any() else xyz

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
    return parse_calibration(read_text(path), path)


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
        raise DataError(f"no line {name}", where=where, wanted=", ".join(_SHAPES), do=_ABSENT[name])
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise DataError(f"{name} has a word that is no number", where=where, got=error) from error
    if numbers.size != shape[0] * shape[1] or not np.isfinite(numbers).all():
        wanted = f"{shape[0] * shape[1]} finite numbers"
        raise DataError(f"{name} is no matrix", where=where, got=f"{numbers.size} numbers", wanted=wanted)
    return numbers.reshape(shape)


def camera_view(picture: Path, calibration: KittiCalibration, where: Path) -> tuple[tuple[int, int], tuple[Note, ...]]:
    """Width and height of a frame's image in pixels, and what had to be assumed about them.

    Args:
        picture: the image without its ending; measured where there is one.
        where: the calibration's file.

    Raises:
        DataError: the image is damaged; there is none and the principal point cannot be the middle of one.
    """
    found = next((path for ending in _PICTURES if is_there(path := picture.with_name(picture.name + ending))), None)
    if found is not None:
        return _measured(found), ()
    twice = 2 * calibration.p2[:2, 2] / calibration.p2[2, 2] if calibration.p2[2, 2] else np.zeros(2)
    if (np.abs(twice / IMAGE_SIZE - 1) <= _KITTI_OFF).all():
        return IMAGE_SIZE, ()
    if not ((twice >= _SIDES[0]) & (twice <= _SIDES[1])).all():
        got = f"principal point {twice[0] / 2:g}, {twice[1] / 2:g} of P2, and no image"
        do = "Put the images into image_2, or set data.image_size to [width, height]."
        raise DataError("the size of the camera's image is not known", where=where, got=got, do=do)
    width, height = (round(float(side)) for side in twice)
    text = "no image: it is assumed to have {width} x {height} pixels, twice the principal point of P2"
    numbers = {"width": width, "height": height}
    return (width, height), (Note("image-size-assumed", text, "image_size", f"[{width},{height}]", True, numbers),)


def none_in_view(points: int, size: tuple[int, int]) -> tuple[Note, ...]:
    """The note of a frame of which the camera sees no point."""
    text = "none of the {points} points is in the camera's view of {width} x {height} pixels"
    return (Note("no-point-in-view", text, numbers={"points": points, "width": size[0], "height": size[1]}),)


def _measured(path: Path) -> tuple[int, int]:
    try:
        with Image.open(require_file(path)) as image:
            return image.size
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError("the image is damaged", where=path, got=error, do="Unpack its archive again.") from error
