"""From where somebody with a depth camera takes a picture of a room: free places, turned towards the furniture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.frames.sensors import SENSORS, Sensor
from pointcloud.generate.rooms.cameras import free_places, rotation_of
from pointcloud.generate.rooms.furniture import Furniture, Rng, chance
from pointcloud.generate.rooms.layout import Room

HEIGHT_M, HEIGHTS_M = (1.35, 0.18), (0.8, 1.9)  # above the floor: mean, deviation; lowest, highest
PITCH_DEG, PITCHES_DEG = (-13.0, 9.0), (-45.0, 8.0)
ROLL_DEG = 2.0
ASIDE_DEG = 16.0  # by which the picture's middle misses what it was taken of


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """One picture to take.

    Args:
        sensor: with what.
        centre: (3,) where, in the room.
        yaw: radians, where it looks, counter-clockwise from +x.
        rotation: (3, 3) whose rows are the camera's right, down and forward in the room.
    """

    sensor: Sensor
    centre: np.ndarray
    yaw: float
    rotation: np.ndarray

    def upright(self, xyz: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the room in the frame of the cloud: x right, y ahead, z up, the camera at the origin."""
        sine, cosine = np.sin(self.yaw), np.cos(self.yaw)
        return (xyz - self.centre) @ np.array([[sine, cosine, 0], [-cosine, sine, 0], [0, 0, 1.0]])

    def upright_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (K, 7) in the same frame."""
        yaw = np.mod(boxes[:, 6:] - self.yaw + 1.5 * np.pi, 2 * np.pi) - np.pi
        return np.concatenate([self.upright(boxes[:, :3]), boxes[:, 3:6], yaw], axis=1)


def choose_viewpoint(rng: Rng, room: Room, of_interest: list[Furniture]) -> Viewpoint:
    """A place, mostly the farther of two, and a look at one of the things `of_interest`, or anywhere."""
    sensor = SENSORS[int(rng.choice(len(SENSORS), p=[one.share for one in SENSORS]))]
    boxes = np.stack([piece.quads.bounds() for piece in room.furniture])
    places = np.array(free_places(rng, room.size, boxes, 2))[:, :2]

    if of_interest and chance(rng, 0.9):
        low, high = of_interest[int(rng.integers(len(of_interest)))].quads.bounds()
        target = (low + high)[:2] / 2
    else:
        target = rng.uniform(0, room.size[:2])

    away = np.linalg.norm(places - target, axis=1)
    place = places[int(np.argmax(away) if chance(rng, 0.75) else rng.integers(len(places)))]
    height = np.clip(rng.normal(*HEIGHT_M), *HEIGHTS_M)
    yaw = float(np.arctan2(*(target - place)[::-1]) + np.deg2rad(rng.normal(0, ASIDE_DEG)))
    pitch, roll = np.clip(rng.normal(*PITCH_DEG), *PITCHES_DEG), rng.normal(0, ROLL_DEG)
    rotation = rotation_of(yaw, float(np.deg2rad(pitch)), float(np.deg2rad(roll)))
    return Viewpoint(sensor, np.array([*place, height]), yaw, rotation)
