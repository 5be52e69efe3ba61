"""One sweep of Argoverse 2, alone or with those before it, and its boxes in the frame of the vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pointcloud.datasets.argoverse2.tables import (
    ANNOTATIONS,
    POSES,
    SWEEPS,
    Annotations,
    read_annotations,
    read_points,
    read_poses,
)
from pointcloud.datasets.poses import invert
from pointcloud.datasets.prepared import AGAIN, PreparedScene
from pointcloud.datasets.scenes import Scene, SceneReader, annotated, fingerprint_of
from pointcloud.structures.sweeps import Sweep, accumulate
from vol3d.errors import DataError
from vol3d.files import is_there
from vol3d.scans.points.cloud import PointCloud

RING = 4  # column of a sweep
LOG, MOMENT, BOXES, HOW = "log_id", "timestamp_ns", "annotations", "settings"
DECIDING = ("sweeps", "every_beam", "min_points")
"""Settings that decide what a prepared scene holds."""


class Argoverse2Reader(SceneReader, Protocol):
    """A reader with what the benchmark needs: `Argoverse2Sweep` and `PreparedArgoverse2Sweep`."""

    @property
    def log_id(self) -> str:
        """The drive that the sweep belongs to."""
        ...

    @property
    def timestamp_ns(self) -> int:
        """When the sweep was taken."""
        ...

    def annotations(self) -> Annotations:
        """All annotated boxes, those without a point among them."""
        ...


@dataclass(frozen=True)
class Argoverse2Sweep:
    """A sweep of a log; its name is that of the log and its moment.

    Args:
        log: the folder.
        timestamp_ns: of the sweep.
        earlier_ns: of the sweeps that are taken together with it, the newest first.
        class_names: of the boxes; objects of other categories are left out.
        sweeps: as many are wanted together; at the start of a log there are fewer.
        min_points: boxes with fewer LiDAR points by the annotators' count are not in the scene.
        every_beam: points are kept whose `laser_number` is a multiple of this.
    """

    log: Path
    timestamp_ns: int
    earlier_ns: tuple[int, ...]
    class_names: tuple[str, ...]
    sweeps: int = 1
    min_points: int = 1
    every_beam: int = 1

    @property
    def log_id(self) -> str:
        """The drive that the sweep belongs to."""
        return self.log.name

    @property
    def name(self) -> str:
        """Unique in the data set."""
        return f"{self.log_id}_{self.timestamp_ns}"

    def read(self) -> Scene:
        """All points, the newest first, and the boxes, in the frame of the vehicle at the sweep's moment."""
        keyframe, *earlier = (self._points(time_ns) for time_ns in (self.timestamp_ns, *self.earlier_ns))
        table = accumulate(keyframe, self._moved(earlier), close_m=0.0)
        columns = {name: table[:, 3 + number] for number, name in enumerate(("intensity", "ring", "time"))}
        cloud = PointCloud(np.ascontiguousarray(table[:, :3]), columns, source=self._file(self.timestamp_ns))
        found = self._detected()
        return Scene(self.name, cloud, annotated(found.boxes, self._labels(found), self.class_names, "ego"))

    def labels(self) -> np.ndarray:
        """Of the boxes that are in the scene; reads no points."""
        return self._labels(self._detected())

    def annotations(self) -> Annotations:
        """All annotated boxes, those without a point among them; none where the log has no annotations."""
        if not self.labelled:
            return Annotations(np.zeros((0, 7)), np.zeros(0, np.str_), np.zeros(0, np.int64))
        return read_annotations(self.log / ANNOTATIONS).at(self.timestamp_ns)

    @property
    def labelled(self) -> bool:
        """Whether the log has annotations at all: those of the test set have none."""
        return is_there(self.log / ANNOTATIONS)

    def extras(self) -> dict[str, Any]:
        """What the benchmark needs besides points and boxes; see `PreparedArgoverse2Sweep`."""
        found = self.annotations()
        columns = [found.boxes.tolist(), found.categories.tolist(), found.points.tolist()]
        how = dict(zip(DECIDING, (self.sweeps, self.every_beam, self.min_points), strict=True))
        return {LOG: self.log_id, MOMENT: self.timestamp_ns, BOXES: columns, HOW: how}

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the files and of how they are read."""
        facts = [self.timestamp_ns, self.earlier_ns, self.class_names, self.min_points, self.every_beam]
        return fingerprint_of(self.files(), facts, quick)

    def key_points(self) -> np.ndarray:
        """Those of its own moment, of all beams."""
        return read_points(self._file(self.timestamp_ns))[:, :3]

    def files(self) -> list[Path]:
        """What the scene is read from."""
        sweeps = [self._file(time_ns) for time_ns in (self.timestamp_ns, *self.earlier_ns)]
        poses = [self.log / POSES] if self.earlier_ns else []
        return [*sweeps, *poses, *([self.log / ANNOTATIONS] if self.labelled else [])]

    def _moved(self, earlier: list[np.ndarray]) -> list[Sweep]:
        """Earlier sweeps with the way to the frame of this one."""
        if not earlier:
            return []
        city_from_now, *city_from_then = read_poses(self.log / POSES, (self.timestamp_ns, *self.earlier_ns))
        return [
            Sweep(points, invert(city_from_now) @ pose, 1e-9 * (self.timestamp_ns - time_ns))
            for points, pose, time_ns in zip(earlier, city_from_then, self.earlier_ns, strict=True)
        ]

    def _points(self, timestamp_ns: int) -> np.ndarray:
        points = read_points(self._file(timestamp_ns))
        return points if self.every_beam == 1 else points[points[:, RING] % self.every_beam == 0]

    def _detected(self) -> Annotations:
        found = self.annotations()
        return found.select((self._labels(found) >= 0) & (found.points >= self.min_points))

    def _labels(self, found: Annotations) -> np.ndarray:
        return found.labels(self.class_names)

    def _file(self, timestamp_ns: int) -> Path:
        return self.log / SWEEPS / f"{timestamp_ns}.feather"


class PreparedArgoverse2Sweep(PreparedScene):
    """A sweep of a prepared folder; it gives the same as the `Argoverse2Sweep` that it was made from."""

    @property
    def log_id(self) -> str:
        """The drive that the sweep belongs to."""
        return str(self.extra(LOG, str))

    @property
    def timestamp_ns(self) -> int:
        """When the sweep was taken."""
        return int(self.extra(MOMENT, int))

    def key_points(self) -> np.ndarray:
        """Those of its own moment, of the beams that it was made with."""
        cloud = self.read().cloud
        return cloud.xyz[cloud.columns["time"] == 0]

    def annotations(self) -> Annotations:
        """All annotated boxes.

        Raises:
            DataError: the record is damaged, or of a release that did not keep them.
        """
        try:
            boxes, categories, points = self.extra(BOXES, list)
            table = np.asarray(boxes, np.float64).reshape(-1, 7)
            found = Annotations(table, np.asarray(categories, np.str_), np.asarray(points, np.int64))
            if not len(table) == len(found.categories) == len(found.points):
                raise ValueError(f"{len(table)} boxes, {len(found.points)} counts of points")
        except (TypeError, ValueError) as error:
            raise DataError("a prepared scene is damaged", where=self.where(BOXES), got=error, do=AGAIN) from error
        return found

    @property
    def made_with(self) -> dict[str, int]:
        """The settings `DECIDING` that it was made with."""
        return dict(self.extra(HOW, dict))
