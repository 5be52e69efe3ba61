"""Frames of KITTI as its benchmark compares them, whether they are read from its own files or prepared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from pointcloud.conventions.kitti_objects import KittiObjects, read_kitti_objects
from pointcloud.datasets.kitti.calibration import KittiCalibration
from pointcloud.datasets.kitti.dataset import TESTING
from pointcloud.datasets.kitti.labels import spelled
from pointcloud.datasets.scenes import SceneReader
from pointcloud.evaluation.benchmark import Detect, one_by_one
from pointcloud.evaluation.kitti import KittiScored, check_finite, evaluate_kitti, write_submission
from pointcloud.metrics.kitti.boxes import objects_in_image, projected
from pointcloud.metrics.kitti.rules import CLASSES
from vol3d.class_names import chosen_names
from vol3d.engine.task import Evaluation
from vol3d.scans.points.cloud import PointCloud
from vol3d.scans.results.detections import Detections
from vol3d.terminal import Progress

if TYPE_CHECKING:
    from vol3d.view.theme import Background


@runtime_checkable
class KittiReader(SceneReader, Protocol):
    """A reader of a frame with what the benchmark needs: `KittiFrame` and `PreparedKittiFrame`."""

    def annotations(self) -> KittiObjects:
        """All rows of the label file, DontCare among them."""
        ...

    def calibration(self) -> KittiCalibration:
        """Of this frame."""
        ...

    def image_size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        ...


def benchmark(
    scenes: Sequence[KittiReader],
    detect: Detect,
    class_names: Sequence[str],
    progress: Progress,
    conditions: Mapping[str, str] | None = None,
    pictures: Background | None = None,
    submission: Path | None = None,
) -> Evaluation:
    """KITTI's AP; a submission is a folder of text files. See `pointcloud.evaluation.benchmark.Benchmark`."""

    def scored() -> Iterator[KittiScored]:
        for frame in one_by_one(scenes, progress):
            cloud = frame.read().cloud
            yield kitti_scored(frame, cloud, detect(cloud))

    return evaluate_kitti(scored(), conditions, pictures, submission)


def submit(
    scenes: Sequence[KittiReader], detect: Detect, class_names: Sequence[str], progress: Progress, path: Path
) -> int:
    """A text file for each frame of the test set, by its number. See `pointcloud.evaluation.benchmark.Submit`."""
    results: dict[str, KittiObjects] = {}
    for frame in one_by_one(scenes, progress):
        calibration, found = frame.calibration(), detect(frame.read().cloud)
        check_finite(frame.name, found)
        seen, _ = objects_in_image(found, calibration.lidar_from_camera, calibration.p2, frame.image_size())
        results[frame.name.removeprefix(TESTING)] = seen
    write_submission(path, results)
    return sum(len(read_kitti_objects(path / f"{name}.txt", scored=True)) for name in results)


def kitti_scored(reader: KittiReader, cloud: PointCloud, found: Detections) -> KittiScored:
    """A frame with what a detector found in it, ready for `evaluate_kitti`.

    Objects of a class that the detector does not have are left out, so that it is not scored for them; what looks
    alike, a van beside a car, stays.

    Args:
        cloud, found: in the frame of the LiDAR.

    Raises:
        DataError: a file is missing or damaged.
    """
    calibration, truth = reader.calibration(), spelled(reader.annotations(), CLASSES, reader.name)
    unknown = np.isin(truth.types, list(set(CLASSES) - set(chosen_names(found.class_names, CLASSES, reader.name))))
    motion, p2, size = calibration.lidar_from_camera, calibration.p2, reader.image_size()
    labels, without = projected(truth.select(~unknown), motion, p2, size)
    return KittiScored(reader.name, cloud, found, labels, motion, p2, size, without)
