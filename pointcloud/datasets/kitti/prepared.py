"""Prepared frames of KITTI: arrays like any prepared scene, and what its benchmark needs, kept in the record."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointcloud.conventions.kitti_objects import KittiObjects, parse_kitti_objects
from pointcloud.datasets.kitti.calibration import KittiCalibration, parse_calibration
from pointcloud.datasets.kitti.labels import USUAL_OTHERS, detected, image_faults, others, respelled, spelled
from pointcloud.datasets.prepared import AGAIN, PreparedScene
from vol3d.dataset_tools.fault import Fault
from vol3d.errors import DataError

LABELS, CALIBRATION, IMAGE_SIZE = "label_2", "calib", "image_size"


class PreparedKittiFrame(PreparedScene):
    """A frame of a prepared folder; it gives the same as the `KittiFrame` that it was made from."""

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them, with types as they are known; none for a test frame.

        Raises:
            DataError: the record is damaged, or of a release that kept no labels.
        """
        return spelled(self._written(), self.class_names, self.where(LABELS))

    def _written(self) -> KittiObjects:
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

    def key_points(self) -> np.ndarray:
        """Those that are there with and without `image_only`; errors as `annotations`."""
        return self.calibration().in_every_image(self.read().cloud.xyz)

    @property
    def usual_others(self) -> tuple[str, ...]:
        """KITTI's own types that its benchmark does not score."""
        return USUAL_OTHERS

    def other_names(self) -> list[str]:
        """Types of the objects that are of no class; errors as `annotations`."""
        return others(self.annotations(), self.class_names)

    def respelled_names(self) -> list[str]:
        """`CAR for Car` for each object whose type is written otherwise than it is known; errors as `annotations`."""
        return respelled(self._written(), self.class_names, self.where(LABELS))

    def label_faults(self) -> Iterator[Fault]:
        """Boxes in the image that are missing or elsewhere; errors as `annotations`."""
        found = detected(self.annotations(), self.class_names, self.where(LABELS))
        return image_faults(self.name, found, self.calibration(), self.image_size())
