"""One sample of nuScenes: ten sweeps and the boxes in the frame of its LIDAR_TOP keyframe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointcloud.conventions import NuscenesBoxes, boxes_from_nuscenes
from pointcloud.datasets.nuscenes.index import NuScenesIndex
from pointcloud.datasets.poses import invert
from pointcloud.datasets.raw_sweep import read_rows
from pointcloud.datasets.scenes import Scene, annotated, fingerprint_of
from pointcloud.structures.class_names import NUSCENES_CLASSES
from pointcloud.structures.sweeps import Sweep, accumulate
from vol3d.scans.points.cloud import PointCloud

CLASS_OF_CATEGORY = {
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
}
OTHER_CATEGORIES = frozenset(
    {
        "animal",
        "human.pedestrian.personal_mobility",
        "human.pedestrian.stroller",
        "human.pedestrian.wheelchair",
        "movable_object.debris",
        "movable_object.pushable_pullable",
        "static_object.bicycle_rack",
        "vehicle.emergency.ambulance",
        "vehicle.emergency.police",
    }
)
"""nuScenes' categories that no class has: they are not detected."""
RING = 4  # column of a sweep


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotated boxes of a sample in the world, as the official evaluation takes them: all of them.

    Args:
        translation, size_wlh, rotation_wxyz, velocity: (n, 3), (n, 3), (n, 4), (n, 2); NaN where there is no velocity.
        categories, attributes: names, "" where there is no attribute.
        lidar_points, radar_points: (n,) points counted by the annotators.
    """

    translation: np.ndarray
    size_wlh: np.ndarray
    rotation_wxyz: np.ndarray
    velocity: np.ndarray
    categories: list[str]
    attributes: list[str]
    lidar_points: np.ndarray
    radar_points: np.ndarray

    @property
    def class_names(self) -> list[str | None]:
        """The detection class of each box, None for a category that no class has."""
        return [CLASS_OF_CATEGORY.get(category) for category in self.categories]


@dataclass(frozen=True, eq=False)
class NuScenesSample:
    """A sample; its name is the token.

    Args:
        index: of the data set.
        row: of the sample in it.
        data: the folder with `samples` and `sweeps`.
        sweeps: taken together, the keyframe among them; a scene's first samples have fewer.
        close_m: points of earlier sweeps nearer than this along x and y are the car itself.
        min_points: boxes with fewer LiDAR points by the annotators' count are not in the scene.
        every_beam: points are kept whose beam's number is a multiple of this.
    """

    index: NuScenesIndex
    row: int
    data: Path
    sweeps: int = 10
    close_m: float = 1.0
    min_points: int = 1
    every_beam: int = 1

    def __reduce__(self) -> tuple[type[NuScenesSample], tuple[Any, ...]]:
        rest = (self.data, self.sweeps, self.close_m, self.min_points, self.every_beam)
        return NuScenesSample, (self.index.only(self.row, self.sweeps), 0, *rest)

    @property
    def name(self) -> str:
        """The sample's token."""
        return os.fsdecode(self.index.token[self.row])

    @property
    def scene_name(self) -> str:
        """The drive it belongs to."""
        return str(self.index.scene_names[self.index.scene[self.row]])

    @property
    def global_from_lidar(self) -> np.ndarray:
        """(4, 4) from the frame of the scene's points and boxes to the world."""
        return self.index.global_from_lidar[self.index.keyframe[self.row]]

    @property
    def ego_xyz(self) -> np.ndarray:
        """(3,) place of the car in the world, which the official evaluation measures ranges from."""
        return self.index.ego_xyz[self.row]

    def read(self) -> Scene:
        """All points of the sweeps, the newest first, and the boxes; a velocity that is not known is 0."""
        rows, to_lidar = self.index.sweeps_of(self.row, self.sweeps), invert(self.global_from_lidar)
        time_us = self.index.time_us
        keyframe, *earlier = (self._beams(read_sweep(self.data / self.index.path(row))) for row in rows)
        swept = [
            Sweep(points, to_lidar @ self.index.global_from_lidar[row], 1e-6 * float(time_us[rows[0]] - time_us[row]))
            for points, row in zip(earlier, rows[1:], strict=True)
        ]
        table = accumulate(keyframe, swept, self.close_m)
        columns = {name: table[:, 3 + number] for number, name in enumerate(("intensity", "ring", "time"))}
        cloud = PointCloud(np.ascontiguousarray(table[:, :3]), columns, source=self.data / self.index.path(rows[0]))
        found = self.annotations()
        boxes = self._boxes(found)[self._kept(found)]
        return Scene(self.name, cloud, annotated(boxes, self.labels(), NUSCENES_CLASSES, "lidar"))

    def labels(self) -> np.ndarray:
        """Of the boxes that are in the scene; reads no sweep."""
        found = self.annotations()
        names = [name for name, kept in zip(found.class_names, self._kept(found), strict=True) if name and kept]
        return np.array([NUSCENES_CLASSES.index(name) for name in names], np.int64)

    def annotations(self) -> Annotations:
        """All annotated boxes in the world."""
        index, rows = self.index, self.index.boxes_of(self.row)
        attributes = [str(index.attributes[row]) if row >= 0 else "" for row in index.attribute[rows]]
        return Annotations(
            translation=index.centre[rows],
            size_wlh=index.size_wlh[rows],
            rotation_wxyz=index.rotation_wxyz[rows],
            velocity=index.velocity[rows],
            categories=[str(index.categories[row]) for row in index.category[rows]],
            attributes=attributes,
            lidar_points=index.lidar_points[rows],
            radar_points=index.radar_points[rows],
        )

    @property
    def usual_others(self) -> frozenset[str]:
        """nuScenes' own categories."""
        return OTHER_CATEGORIES

    def other_names(self) -> list[str]:
        """Categories of the annotated boxes that no class has."""
        found = self.annotations()
        return [name for name in found.categories if name not in CLASS_OF_CATEGORY]

    def fingerprint(self, quick: bool = False) -> str:
        """Hash of the sweeps, their motion and the boxes."""
        one = self.index.only(self.row, self.sweeps)
        facts = [one.global_from_lidar.tolist(), one.time_us.tolist(), one.centre.tolist(), one.velocity.tolist()]
        rest = [one.category.tolist(), one.size_wlh.tolist(), one.rotation_wxyz.tolist(), one.lidar_points.tolist()]
        return fingerprint_of(self.files(), [*facts, *rest, self.close_m, self.min_points, self.every_beam], quick)

    def key_points(self) -> np.ndarray:
        """Those of the keyframe, of all beams."""
        return read_sweep(self.data / self.index.path(self.index.keyframe[self.row]))[:, :3]

    def files(self) -> list[Path]:
        """The sweeps' files."""
        return [self.data / self.index.path(row) for row in self.index.sweeps_of(self.row, self.sweeps)]

    def _kept(self, found: Annotations) -> np.ndarray:
        """Which annotated boxes are in the scene."""
        known = np.array([name is not None for name in found.class_names], np.bool_)
        return known & (found.lidar_points >= self.min_points)

    def _beams(self, points: np.ndarray) -> np.ndarray:
        return points if self.every_beam == 1 else points[points[:, RING] % self.every_beam == 0]

    def _boxes(self, found: Annotations) -> np.ndarray:
        columns = (found.translation, found.size_wlh, found.rotation_wxyz, np.nan_to_num(found.velocity))
        wide = NuscenesBoxes(*(torch.from_numpy(column.astype(np.float64)) for column in columns))
        return boxes_from_nuscenes(wide, torch.from_numpy(invert(self.global_from_lidar))).float().numpy()


def read_sweep(path: Path) -> np.ndarray:
    """Points (N, 5) float32 x y z intensity ring of a LIDAR_TOP file; those not finite or beyond measure are left out.

    Raises:
        DataError: missing, or its size fits no five columns.
    """
    do = "Unpack its archive, or set data.sweeps to 1 for keyframes only."
    return read_rows(path, "x y z intensity ring", "the sweep is cut", "cannot read a sweep", do)
