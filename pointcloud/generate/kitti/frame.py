"""One frame from its number: a turn of the scanner, and the labels of what the camera sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.generate.drives.scanner import Echoes, covered, returns, shoot
from pointcloud.generate.drives.street import Actor, Fixture, Street, plan_street
from pointcloud.generate.drives.sweep import ego_pose, place_all, solids_of
from pointcloud.generate.kitti.labels import Shown, label
from pointcloud.generate.kitti.objects import TYPES, with_kitti_types
from pointcloud.generate.kitti.rig import IMAGE_SIZE, SCANNER, calibration, ego_from_lidar
from pointcloud.metrics.kitti.rules import CLASSES
from vol3d.geometry import transform_boxes

_LATEST_S = 8.0
_ALONG_M = 30.0  # where along a beam it is asked whether it is in the image


@dataclass(frozen=True)
class FrameNumber:
    """One frame to be made.

    Args:
        seed: of the data set.
        number: of the frame in its part.
        testing: whether it is of the test set, which counts from 0 again.
    """

    seed: int
    number: int
    testing: bool = False

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.number:06d}"


class MadeFrame(NamedTuple):
    """A frame.

    Args:
        points: (N, 4) float32 x y z intensity, the upper beams first.
        objects: rows of the label file.
        street: what it shows.
        solids: (n, 9) all there is, for `cast`.
        global_from_lidar: (4, 4) from where.
    """

    points: np.ndarray
    objects: KittiObjects
    street: Street
    solids: np.ndarray
    global_from_lidar: np.ndarray


def make_frame(frame: FrameNumber) -> MadeFrame:
    """The frame, tried again where nothing of the benchmark's three classes can be labelled."""
    rng = np.random.default_rng([frame.seed, frame.number, int(frame.testing)])
    while True:
        made = _try_frame(rng)
        if np.isin(made.objects.types, CLASSES).any():
            return made


def _try_frame(rng: np.random.Generator) -> MadeFrame:
    street = with_kitti_types(plan_street(rng), rng)
    seconds, phase = float(rng.uniform(0, _LATEST_S)), float(rng.uniform(0, 2 * np.pi / SCANNER.turn_steps))
    motion = ego_pose(street, seconds).global_from_ego @ ego_from_lidar()
    objects: tuple[Actor | Fixture, ...] = (*street.actors, *street.fixtures)
    solids = solids_of(objects, place_all(street, objects, seconds))
    echoes = shoot(SCANNER, phase, street.road.waves, solids, motion)
    points = returns(SCANNER, echoes, rng)
    points = points[np.argsort(points[:, 4], kind="stable"), :4]
    points[:, 3] = np.round(points[:, 3] / 255, 2)
    shown = _shown(street, seconds, solids, echoes, motion)
    return MadeFrame(points, label(shown, points[:, :3], calibration(), IMAGE_SIZE), street, solids, motion)


def _shown(street: Street, seconds: float, solids: np.ndarray, echoes: Echoes, motion: np.ndarray) -> Shown:
    """What of each object with a type of KITTI can be seen towards the image."""
    placed = place_all(street, street.actors, seconds)
    sizes = np.array([one.size for one in street.actors])
    world = np.column_stack([placed.xyz + [0, 0, 0.5] * sizes, sizes, placed.yaw])
    boxes = transform_boxes(torch.from_numpy(world), torch.from_numpy(np.linalg.inv(motion))).numpy()
    towards = calibration().in_image(echoes.beams.reshape(-1, 3) * _ALONG_M, IMAGE_SIZE).reshape(echoes.hit.shape)
    near = (np.hypot(boxes[:, 0], boxes[:, 1]) < SCANNER.farthest_m) & (boxes[:, 0] + boxes[:, 3] > 0)
    known = [number for number, one in enumerate(street.actors) if one.category in TYPES and near[number]]
    ends = np.cumsum([0, *(len(one.parts) for one in street.actors)])  # the solids of actors come first, in order
    alone, visible = np.zeros(len(known), np.int64), np.zeros(len(known), np.int64)
    for row, number in enumerate(known):
        first, last = ends[number : number + 2]
        mask = covered(echoes, solids[first:last]) & towards
        alone[row], visible[row] = mask.sum(), (mask & (echoes.hit >= first) & (echoes.hit < last)).sum()
    types = np.array([street.actors[number].category for number in known], np.str_)
    return Shown(boxes[known], types, alone, visible)
