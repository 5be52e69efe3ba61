"""A data set of drives, made from a seed, in the format of nuScenes; the official devkit loads it, too.

    OUT/v1.0-drives/*.json, splits.json    tables; one drive in five is for validation
    OUT/samples/LIDAR_TOP, sweeps/...      20 sweeps a second, two keyframes a second
    OUT/drives/drive-0000.json             what was made of each drive, written last: the next try goes on after it

A drive is a function of (seed, number, samples) alone, and a larger set begins with the drives of a smaller one, with
the same roles.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pointcloud.generate.drives.drive import DriveNumber, make_drive
from pointcloud.generate.drives.tables import MAP, VERSION, write_tables
from pointcloud.generate.folders import check_numbers, make_folders, own_folder
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import UsageError
from vol3d.files import explain, read_json, write_json
from vol3d.terminal import Progress

MAX_DRIVES = 1000
VALIDATION_EVERY = 5
INDEX, RECORDS = "drives.json", "drives"


def write_drives(
    out: Path,
    drives: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
    seconds: float = 8.0,
) -> None:
    """Writes `drives` drives into the folder `out`; drives already there are kept.

    A second of a drive takes 13 MB and 0.6 s of a core.

    Args:
        drives: 2 to 1000; every fifth is for validation.
        seed: 0 or more.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each drive.
        seconds: how long a drive lasts, 1 to 15; a keyframe each half second.

    Raises:
        UsageError: a number is out of range, or `out` holds something else, or drives of another seed or length.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    check_numbers("drives", drives, MAX_DRIVES, seed)
    if not 1 <= seconds <= 15:
        raise UsageError("not a length of a drive", where="seconds", got=seconds, wanted="1 to 15 s")
    out, samples = Path(out), int(2 * seconds) + 1
    with own_folder(out, INDEX, {"format": 1, "seed": seed, "samples": samples}):
        below = ("samples/LIDAR_TOP", "sweeps/LIDAR_TOP", VERSION, RECORDS, str(Path(MAP).parent))
        make_folders(*(out / folder for folder in below))
        numbers = [DriveNumber(seed, number, samples) for number in range(drives)]
        over_cases(partial(write_drive, out=out), numbers, workers, progress)
        write_tables(out, numbers, [read_json(_record(one, out)) for one in numbers])
        validation = [one.name for one in numbers if one.number % VALIDATION_EVERY == 1]
        train = [one.name for one in numbers if one.name not in validation]
        write_json(out / VERSION / "splits.json", {"train": train, "validation": validation})


def write_drive(drive: DriveNumber, out: Path) -> None:
    """Writes the sweeps of one drive and then its record; does nothing if the record is there."""
    path = _record(drive, out)
    if path.is_file():
        return
    try:
        write_json(path, make_drive(drive, out))
    except OSError as error:
        explain(error, path)


def _record(drive: DriveNumber, out: Path) -> Path:
    return out / RECORDS / f"{drive.name}.json"
