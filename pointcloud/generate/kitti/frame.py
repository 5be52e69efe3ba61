"""One frame from its number: a turn of the scanner, and the labels of what the camera sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.generate.kitti.labels import Shown, label
from pointcloud.generate.kitti.rig import IMAGE_SIZE, SCANNER, calibration, ego_from_lidar
from pointcloud.generate.streets.plan import Street, plan_street
from pointcloud.generate.streets.shapes import Shape
from pointcloud.generate.streets.sweep import Echoes, Scene, covered, returns, set_up, shoot
from pointcloud.metrics.kitti.rules import CLASSES
from vol3d.geometry import transform_boxes

_ALONG_M = 30.0  # where along a beam it is asked whether it is in the image
_WHEELS_M = 1.35  # half of the wheelbase
_LEAN = 0.005  # radians


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
        scene: the same, as beams meet it.
        global_from_lidar: (4, 4) from where.
    """

    points: np.ndarray
    objects: KittiObjects
    street: Street
    scene: Scene
    global_from_lidar: np.ndarray


def make_frame(frame: FrameNumber) -> MadeFrame:
    """The frame, tried again where nothing of the benchmark's three classes can be labelled."""
    rng = np.random.default_rng([frame.seed, frame.number, int(frame.testing)])
    while True:
        made = _try_frame(rng)
        if np.isin(made.objects.types, CLASSES).any():
            return made


def _try_frame(rng: np.random.Generator) -> MadeFrame:
    street = plan_street(rng)
    scene, pose = set_up(street), _pose(street, rng)
    echoes = shoot(SCANNER, scene, pose, float(rng.uniform(0, SCANNER.step)), int(rng.integers(2**31)))
    points = returns(SCANNER, scene, echoes, rng)
    points = points[np.argsort(points[:, 4], kind="stable"), :4]
    points[:, 3] = np.round(points[:, 3], 2)
    shown = _shown(street, scene, echoes, pose)
    return MadeFrame(points, label(shown, points[:, :3], calibration(), IMAGE_SIZE), street, scene, pose)


def _pose(street: Street, rng: np.random.Generator) -> np.ndarray:
    """Of the scanner: its car stands on the ground as it is under its wheels, and leans a little on its springs."""
    xy, heading = street.road.place(0.0, street.own_left)
    ahead, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    front, back, port, starboard = street.ground.height(
        xy + np.array([_WHEELS_M * ahead, -_WHEELS_M * ahead, 0.7 * left, -0.7 * left])
    )
    rise, roll = np.arctan2([front - back, port - starboard], [2 * _WHEELS_M, 1.4]) + rng.normal(0, _LEAN, 2)
    turn = np.array([np.cos(rise) * np.cos(heading), np.cos(rise) * np.sin(heading), np.sin(rise)])
    up = np.array([-np.sin(rise) * np.cos(heading), -np.sin(rise) * np.sin(heading), np.cos(rise)])
    side = np.cross(up, turn)
    pose = np.eye(4)
    cos, sin = np.cos(roll), np.sin(roll)
    pose[:3, :3] = np.column_stack([turn, side * cos + up * sin, up * cos - side * sin])
    pose[:3, 3] = [*xy, (front + back) / 2]
    return pose @ ego_from_lidar()


def _shown(street: Street, scene: Scene, echoes: Echoes, pose: np.ndarray) -> Shown:
    """What of each annotated thing can be seen towards the image."""
    named = np.array([number for number, thing in enumerate(street.things) if thing.category], np.int64)
    sizes = np.array([street.things[number].size for number in named]).reshape(-1, 3)
    world = np.column_stack([scene.xyz[named] + [0, 0, 0.5] * sizes, sizes, scene.yaw[named]])
    boxes = transform_boxes(torch.from_numpy(world), torch.from_numpy(np.linalg.inv(pose))).numpy()
    towards = calibration().in_image(echoes.beams.reshape(-1, 3) * _ALONG_M, IMAGE_SIZE).reshape(echoes.hit.shape)
    near = (np.hypot(boxes[:, 0], boxes[:, 1]) < SCANNER.farthest_m) & (boxes[:, 0] + boxes[:, 3] > 0)
    named, boxes = named[near], boxes[near]
    whose = np.append(scene.owner, -1)[echoes.hit]
    alone, visible = np.zeros(len(named), np.int64), np.zeros(len(named), np.int64)
    for row, number in enumerate(named):
        own = scene.owner == number
        mask = covered(echoes, Shape(scene.shape.solids[own], scene.shape.faces)) & towards
        alone[row], visible[row] = mask.sum(), (mask & (whose == number)).sum()
    types = np.array([street.things[number].category for number in named], np.str_)
    return Shown(boxes, types, alone, visible)
