"""One room from its number: furnished, scanned, annotated, and turned away from the axes as a scanner would have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointcloud.generate.rooms.labels import DETECTED
from pointcloud.generate.rooms.layout import Room, furnish
from pointcloud.generate.rooms.scanning import Scan, scan
from pointcloud.generate.rooms.segments import Annotated, segment

FIRST_TEST = 9000
FEWEST_OBJECTS = 3


@dataclass(frozen=True)
class RoomNumber:
    """One room to be made.

    Args:
        seed: of the data set.
        number: of the room in it; from `FIRST_TEST` on for tests, without labels.
        spacing: metres between vertices.
    """

    seed: int
    number: int
    spacing: float

    @property
    def name(self) -> str:
        """As ScanNet numbers its scans."""
        return f"scene{self.number:04d}_00"

    @property
    def is_test(self) -> bool:
        """Whether the room is written without labels."""
        return self.number >= FIRST_TEST


@dataclass(frozen=True, eq=False)
class MadeRoom:
    """A room and its scan, in the room's frame, with the annotation and the alignment that leads to that frame.

    Args:
        alignment: 4x4 from the mesh file's coordinates to the aligned ones, in which the floor is about the origin.
    """

    room: Room
    scan: Scan
    segment_of_vertex: np.ndarray
    objects: list[Annotated]
    alignment: np.ndarray


def make_room(number: RoomNumber) -> MadeRoom:
    """The room: furnished, scanned and annotated, tried again where the cameras saw fewer than three objects."""
    rng = np.random.default_rng([number.seed, number.number])
    while True:
        room = furnish(rng)
        scanned = scan(rng, room, number.spacing)
        segment_of_vertex, objects = segment(rng, scanned)
        if sum(one.label in DETECTED for one in objects) >= FEWEST_OBJECTS:
            return MadeRoom(room, scanned, segment_of_vertex, objects, _alignment(rng))


def _alignment(rng: np.random.Generator) -> np.ndarray:
    """A turn about z and a shift, as many digits as the file has."""
    yaw, matrix = rng.uniform(-np.pi, np.pi), np.eye(4)
    matrix[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    matrix[:3, 3] = rng.uniform([-4, -4, -0.1], [4, 4, 0.1])
    return matrix.round(6)
