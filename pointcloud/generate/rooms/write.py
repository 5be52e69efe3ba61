"""A data set of furnished rooms, made from a seed, in the raw format of ScanNet v2.

    OUT/rooms.json                       what the rooms were made with
    OUT/scans/scene0000_00/...           mesh, segments, objects, alignment
    OUT/scans_test/scene9000_00/...      mesh only, not aligned
    OUT/scannetv2_{train,val,test}.txt   one scan in 17 is for validation, one more in 170 for tests
    OUT/scannetv2-labels.combined.tsv    names and classes

Boxes made from these files have the faults of real ones: only what the cameras saw counts. A room is a function of
(seed, number, spacing) alone, and a larger set begins with the rooms of a smaller one, with the same roles.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from pointcloud.generate.folders import check_numbers, make_folders, own_folder
from pointcloud.generate.rooms.room import FIRST_TEST, RoomNumber, make_room
from pointcloud.generate.rooms.scannet_files import (
    MESH,
    SEGMENTS,
    write_aggregation,
    write_information,
    write_label_map,
    write_list,
    write_mesh,
    write_segments,
)
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import UsageError
from vol3d.terminal import Progress

SPACING = 0.035  # metres: 25,000 to 80,000 vertices a room
FINEST, COARSEST = 0.01, 0.2
VALIDATION_EVERY, TEST_EVERY = 17, 170
INDEX = "rooms.json"


def write_rooms(
    out: Path,
    scenes: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
    spacing: float = SPACING,
) -> None:
    """Writes `scenes` labelled rooms, and test rooms beside them, into the folder `out`; rooms already there are kept.

    Args:
        scenes: 2 to 9000; every 17th is for validation.
        seed: 0 or more.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each room.
        spacing: metres between vertices of the meshes.

    Raises:
        UsageError: a number is out of range, or `out` holds something else or rooms of another seed or spacing.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    check_numbers("rooms", scenes, FIRST_TEST, seed)
    if not FINEST <= spacing <= COARSEST:
        raise UsageError("not a spacing of vertices", where="spacing", got=spacing, wanted=f"{FINEST} to {COARSEST} m")
    out = Path(out)
    with own_folder(out, INDEX, {"format": 1, "seed": seed, "spacing": spacing}):
        make_folders(out / "scans", out / "scans_test")
        write_label_map(out / "scannetv2-labels.combined.tsv")
        tests = [FIRST_TEST + number for number in range(-(-scenes // TEST_EVERY))]
        rooms = [RoomNumber(seed, number, spacing) for number in (*range(scenes), *tests)]
        over_cases(partial(write_room, out=out), rooms, workers, progress)
        validation = [room.name for room in rooms if not room.is_test and room.number % VALIDATION_EVERY == 1]
        test = [room.name for room in rooms if room.is_test]
        write_list(out / "scannetv2_val.txt", validation)
        write_list(out / "scannetv2_test.txt", test)
        write_list(out / "scannetv2_train.txt", [r.name for r in rooms if r.name not in {*validation, *test}])


def write_room(number: RoomNumber, out: Path) -> None:
    """Writes the files of one room, all or none; does nothing if they are there."""
    target = out / ("scans_test" if number.is_test else "scans") / number.name
    if target.is_dir():
        return
    made = make_room(number)
    temporary = target.with_name(f".{number.name}")  # in one place, so that the next try removes what a killed one left
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    inverse = np.linalg.inv(made.alignment)
    xyz = (made.scan.xyz - [*made.room.size[:2] / 2, 0]) @ inverse[:3, :3].T + inverse[:3, 3]
    write_mesh(temporary / f"{number.name}{MESH}", xyz, made.scan.rgb, made.scan.triangles)
    alignment = None if number.is_test else made.alignment
    write_information(temporary / f"{number.name}.txt", alignment, made.room.kind)
    if not number.is_test:
        write_segments(temporary / f"{number.name}{SEGMENTS}", number.name, made.segment_of_vertex)
        write_aggregation(temporary / f"{number.name}.aggregation.json", number.name, made.objects)
    temporary.rename(target)
