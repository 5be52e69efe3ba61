"""KITTI's object benchmark (Geiger et al., CVPR 2012): single LiDAR frames with boxes where the camera looks.

ROOT/training/velodyne/000000.bin   float32 x y z intensity
ROOT/training/label_2/000000.txt    objects (`kitti_objects`)
ROOT/training/calib/000000.txt      cameras
ROOT/training/image_2/000000.png    wanted for its size only
ROOT/testing/...                    the same without labels
ROOT/ImageSets/train.txt, val.txt   names of the frames of each part, one a line
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from pointcloud.conventions import KittiBoxes, boxes_from_kitti
from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects, read_text
from pointcloud.datasets.kitti.calibration import KittiCalibration, image_size, read_calibration
from pointcloud.datasets.kitti.prepared import CALIBRATION, IMAGE_SIZE, LABELS, PreparedKittiFrame
from pointcloud.datasets.prepared import is_prepared, prepared_split
from pointcloud.datasets.raw_sweep import read_rows
from pointcloud.datasets.scenes import Scene, SceneReader, SceneSplit, annotated, chance_of, fingerprint_of
from pointcloud.datasets.settings import SceneSettings, SubmissionForm
from pointcloud.structures.class_names import KITTI_CLASSES
from pointcloud.structures.generated import is_generated
from pointcloud.structures.sensor import Sensor
from vol3d.dataset_tools.fault import Fault, absent_file
from vol3d.errors import DataError
from vol3d.scans.points.cloud import PointCloud

NAME = "KITTI"
IGNORED = "DontCare"


@dataclass(frozen=True)
class KittiFrame:
    """One frame; its name is its number, with `testing_` before it in the test set, which counts from 0 again.

    Args:
        folder: `training` or `testing`.
        number: six digits.
        class_names: of the boxes; objects of other types are left out.
        image_only: keep only the points that the camera sees: nothing else is annotated.
    """

    folder: Path
    number: str
    class_names: tuple[str, ...] = KITTI_CLASSES
    image_only: bool = True

    @property
    def name(self) -> str:
        """Unique in the data set."""
        return f"testing_{self.number}" if self.folder.name == "testing" else self.number

    def read(self) -> Scene:
        """Points and boxes in the LiDAR frame."""
        points, calibration = read_velodyne(self._file("velodyne", ".bin")), self.calibration()
        if self.image_only:
            points = points[calibration.in_image(points[:, :3], self.image_size())]
        cloud = PointCloud(np.ascontiguousarray(points[:, :3]), {"intensity": points[:, 3]},
                           source=self._file("velodyne", ".bin"))  # fmt: skip
        found = self._detected()
        boxes = lidar_boxes(found, calibration)
        return Scene(self.name, cloud, annotated(boxes, self._labels(found), self.class_names, "lidar"))

    def labels(self) -> np.ndarray:
        """Of the objects that are detected; reads no points."""
        return self._labels(self._detected())

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them; none for a frame of the test set."""
        if not self.labelled:
            empty = np.zeros(0)
            return KittiObjects(np.zeros(0, np.str_), empty, empty.astype(np.int64), empty, np.zeros((0, 4)),
                                np.zeros((0, 3)), np.zeros((0, 3)), empty, empty)  # fmt: skip
        return read_kitti_objects(self._file("label_2", ".txt"))

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
        """Width and height of the left colour image; that of most images where it is not there."""
        return image_size(self._file("image_2", ".png"))

    def extras(self) -> dict[str, Any]:
        """What the benchmark needs besides points and boxes; see `PreparedKittiFrame`."""
        labels = read_text(self._file("label_2", ".txt")) if self.labelled else ""
        calibration = read_text(self._file("calib", ".txt"))
        return {LABELS: labels, CALIBRATION: calibration, IMAGE_SIZE: list(self.image_size())}

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the frame's files and settings."""
        facts = [list(self.class_names), self.image_only, list(self.image_size()), [LABELS, CALIBRATION]]
        return fingerprint_of(self.files(), facts, quick)

    def files(self) -> list[Path]:
        """What the scene is read from."""
        label = self._file("label_2", ".txt")
        labels = [label] if self.labelled else []
        return [self._file("velodyne", ".bin"), self._file("calib", ".txt"), *labels]

    @property
    def labelled(self) -> bool:
        """Whether the folder has labels at all."""
        return (self.folder / "label_2").is_dir()

    def _detected(self) -> KittiObjects:
        found = self.objects()
        return found.select(np.isin(found.types, self.class_names))

    def _labels(self, found: KittiObjects) -> np.ndarray:
        return np.array([self.class_names.index(name) for name in found.types], np.int64)

    def _file(self, kind: str, ending: str) -> Path:
        return self.folder / kind / f"{self.number}{ending}"


class KittiSettings(SceneSettings):
    """KITTI, or other data laid out like it."""

    sensor = Sensor(max_intensity=1.0, ground_m=-1.73)
    submission = SubmissionForm()

    name: Literal["kitti"] = "kitti"
    root: Path = Field(description="the folder that holds training, testing and ImageSets; or prepared")
    class_names: tuple[str, ...] = Field(
        KITTI_CLASSES, min_length=1, description="types of objects to detect, in order"
    )
    image_only: bool = Field(True, description="keep only the points in the camera's view, where objects are annotated")
    validation: float | None = Field(None, gt=0, lt=1, description="share of the frames; null: the lists in ImageSets")

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
        if not (training / "velodyne").is_dir():
            raise DataError("not a KITTI folder", where=self.root, wanted="training/velodyne")

        faults: list[Fault] = []
        train, validation = self._parts(training, faults)
        labels = training / "label_2"
        if not labels.is_dir():
            do = "Unpack the archive of labels: there is nothing to train on and nothing to score."
            faults.append(absent_file(NAME, labels, do))

        return SceneSplit(
            NAME,
            self.class_names,
            self._frames(training, train, faults),
            self._frames(training, validation, faults),
            self._frames(testing, _names(testing), faults),
            tuple(faults),
            synthetic=is_generated(self.root),
        )

    def _parts(self, training: Path, faults: list[Fault]) -> tuple[list[str], list[str]]:
        """The names of the frames that train and that validate: as the lists have it, else by each name's chance."""
        lists = self.root / "ImageSets"
        share = self.validation
        if share is None and (lists / "train.txt").is_file():
            return _listed(lists / "train.txt"), _listed(lists / "val.txt")

        if share is None:
            share = 0.5
            what = "no ImageSets/train.txt: a half of the frames validates"
            do = "Put the published lists there, or set data.validation to a share."
            faults.append(Fault(NAME, "warning", what, do, code="split-assumed"))
        names = _names(training)
        train = [name for name in names if chance_of(name) >= share]
        validation = [name for name in names if chance_of(name) < share]
        return train, validation

    def _frames(self, folder: Path, names: Iterable[str], faults: list[Fault]) -> tuple[SceneReader, ...]:
        frames = tuple(KittiFrame(folder, name, self.class_names, self.image_only) for name in names)
        for frame in frames:
            absent = next((path for path in frame.files() if not path.is_file()), None)
            if absent is not None:
                do = "Unpack its archive, or take the frame out of the list."
                faults.append(absent_file(frame.name, absent, do))
        return frames


def lidar_boxes(objects: KittiObjects, calibration: KittiCalibration) -> np.ndarray:
    """Boxes (n, 7) float32 of objects in the LiDAR frame."""
    columns = (objects.location, objects.dimensions_hwl, objects.rotation_y)
    labels = KittiBoxes(*(torch.from_numpy(np.asarray(column, np.float64)) for column in columns))
    return boxes_from_kitti(labels, torch.from_numpy(calibration.lidar_from_camera)).float().numpy()


def read_velodyne(path: Path) -> np.ndarray:
    """Points (N, 4) float32 x y z intensity; those not finite or beyond measure are left out.

    Raises:
        DataError: missing, or its size fits no four columns.
    """
    return read_rows(path, "x y z intensity", "the file is cut", "cannot read the points")


def _listed(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the list of frames", where=path, got=error) from error


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "velodyne").glob("*.bin"))
