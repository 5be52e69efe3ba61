"""A room with everything in it: a kind and a size are drawn, the kind's furniture placed, walls put around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pointcloud.generate.rooms.furniture import PAINT, WOOD, Furniture, Group, Rng, chance, shade
from pointcloud.generate.rooms.labels import DETECTED
from pointcloud.generate.rooms.plan import Opening, Plan
from pointcloud.generate.rooms.quads import Triple, box, faces
from pointcloud.generate.rooms.room_types import ROOM_TYPES, RoomType

MIN_OBJECTS, MAX_OBJECTS = 3, 15  # objects of the benchmark's classes in a room
ATTEMPTS = 50
CARPET: tuple[Triple, ...] = ((120, 115, 105), (90, 95, 105), (150, 140, 125), (105, 85, 80), (180, 175, 165))
WALLS: tuple[Triple, ...] = (*PAINT[:3], (215, 205, 185), (185, 195, 190), (205, 190, 180))


@dataclass(frozen=True, eq=False)
class Room:
    """Everything that is in a room, in one frame: walls along the axes, a corner at the origin, the floor at z = 0.

    Args:
        kind: ScanNet's sceneType.
        size: width, depth and height in metres.
        furniture: what stands in it.
        shell: floor, walls and ceiling.
    """

    kind: str
    size: np.ndarray
    furniture: Group
    shell: Group


def furnish(rng: Rng) -> Room:
    """A room with 3 to 15 objects of the benchmark's classes."""
    kind = ROOM_TYPES[int(rng.choice(len(ROOM_TYPES), p=[kind.share for kind in ROOM_TYPES]))]
    for _ in range(ATTEMPTS):
        plan = _furnished(rng, kind)
        if plan.objects() >= MIN_OBJECTS:
            return Room(kind.name, plan.size, plan.furniture, _shell(rng, plan))
    raise RuntimeError(f"no {kind.name} could be furnished")  # each kind has a door and more that fits any size


def _furnished(rng: Rng, kind: RoomType) -> Plan:
    width, depth = rng.uniform(*kind.sides, 2)
    plan = Plan(np.array([width, depth, rng.uniform(2.4, 2.9)]), int(rng.integers(8, MAX_OBJECTS + 1)), DETECTED)
    if min(width, depth) > 3.8 and chance(rng, 0.35):
        x, y = rng.uniform(0.35, 0.35 * np.array([width, depth]))
        plan.in_corner(
            rng, Furniture("wall", box((-x / 2, -y / 2, 0), (x / 2, y / 2, plan.size[2]), shade(rng, WALLS)))
        )
    for step in kind.steps:
        place = {"on wall": plan.on_wall, "against wall": plan.against_wall, "in middle": plan.in_middle}[step.where]
        for _ in range(int(rng.integers(step.min_count, step.max_count + 1))):
            built = step.build(rng)
            place(rng, built if isinstance(built, list) else [built])
    return plan


def _shell(rng: Rng, plan: Plan) -> Group:
    """Floor and ceiling, and four walls with their openings."""
    (width, depth, height), paint = plan.size, shade(rng, WALLS)
    ring = np.array([[0, 0, 0], [width, 0, 0], [width, depth, 0], [0, depth, 0]], np.float64)
    floor = Furniture("floor", faces(ring, shade(rng, (*CARPET, *WOOD))))
    ceiling = Furniture("ceiling", faces((ring + np.array([0, 0, height]))[::-1], shade(rng, PAINT[:1])))
    return [floor, ceiling, *(_wall(rng, plan, number, ring[number], paint) for number in range(4))]


def _wall(rng: Rng, plan: Plan, number: int, start: np.ndarray, paint: Triple) -> Furniture:
    """A grid of rectangles along the edges of the openings, without those that are open."""
    openings = [opening for opening in plan.openings if opening.wall == number]
    length, height = plan.size[number % 2], plan.size[2]
    along = np.unique([0.0, length, *(edge for one in openings for edge in (one.left, one.right))])
    up = np.unique([0.0, height, *(edge for one in openings for edge in (one.low, one.high))])

    cells = [
        [[right, 0, low], [left, 0, low], [left, 0, high], [right, 0, high]]
        for left, right in pairwise(along.tolist())
        for low, high in pairwise(up.tolist())
        if not _is_open(openings, left, low)
    ]

    rgb = shade(rng, WALLS) if chance(rng, 0.15) else paint
    return Furniture("wall", faces(np.array(cells), rgb)).placed(
        float(start[0]), float(start[1]), yaw=number * np.pi / 2
    )


def _is_open(openings: Sequence[Opening], along: float, up: float) -> bool:
    """Whether the cell of a wall that begins here belongs to a door or a window."""
    return any(one.left <= along < one.right and one.low <= up < one.high for one in openings)
