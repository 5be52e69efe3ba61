"""The plan of a room while it is furnished: what is placed where, and whether something else fits.

Things are compared by their axis-aligned boxes in three dimensions, so that a picture hangs above a sofa and a chair
of a group stands under its own desk. The room is [0, width] x [0, depth] x [0, height]; walls are numbered south,
east, north, west.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pointcloud.generate.rooms.furniture import Furniture, Group, Rng, chance
from pointcloud.generate.rooms.quads import box, join

TRIES = 30
APART = 0.02  # metres between boxes
DOORWAY = 0.85  # metres in front of a door that stay free
FRAME = 0.04  # metres of a frame that cover the wall
IN_WALL = 0.12  # metres that frames may reach into a wall


class Opening(NamedTuple):
    """A rectangle cut out of a wall: along the wall, counter-clockwise round the room, and up."""

    wall: int
    left: float
    right: float
    low: float
    high: float


@dataclass(eq=False)
class Plan:
    """A room that is being furnished.

    Args:
        size: width, depth and height.
        limit: number of objects of the benchmark's classes that it may hold.
        counted: ScanNet's names of furniture that are of one of the classes.
    """

    size: np.ndarray
    limit: int
    counted: frozenset[str]
    furniture: list[Furniture] = field(default_factory=list)
    taken: list[np.ndarray] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)

    def objects(self) -> int:
        """How many pieces of furniture of the benchmark's classes there are."""
        return self._objects(self.furniture)

    def _objects(self, furniture: list[Furniture]) -> int:
        return sum(piece.label in self.counted for piece in furniture)

    def against_wall(self, rng: Rng, group: Group) -> bool:
        """Places the group with its back at a wall, anywhere it fits; false if it fits nowhere."""
        jitter, gap = rng.normal(0, 0.012), rng.uniform(0.015, 0.06)
        turned = [piece.placed(yaw=jitter) for piece in group]
        low, high = _bounds(turned)
        straight = [piece.placed(y=gap - low[1]) for piece in turned]
        return self._along_walls(rng, straight, low[0], high[0]) is not None

    def on_wall(self, rng: Rng, group: Group) -> bool:
        """Hangs the group on a wall; cuts the wall behind a door or a window, and keeps the way to a door free."""
        low, high = _bounds(group)
        found = self._along_walls(rng, group, low[0], high[0], mounted=True)
        if found is None:
            return False
        wall, along = found
        for label, ((left, _, bottom), (right, _, top)) in ((piece.label, piece.quads.bounds()) for piece in group):
            if label in ("door", "window"):
                bottom = bottom + FRAME if label == "window" else 0.0
                self.openings.append(Opening(wall, along + left + FRAME, along + right - FRAME, bottom, top - FRAME))
            if label == "door":
                way = Furniture("", box((left, 0.1, 0), (right, DOORWAY, 2), (0, 0, 0)))
                self.taken.append(self._at_wall(way, wall, along).quads.bounds())
        return True

    def in_middle(self, rng: Rng, group: Group) -> bool:
        """Places the group anywhere, mostly along the walls' directions."""
        low, high = _bounds(group)
        centred = [piece.placed(*(-(low + high)[:2] / 2)) for piece in group]
        for _ in range(TRIES):
            askew = rng.uniform(0, 2 * np.pi) if chance(rng, 0.15) else rng.normal(0, 0.05)
            yaw = np.pi / 2 * rng.integers(4) + askew
            x, y = rng.uniform(0.3, np.maximum(self.size[:2] - 0.3, 0.31))
            if self._add([piece.placed(x, y, yaw=yaw) for piece in centred]):
                return True
        return False

    def in_corner(self, rng: Rng, piece: Furniture) -> bool:
        """Puts the piece into a corner, flush with both walls."""
        half = piece.size[:2] / 2
        x, y = np.where(rng.random(2) < 0.5, half, self.size[:2] - half)
        return self._add([piece.placed(x, y)], mounted=True)

    def _along_walls(
        self, rng: Rng, group: Group, left: float, right: float, mounted: bool = False
    ) -> tuple[int, float] | None:
        """The wall and the place along it that the group got."""
        for _ in range(TRIES):
            wall = int(rng.integers(4))
            first, last = 0.04 - left, self.size[wall % 2] - 0.04 - right
            if first > last:
                continue
            along = rng.uniform(first, last)
            if self._add([self._at_wall(piece, wall, along) for piece in group], mounted):
                return wall, along
        return None

    def _at_wall(self, piece: Furniture, wall: int, along: float) -> Furniture:
        """From the frame of a wall (x along it from its left end, y into the room) to that of the room."""
        width, depth = self.size[:2]
        start = ((0, 0), (width, 0), (width, depth), (0, depth))[wall]
        return piece.placed(x=along).placed(float(start[0]), float(start[1]), yaw=wall * np.pi / 2)

    def _add(self, group: Group, mounted: bool = False) -> bool:
        boxes = np.stack([piece.quads.bounds() for piece in group])
        if self.objects() + self._objects(group) > self.limit or not self._free(boxes, mounted):
            return False
        self.furniture += group
        self.taken += list(boxes)
        return True

    def _free(self, boxes: np.ndarray, mounted: bool) -> bool:
        margin = np.array([-IN_WALL, -IN_WALL, 0]) if mounted else np.array([0.005, 0.005, 0])
        if (boxes[:, 0] < margin).any() or (boxes[:, 1] > self.size - margin).any():
            return False
        if not self.taken:
            return True
        taken = np.stack(self.taken)
        meet = (boxes[:, None, 0] < taken[None, :, 1] + APART) & (taken[None, :, 0] < boxes[:, None, 1] + APART)
        return not meet.all(axis=2).any()


def _bounds(group: Group) -> np.ndarray:
    return join([piece.quads for piece in group]).bounds()
