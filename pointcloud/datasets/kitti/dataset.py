"""KITTI's object benchmark (Geiger et al., CVPR 2012): single LiDAR frames with boxes where the camera looks.

ROOT/training/velodyne/000000.bin   float32 x y z intensity
ROOT/training/label_2/000000.txt    objects (`kitti_objects`)
ROOT/training/calib/000000.txt      cameras
ROOT/training/image_2/000000.png    wanted for its size only
ROOT/testing/...                    the same without labels
ROOT/ImageSets/train.txt, val.txt   names of the frames of each part, one a line; test.txt likewise
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from pointcloud.conventions.kitti_objects import KittiObjects, parse_kitti_objects, read_kitti_objects
from pointcloud.datasets.kitti.calibration import KittiCalibration, camera_view, none_in_view, read_calibration
from pointcloud.datasets.kitti.labels import (
    IGNORED,
    USUAL_OTHERS,
    detected,
    image_faults,
    lidar_boxes,
    others,
    respelled,
    spelled,
)
from pointcloud.datasets.kitti.lists import frame_lists
from pointcloud.datasets.kitti.prepared import CALIBRATION, IMAGE_SIZE, LABELS, PreparedKittiFrame
from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.raw_sweep import read_rows
from pointcloud.datasets.scenes import ABSENT_LABELS, Scene, SceneSplit, annotated, fingerprint_of, repeated
from pointcloud.datasets.settings import SceneSettings, SubmissionForm
from pointcloud.structures.class_names import KITTI_CLASSES
from pointcloud.structures.generated import is_generated
from pointcloud.structures.sensor import Sensor
from vol3d.dataset_tools.fault import Fault, absent_file
from vol3d.errors import DataError
from vol3d.files import read_text
from vol3d.layouts import layout_hint
from vol3d.notes import Note
from vol3d.scans.points.cloud import PointCloud

NAME = "KITTI"
TESTING = "testing_"
"""Stands before the numbers of the test set in the names of its frames."""


@dataclass(frozen=True)
class KittiFrame:
    """One frame; its name is its number, with `testing_` before it in the test set, which counts from 0 again.

    Args:
        folder: `training` or `testing`.
        number: six digits.
        class_names: of the boxes; objects of other types are left out.
        image_only: keep only the points that the camera sees: nothing else is annotated.
        size: width and height of the images in pixels; None: as the image or the calibration shows.
    """

    folder: Path
    number: str
    class_names: tuple[str, ...] = KITTI_CLASSES
    image_only: bool = True
    size: tuple[int, int] | None = None
    usual_others = USUAL_OTHERS

    @property
    def name(self) -> str:
        """Unique in the data set."""
        return f"{TESTING}{self.number}" if self.folder.name == "testing" else self.number

    def read(self) -> Scene:
        """Points and boxes in the LiDAR frame."""
        points, calibration = read_velodyne(self._file("velodyne", ".bin")), self.calibration()
        notes: tuple[Note, ...] = ()
        if self.image_only:
            size, notes = self._view(calibration)
            seen = calibration.in_image(points[:, :3], size)
            notes += none_in_view(len(points), size) if len(points) and not seen.any() else ()
            points = points[seen]
        cloud = PointCloud(np.ascontiguousarray(points[:, :3]), {"intensity": points[:, 3]}, notes=notes,
                           source=self._file("velodyne", ".bin"))  # fmt: skip
        found = self._detected()
        boxes = lidar_boxes(found, calibration)
        return Scene(self.name, cloud, annotated(boxes, self._labels(found), self.class_names, "lidar"))

    def labels(self) -> np.ndarray:
        """Of the objects that are detected; reads no points."""
        return self._labels(self._detected())

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them, with types as they are known; none for a test frame."""
        return spelled(self._written(), self.class_names, self._file("label_2", ".txt"))

    def objects(self) -> KittiObjects:
        """All rows of the label file but DontCare; none for a frame of the test set."""
        found = self.annotations()
        return found.select(found.types != IGNORED)

    def ignored(self) -> np.ndarray:
        """Regions (n, 4) left, top, right, bottom of the image in pixels that were not annotated: DontCare."""
        found = self.annotations()
        return found.bbox[found.types == IGNORED]

    def calibration(self) -> KittiCalibration:
        """Of this frame."""
        return read_calibration(self._file("calib", ".txt"))

    def image_size(self) -> tuple[int, int]:
        """Width and height of the left colour image; where it is not there, what the calibration shows of them.

        Raises:
            DataError: neither shows it, or a file is damaged.
        """
        return self._view(self.calibration())[0]

    def other_names(self) -> list[str]:
        """Types of the objects that are of no class."""
        return others(self.annotations(), self.class_names)

    def respelled_names(self) -> list[str]:
        """`CAR for Car` for each object whose type is written otherwise than it is known."""
        return respelled(self._written(), self.class_names, self._file("label_2", ".txt"))

    def label_faults(self) -> Iterator[Fault]:
        """Boxes in the image that are missing or elsewhere; errors as `read`."""
        calibration = self.calibration()
        return image_faults(self.name, self._detected(), calibration, self._view(calibration)[0])

    def extras(self) -> dict[str, Any]:
        """What the benchmark needs besides points and boxes; see `PreparedKittiFrame`."""
        labels = read_text(self._file("label_2", ".txt")) if self.labelled else ""
        calibration = read_text(self._file("calib", ".txt"))
        return {LABELS: labels, CALIBRATION: calibration, IMAGE_SIZE: list(self.image_size())}

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the frame's files and settings."""
        facts = [list(self.class_names), self.image_only, list(self.image_size()), [LABELS, CALIBRATION]]
        return fingerprint_of(self.files(), facts, quick)

    def key_points(self) -> np.ndarray:
        """Those that are there with and without `image_only`."""
        return self.calibration().in_every_image(read_velodyne(self._file("velodyne", ".bin"))[:, :3])

    def files(self) -> list[Path]:
        """What the scene is read from."""
        label = self._file("label_2", ".txt")
        labels = [label] if self.labelled else []
        return [self._file("velodyne", ".bin"), self._file("calib", ".txt"), *labels]

    @property
    def labelled(self) -> bool:
        """Whether the folder has labels at all."""
        return (self.folder / "label_2").is_dir()

    def _written(self) -> KittiObjects:
        """The rows as they stand in the file."""
        if self.labelled:
            return read_kitti_objects(self._file("label_2", ".txt"))
        return parse_kitti_objects("", self._file("label_2", ".txt"))

    def _detected(self) -> KittiObjects:
        return detected(self.annotations(), self.class_names, self._file("label_2", ".txt"))

    def _view(self, calibration: KittiCalibration) -> tuple[tuple[int, int], tuple[Note, ...]]:
        if self.size is not None:
            return self.size, ()
        return camera_view(self.folder / "image_2" / self.number, calibration, self._file("calib", ".txt"))

    def _labels(self, found: KittiObjects) -> np.ndarray:
        return np.array([self.class_names.index(name) for name in found.types], np.int64)

    def _file(self, kind: str, ending: str) -> Path:
        return self.folder / kind / f"{self.number}{ending}"


class KittiSettings(SceneSettings):
    """KITTI, or other data laid out like it."""

    sensor = Sensor(max_intensity=1.0, ground_m=-1.73)
    submission = SubmissionForm()
    taken_over = frozenset({"class_names"})

    name: Literal["kitti"] = "kitti"
    root: Path = Field(description="the folder that holds training, testing and ImageSets; or prepared")
    class_names: tuple[str, ...] = Field(
        KITTI_CLASSES, min_length=1, description="types of objects to detect, in order"
    )
    image_only: bool = Field(True, description="keep only the points in the camera's view, where objects are annotated")
    image_size: tuple[int, int] | None = Field(
        None, description="width and height in pixels; null: of the image, else as the calibration shows"
    )
    validation: float | None = Field(None, gt=0, lt=1, description="share of the frames; null: the lists in ImageSets")

    @field_validator("image_size")
    @classmethod
    def _positive(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError("width and height are at least 1 pixel")
        return size

    def split(self) -> SceneSplit:
        """The frames of each part. Reads no points.

        Raises:
            DataError: no such folder, or it is not laid out like KITTI.
        """
        if not self.root.is_dir():
            raise DataError("no such folder", where=self.root, do="Set the data set's root to where it lies.")
        if is_prepared(self.root):
            return prepared_split(self.root, self.class_names, PreparedKittiFrame)
        training, testing = self.root / "training", self.root / "testing"
        if not (training / "velodyne").is_dir() and not (testing / "velodyne").is_dir():
            wanted, do = "training/velodyne or testing/velodyne", layout_hint(self.root, self.name)
            raise DataError("not a KITTI folder", where=self.root, wanted=wanted, do=do)

        parts = frame_lists(self.root, NAME, self.validation)
        train, validation = (self._frames(training, names) for names in (parts.train, parts.validation))
        test = self._frames(training if parts.test_in_training else testing, parts.test)
        faults = [*parts.faults, *repeated({"train": train, "validation": validation, "test": test})]
        labels = training / "label_2"
        if (training / "velodyne").is_dir() and not labels.is_dir():
            do = "Unpack the archive of labels: there is nothing to train on and nothing to score."
            faults.append(Fault(NAME, "error", f"{labels} does not exist", do, code=ABSENT_LABELS))
        faults += _absent_files((*train, *validation, *test))
        return SceneSplit(
            NAME,
            self.class_names,
            train,
            validation,
            test,
            tuple(faults),
            synthetic=is_generated(self.root),
            max_intensity=self.sensor.max_intensity,
        )

    def _frames(self, folder: Path, numbers: Iterable[str]) -> tuple[KittiFrame, ...]:
        return tuple(
            KittiFrame(folder, number, self.class_names, self.image_only, self.image_size) for number in numbers
        )


def _absent_files(frames: Iterable[KittiFrame]) -> Iterator[Fault]:
    for frame in frames:
        absent = next((path for path in frame.files() if not path.is_file()), None)
        if absent is not None:
            yield absent_file(frame.name, absent, "Unpack its archive, or take the frame out of the list.")


def read_velodyne(path: Path) -> np.ndarray:
    """Points (N, 4) float32 x y z intensity; those not finite or beyond measure are left out.

    Raises:
        DataError: missing, or its size fits no four columns.
    """
    return read_rows(path, "x y z intensity", "the file is cut", "cannot read the points")
