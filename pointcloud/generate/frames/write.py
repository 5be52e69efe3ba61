"""A data set of single depth frames of furnished rooms, made from a seed, as VoteNet exports those of SUN RGB-D.

    OUT/frames.json                                          what the frames were made with
    OUT/sunrgbd_pc_bbox_votes_50k_v1_train/000000_pc.npz     (N, 6) x y z r g b, at most 25,000 points
    OUT/sunrgbd_pc_bbox_votes_50k_v1_train/000000_bbox.npy   (K, 8) centre, half sizes, clockwise heading, class
    OUT/sunrgbd_pc_bbox_votes_50k_v1_val/...                 of one room in twenty

Four frames show one room, from four places. The frames of a room are a function of (seed, room) alone, and a larger set
begins with the frames of a smaller one, with the same roles.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pointcloud.conventions import boxes_to_sun_rgbd
from pointcloud.generate.folders import check_numbers, make_folders, own_folder
from pointcloud.generate.frames.frame import MadeFrame, make_frames
from vol3d.dataset_tools.processes import over_cases
from vol3d.files import atomic, remove_leftovers, write_array
from vol3d.terminal import Progress

MAX_FRAMES = 100_000
VIEWS = 4
VALIDATION_EVERY = 20  # rooms
INDEX = "frames.json"


class RoomOfFrames(NamedTuple):
    """The frames of one room: from number `4 * room` on, `views` of them."""

    seed: int
    room: int
    views: int

    @property
    def name(self) -> str:
        """For the progress."""
        return f"room {self.room}"

    @property
    def folder(self) -> str:
        """Of the part that the room belongs to."""
        return f"sunrgbd_pc_bbox_votes_50k_v1_{'val' if self.room % VALIDATION_EVERY == 1 else 'train'}"


def write_frames(
    out: Path, frames: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Writes `frames` labelled frames into the folder `out`; those there are kept.

    A frame takes 0.6 MB and about a fifth of a second of a core.

    Args:
        frames: 5 to 100,000; those of every twentieth room are for validation.
        seed: 0 or more.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each room.

    Raises:
        UsageError: a number is out of range, or `out` holds something else, or frames of another seed.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    check_numbers("frames", frames, MAX_FRAMES, seed, minimum=VIEWS + 1)
    out = Path(out)
    with own_folder(out, INDEX, {"format": 1, "seed": seed}):
        rooms = [RoomOfFrames(seed, room, min(VIEWS, frames - first)) for room, first in _rooms(frames)]
        folders = {out / room.folder for room in rooms}
        make_folders(*folders)
        for folder in folders:
            remove_leftovers(folder)
        over_cases(partial(write_room, out=out), rooms, workers, progress)


def _rooms(frames: int) -> list[tuple[int, int]]:
    """Number and first frame of each room."""
    return list(enumerate(range(0, frames, VIEWS)))


def write_room(room: RoomOfFrames, out: Path) -> None:
    """Writes the frames of one room; does nothing if they are there."""
    paths = [out / room.folder / f"{VIEWS * room.room + view:06d}" for view in range(room.views)]
    if all(path.with_name(f"{path.name}_bbox.npy").is_file() for path in paths):
        return
    for path, made in zip(paths, make_frames(room.seed, room.room, room.views), strict=True):
        _write_frame(path, made)


def _write_frame(path: Path, made: MadeFrame) -> None:
    """Points, then boxes: a frame with boxes is whole."""
    with atomic(path.with_name(f"{path.name}_pc.npz")) as temporary, temporary.open("wb") as file:
        np.savez(file, pc=np.concatenate([made.xyz, made.rgb / np.float32(255)], axis=1))
    boxes = boxes_to_sun_rgbd(torch.from_numpy(made.boxes)).numpy()
    write_array(path.with_name(f"{path.name}_bbox.npy"), np.column_stack([boxes, made.labels]))
