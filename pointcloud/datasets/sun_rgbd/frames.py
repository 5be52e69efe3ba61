"""A SUN RGB-D frame as it is downloaded: depth image, colours, camera, tilt -> points with z up.

    depth_bfx/*.png   16 bits, rotated by three: millimetres
    image/*.jpg       colours on the same pixels
    intrinsics.txt    K, row by row
    extrinsics/*.txt  3x4, of which the rotation stands the camera upright
    annotation3Dfinal/index.json

As the toolbox does it (readData/read3dPoints.m, readframeSUNRGBD.m): pixels are counted from 1, depth ends at 8 m,
pixels without depth make no point. x is right, y forward, z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pointcloud.datasets.scenes import Scene, annotated, fingerprint_of
from pointcloud.datasets.sun_rgbd.labels import FrameLabels, read_annotation
from vol3d.errors import DataError
from vol3d.files import read_text, require_file
from vol3d.scans.points.cloud import PointCloud

AGAIN = "Unpack SUNRGBD.zip again."
FARTHEST_M = 8.0
# The camera's x right, y down, z forward -> the cloud's x right, y forward, z up.
CLOUD_FROM_CAMERA = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Frame:
    """A frame of the official archive.

    Args:
        folder: its folder.
        name: its six-digit number in the metadata, or its path.
        class_names: of the data set.
        known: camera and boxes from the metadata; None takes both from the frame's own folder.
    """

    folder: Path
    name: str
    class_names: tuple[str, ...]
    known: FrameLabels | None = None

    def read(self) -> Scene:
        """A point for each pixel with depth, and the boxes."""
        depth_m = decode_depth(_pixels(self._depth()))
        rgb = _pixels(self._image())
        if rgb.shape != (*depth_m.shape, 3):
            raise DataError("the image does not fit the depth", where=self.folder, got=rgb.shape, wanted=depth_m.shape)
        intrinsics, tilt = self.known.camera() if self.known else (self._intrinsics(), self._tilt())
        seen = depth_m > 0
        xyz = (back_project(depth_m, intrinsics)[seen] @ tilt.T).astype(np.float32)
        cloud = PointCloud(xyz, {"rgb": np.ascontiguousarray(rgb[seen])})
        boxes, labels = self._objects()
        return Scene(self.name, cloud, annotated(boxes, labels, self.class_names, "scan"))

    def labels(self) -> np.ndarray:
        """Of the annotated boxes; the images stay unread."""
        return np.asarray(self._objects()[1], np.int64)

    def _objects(self) -> tuple[np.ndarray, np.ndarray]:
        return self.known.table() if self.known else read_annotation(self._annotation(), self.class_names)

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the frame's files and metadata."""
        own = [] if self.known else [self.folder / "intrinsics.txt", self._extrinsics(), self._annotation()]
        facts = [self.class_names, self.known.facts() if self.known else None]
        return fingerprint_of([self._depth(), self._image(), *own], facts, quick)

    def _depth(self) -> Path:
        filled = self.folder / "depth_bfx"
        return _only(filled if filled.is_dir() else self.folder / "depth", "*.png")

    def _image(self) -> Path:
        return _only(self.folder / "image", "*.jpg")

    def _extrinsics(self) -> Path:
        return _only(self.folder / "extrinsics", "*.txt")

    def _annotation(self) -> Path:
        return self.folder / "annotation3Dfinal" / "index.json"

    def _intrinsics(self) -> np.ndarray:
        return _numbers(self.folder / "intrinsics.txt", 9).reshape(3, 3)

    def _tilt(self) -> np.ndarray:
        """The camera's upright rotation, in the axes of the cloud."""
        rotation = _numbers(self._extrinsics(), 12).reshape(3, 4)[:, :3]
        return CLOUD_FROM_CAMERA @ rotation @ CLOUD_FROM_CAMERA.T


def decode_depth(stored: np.ndarray) -> np.ndarray:
    """Metres (h, w) float32 from the 16-bit image: its bits rotated right by three are millimetres.

    Raises:
        DataError: not an image of 16-bit numbers.
    """
    if stored.ndim != 2 or stored.dtype.kind not in "iu" or stored.min(initial=0) < 0 or stored.max(initial=0) > 65535:
        raise DataError("not a 16-bit depth image", got=f"{stored.shape} {stored.dtype}")
    bits = stored.astype(np.uint16)
    return np.minimum(((bits >> 3) | (bits << 13)).astype(np.float32) / 1000.0, FARTHEST_M)


def back_project(depth_m: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Points (h, w, 3) in the camera's axes x right, y forward, z up, before it is stood upright.

    Args:
        depth_m: (h, w) metres along the viewing direction.
        intrinsics: (3, 3), for pixels counted from 1.
    """
    row, column = np.mgrid[1 : depth_m.shape[0] + 1, 1 : depth_m.shape[1] + 1]
    depth = depth_m.astype(np.float64)
    right = (column - intrinsics[0, 2]) * depth / intrinsics[0, 0]
    down = (row - intrinsics[1, 2]) * depth / intrinsics[1, 1]
    return np.stack([right, depth, -down], axis=-1)


def _only(folder: Path, pattern: str) -> Path:
    """The file in the folder; of several the last by name, as in the toolbox."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise DataError("a file of the frame is missing", where=folder, wanted=pattern, do=AGAIN)
    return found[-1]


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(require_file(path, do=AGAIN)) as image:
            return np.asarray(image.convert("RGB") if path.suffix == ".jpg" else image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError("the image is damaged", where=path, got=error, do=AGAIN) from error


def _numbers(path: Path, count: int) -> np.ndarray:
    try:
        numbers = np.array([float(word) for word in read_text(path, do=AGAIN).split()])
    except ValueError as error:
        raise DataError("not a camera", where=path, got=error, wanted=f"{count} numbers", do=AGAIN) from error
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise DataError("not a camera", where=path, got=f"{numbers.size} numbers", wanted=count)
    return numbers
