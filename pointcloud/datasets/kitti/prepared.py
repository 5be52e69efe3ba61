"""Prepared frames of KITTI: arrays like any prepared scene, and what its benchmark asks, kept in the record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pointcloud.conventions.kitti_objects import KittiObjects, parse_kitti_objects
from pointcloud.datasets.kitti.calibration import KittiCalibration, parse_calibration
from pointcloud.datasets.prepared import AGAIN, PreparedScene, prepared_split
from pointcloud.datasets.scenes import SceneReader, SceneSplit
from vol3d.errors import DataError

LABELS, CALIBRATION, IMAGE_SIZE = "label_2", "calib", "image_size"


class PreparedKittiFrame(PreparedScene):
    """A frame of a prepared folder; it says the same as the `KittiFrame` that it was made from."""

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them; none for a frame of the test set.

        Raises:
            DataError: the record is damaged, or of a release that kept no labels.
        """
        return parse_kitti_objects(self._extra(LABELS, str), self._where(LABELS))

    def calibration(self) -> KittiCalibration:
        """Of this frame; errors as `annotations`."""
        return parse_calibration(self._extra(CALIBRATION, str), self._where(CALIBRATION))

    def image_size(self) -> tuple[int, int]:
        """Width and height of the image; errors as `annotations`."""
        size = self._extra(IMAGE_SIZE, list)
        if len(size) != 2 or not all(isinstance(length, int) for length in size):
            raise DataError("a prepared scene is damaged", where=self._where(IMAGE_SIZE), got=size, do=AGAIN)
        return size[0], size[1]

    def _extra(self, name: str, kind: type) -> Any:
        extras = self.record().get("extras")
        found = extras.get(name) if isinstance(extras, dict) else None
        if not isinstance(found, kind):
            raise DataError("the prepared scene lacks what its benchmark asks", where=self._where(name), do=AGAIN)
        return found

    def _where(self, name: str) -> Path:
        return self._path(".json") / name


def prepared_frames(folder: Path, class_names: tuple[str, ...]) -> SceneSplit:
    """`prepared_split` of KITTI's frames."""
    split = prepared_split(folder, class_names)

    def frames(scenes: tuple[SceneReader, ...]) -> tuple[SceneReader, ...]:
        return tuple(PreparedKittiFrame(folder, scene.name, split.class_names) for scene in scenes)

    return replace(split, train=frames(split.train), validation=frames(split.validation), test=frames(split.test))
