"""Where somebody with a depth camera stood and looked: places at chest height, several looks from each."""

from __future__ import annotations

import numpy as np

from pointcloud.generate.rooms.furniture import Rng
from pointcloud.generate.rooms.layout import Room

HEIGHTS = (1.2, 1.8)
FROM_THINGS = 0.2  # metres
TRIES = 200


def look_around(rng: Rng, room: Room) -> tuple[np.ndarray, np.ndarray]:
    """Centres (V, 3), and rotations (V, 3, 3) whose rows are each camera's right, down and forward in the room."""
    boxes = np.stack([piece.quads.bounds() for piece in room.furniture])
    area = float(room.size[:2].prod())
    places = free_places(rng, room.size, boxes, int(np.clip(round(area / 5 + rng.normal(1, 1)), 3, 8)))
    centres, rotations = [], []
    for place in places:
        looks = int(rng.integers(6, 10))
        yaws = rng.uniform(0, 2 * np.pi) + np.arange(looks) * 2 * np.pi / 8 + rng.normal(0, 0.2, looks)
        pitches = np.deg2rad(rng.uniform(-45, 5, looks))
        centres += [place] * looks
        rotations += [rotation_of(yaw, pitch) for yaw, pitch in zip(yaws, pitches, strict=True)]
    return np.array(centres), np.array(rotations)


def free_places(rng: Rng, size: np.ndarray, boxes: np.ndarray, count: int) -> list[np.ndarray]:
    """Points that are in no object's box; the last one tried if there is nearly no free place."""
    places: list[np.ndarray] = []
    for attempt in range(TRIES):
        place = np.array([*rng.uniform(0.35, size[:2] - 0.35), rng.uniform(*HEIGHTS)])
        inside = (place > boxes[:, 0] - FROM_THINGS) & (place < boxes[:, 1] + FROM_THINGS)
        if not inside.all(axis=1).any() or (attempt == TRIES - 1 and not places):
            places.append(place)
        if len(places) == count:
            break
    return places


def rotation_of(yaw: float, pitch: float, roll: float = 0.0) -> np.ndarray:
    """Rows right, down and forward of a camera that looks along `yaw` and up by `pitch`, turned by `roll`; radians."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    level = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    right = np.cos(roll) * level + np.sin(roll) * np.cross(forward, level)
    return np.stack([right, np.cross(forward, right), forward])
