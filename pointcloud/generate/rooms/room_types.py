"""What belongs into which kind of room, in the order in which it is placed: fixtures first, then large, then small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from pointcloud.generate.rooms import arrangements as sets
from pointcloud.generate.rooms import clutter, on_walls, seats, storage, tables, wet_rooms
from pointcloud.generate.rooms.furniture import Furniture, Group, Rng


class Step(NamedTuple):
    """`min_count` to `max_count` pieces of one sort, each placed where it fits."""

    where: Literal["on wall", "against wall", "in middle"]
    build: Callable[[Rng], Furniture] | Callable[[Rng], Group]
    min_count: int
    max_count: int


@dataclass(frozen=True)
class RoomType:
    """A kind of room.

    Args:
        name: ScanNet's sceneType.
        share: how common it is.
        sides: shortest and longest wall, metres.
        steps: what is placed, in order.
    """

    name: str
    share: float
    sides: tuple[float, float]
    steps: Sequence[Step]


WALL: Final = "on wall"
BACKED: Final = "against wall"
MIDDLE: Final = "in middle"

ROOM_TYPES = (
    RoomType(
        "Bedroom / Hotel", 0.2, (3.2, 6.0),
        (
            Step(WALL, on_walls.door, 1, 2), Step(WALL, on_walls.window_with_curtains, 0, 1),
            Step(BACKED, sets.bed_set, 1, 2), Step(WALL, on_walls.window, 0, 1),
            Step(BACKED, sets.workplace, 0, 1), Step(BACKED, storage.cabinet, 0, 2),
            Step(BACKED, sets.dresser_set, 0, 2), Step(BACKED, storage.bookshelf, 0, 1),
            Step(WALL, on_walls.wall_thing, 0, 2), Step(WALL, on_walls.picture, 0, 3),
            Step(WALL, on_walls.television, 0, 1),
            Step(MIDDLE, seats.armchair, 0, 1), Step(BACKED, storage.bin_for_garbage, 0, 1),
            Step(MIDDLE, clutter.on_floor, 0, 3), Step(WALL, on_walls.mirror, 0, 1),
        ),
    ),
    RoomType(
        "Living room / Lounge", 0.18, (3.8, 8.0),
        (
            Step(WALL, on_walls.door, 1, 2), Step(WALL, on_walls.window_with_curtains, 0, 1),
            Step(WALL, on_walls.window, 0, 2), Step(BACKED, sets.sitting_set, 1, 1),
            Step(MIDDLE, sets.sitting_set, 0, 1), Step(MIDDLE, sets.dining_set, 0, 1),
            Step(BACKED, storage.bookshelf, 0, 2), Step(BACKED, storage.cabinet, 0, 1),
            Step(MIDDLE, seats.armchair, 0, 2), Step(WALL, on_walls.television, 0, 1),
            Step(WALL, on_walls.picture, 0, 4), Step(WALL, on_walls.wall_thing, 0, 2),
            Step(BACKED, wet_rooms.bar_counter, 0, 1),
            Step(BACKED, storage.bin_for_garbage, 0, 1), Step(MIDDLE, clutter.on_floor, 0, 4),
        ),
    ),
    RoomType(
        "Office", 0.17, (3.0, 7.0),
        (
            Step(WALL, on_walls.door, 1, 2), Step(WALL, on_walls.window, 0, 2),
            Step(BACKED, sets.workplace, 1, 3), Step(MIDDLE, sets.workplace, 0, 1),
            Step(WALL, on_walls.board, 0, 1), Step(BACKED, storage.bookshelf, 0, 2),
            Step(BACKED, storage.cabinet, 0, 3), Step(BACKED, storage.refrigerator, 0, 1),
            Step(MIDDLE, seats.chair, 0, 2), Step(WALL, on_walls.picture, 0, 2), Step(WALL, on_walls.wall_thing, 0, 2),
            Step(WALL, on_walls.curtain, 0, 1), Step(BACKED, storage.bin_for_garbage, 0, 2),
            Step(MIDDLE, clutter.on_floor, 0, 4),
        ),
    ),
    RoomType(
        "Kitchen", 0.12, (3.0, 5.5),
        (
            Step(WALL, on_walls.door, 1, 2), Step(BACKED, wet_rooms.kitchen_line, 1, 2),
            Step(WALL, on_walls.window, 0, 1), Step(MIDDLE, sets.dining_set, 0, 1),
            Step(BACKED, storage.refrigerator, 0, 1), Step(BACKED, storage.cabinet, 0, 1),
            Step(BACKED, storage.bin_for_garbage, 0, 2), Step(WALL, on_walls.picture, 0, 1),
            Step(WALL, wet_rooms.towel, 0, 1), Step(MIDDLE, clutter.on_floor, 0, 2),
        ),
    ),
    RoomType(
        "Bathroom", 0.13, (3.0, 4.0),
        (
            Step(WALL, on_walls.door, 1, 1), Step(BACKED, wet_rooms.tub_with_curtain, 0, 2),
            Step(BACKED, wet_rooms.toilet, 1, 1), Step(BACKED, wet_rooms.vanity, 0, 1),
            Step(BACKED, wet_rooms.pedestal_sink, 0, 2), Step(WALL, on_walls.window, 0, 1),
            Step(BACKED, storage.bin_for_garbage, 0, 2), Step(WALL, on_walls.mirror, 0, 2),
            Step(WALL, wet_rooms.towel, 0, 2), Step(BACKED, storage.cabinet, 0, 1),
            Step(MIDDLE, clutter.nameless, 0, 1),
        ),
    ),
    RoomType(
        "Classroom", 0.12, (5.0, 8.0),
        (
            Step(WALL, on_walls.door, 1, 2), Step(WALL, on_walls.board, 1, 2), Step(WALL, on_walls.window, 0, 3),
            Step(MIDDLE, sets.conference_set, 0, 1), Step(MIDDLE, sets.school_table, 2, 5),
            Step(WALL, on_walls.curtain, 0, 1), Step(BACKED, tables.desk, 0, 1),
            Step(BACKED, storage.cabinet, 0, 2), Step(BACKED, storage.bookshelf, 0, 1),
            Step(WALL, on_walls.picture, 0, 2), Step(BACKED, storage.bin_for_garbage, 0, 2),
            Step(MIDDLE, seats.chair, 0, 2), Step(MIDDLE, clutter.on_floor, 0, 3),
        ),
    ),
    RoomType(
        "Furniture store", 0.08, (5.0, 8.0),
        (
            Step(WALL, on_walls.door, 1, 1), Step(BACKED, sets.bed_set, 0, 2), Step(MIDDLE, sets.bed_set, 0, 2),
            Step(MIDDLE, sets.sitting_set, 0, 2), Step(MIDDLE, sets.dining_set, 0, 2),
            Step(BACKED, sets.dresser_set, 0, 3), Step(MIDDLE, sets.dresser_set, 0, 1),
            Step(BACKED, storage.bookshelf, 0, 2), Step(BACKED, sets.workplace, 0, 1),
            Step(MIDDLE, seats.armchair, 0, 2), Step(WALL, on_walls.picture, 0, 3),
            Step(MIDDLE, clutter.on_floor, 0, 2),
        ),
    ),
)  # fmt: skip
