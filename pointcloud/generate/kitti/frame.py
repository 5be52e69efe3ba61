"""One frame from its number: a turn of the scanner, and the labels of what the camera sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions.kitti_objects import KittiObjects
from pointcloud.generate.kitti.labels import FARTHEST_M, Shown, label
from pointcloud.generate.kitti.rig import IMAGE_SIZE, calibration, ego_from_lidar
from pointcloud.generate.streets.plan import Street, plan_street
from pointcloud.generate.streets.populations import KITTI
from pointcloud.generate.streets.scanners import Scanner, find_scanner
from pointcloud.generate.streets.sweep import Echoes, Scene, covered, returns, set_up, shoot, stand
from pointcloud.generate.streets.turn import KITTI as TURN
from pointcloud.generate.streets.turn import driving
from pointcloud.metrics.kitti.rules import CLASSES
from vol3d.geometry import transform_boxes

_ALONG_M = 30.0  # where along a beam it is asked whether it is in the image
_LIFT_M = 0.01  # by which the annotated boxes begin above the ground
_LEAN, _SWAY = (-0.005, 0.0), 0.005  # pitch and roll, radians: the scanner looks down a little, as on real roads


@dataclass(frozen=True)
class FrameNumber:
    """One frame to be made.

    Args:
        seed: of the data set.
        number: of the frame in its part.
        testing: whether it is of the test set, which counts from 0 again.
        scanner: one of `SCANNERS`.
    """

    seed: int
    number: int
    testing: bool = False
    scanner: str = "hdl-64e"

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
        made = _try_frame(find_scanner(frame.scanner, frame.number), rng)
        if np.isin(made.objects.types, CLASSES).any():
            return made


def _try_frame(scanner: Scanner, rng: np.random.Generator) -> MadeFrame:
    street = plan_street(rng, KITTI)
    scene, (pitch, roll) = set_up(street), rng.normal(_LEAN, _SWAY)
    lean, phase = (float(pitch), float(roll)), float(rng.uniform(0, scanner.step))
    turn = driving(scanner, TURN, lambda seconds: stand(street, seconds, lean) @ ego_from_lidar(), phase)
    echoes, pose = shoot(scanner, scene, turn, int(rng.integers(2**31))), turn.global_from_lidar
    points = returns(scanner, scene, echoes, rng)
    points = points[np.argsort(points[:, 4], kind="stable"), :4]
    points[:, 3] = np.round(points[:, 3], 2)
    shown = _shown(street, scene, echoes)
    return MadeFrame(points, label(shown, points[:, :3], calibration(), IMAGE_SIZE), street, scene, pose)


def _shown(street: Street, scene: Scene, echoes: Echoes) -> Shown:
    """What of each annotated thing can be seen towards the image, and its box where the scanner saw it."""
    named = np.array([number for number, thing in enumerate(street.things) if thing.category], np.int64)
    sizes = np.array([street.things[number].size for number in named]).reshape(-1, 3)
    times = echoes.turn.when(scene.xyz[named])
    place = scene.xyz[named] + times[:, None] * scene.velocity[named]
    world = np.column_stack([place + [0, 0, 0.5] * sizes + [0, 0, _LIFT_M], sizes, scene.yaw[named]])
    frames = (torch.from_numpy(np.linalg.inv(echoes.turn.frame(float(one)))) for one in times)
    seen = [
        transform_boxes(torch.from_numpy(box[None]), frame).numpy() for box, frame in zip(world, frames, strict=True)
    ]
    boxes = np.concatenate([np.zeros((0, 7)), *seen])
    towards = calibration().in_image(echoes.beams.reshape(-1, 3) * _ALONG_M, IMAGE_SIZE).reshape(echoes.hit.shape)
    near = (np.hypot(boxes[:, 0], boxes[:, 1]) < FARTHEST_M + 10) & (boxes[:, 0] + boxes[:, 3] > 0)
    named, boxes = named[near], boxes[near]
    whose = np.append(scene.owner, -1)[echoes.hit]
    alone, visible = np.zeros(len(named), np.int64), np.zeros(len(named), np.int64)
    for row, number in enumerate(named):
        mask = covered(echoes, scene, np.flatnonzero(scene.owner == number)) & towards
        alone[row], visible[row] = mask.sum(), (mask & (whose == number)).sum()
    types = np.array([street.things[number].category for number in named], np.str_)
    return Shown(boxes, types, alone, visible)
