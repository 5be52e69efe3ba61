"""Prepared frames of KITTI: arrays like any prepared scene, and what its benchmark needs, kept in the record."""

from __future__ import annotations

from pointcloud.conventions.kitti_objects import KittiObjects, parse_kitti_objects
from pointcloud.datasets.kitti.calibration import KittiCalibration, parse_calibration
from pointcloud.datasets.prepared import AGAIN, PreparedScene
from vol3d.errors import DataError

LABELS, CALIBRATION, IMAGE_SIZE = "label_2", "calib", "image_size"


class PreparedKittiFrame(PreparedScene):
    """A frame of a prepared folder; it gives the same as the `KittiFrame` that it was made from."""

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them; none for a frame of the test set.

        Raises:
            DataError: the record is damaged, or of a release that kept no labels.
        """
        return parse_kitti_objects(self.extra(LABELS, str), self.where(LABELS))

    def calibration(self) -> KittiCalibration:
        """Of this frame; errors as `annotations`."""
        return parse_calibration(self.extra(CALIBRATION, str), self.where(CALIBRATION))

    def image_size(self) -> tuple[int, int]:
        """Width and height of the image; errors as `annotations`."""
        size = self.extra(IMAGE_SIZE, list)
        if len(size) != 2 or not all(isinstance(length, int) for length in size):
            raise DataError("a prepared scene is damaged", where=self.where(IMAGE_SIZE), got=size, do=AGAIN)
        return size[0], size[1]
