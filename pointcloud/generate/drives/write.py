"""A data set of drives, made from a seed, in the format of nuScenes; the official devkit loads it, too.

    OUT/v1.0-drives/*.json, splits.json    tables; one drive in five is for validation
    OUT/samples/LIDAR_TOP, sweeps/...      20 sweeps a second or fewer, two keyframes a second
    OUT/drives/drive-0000.json             what was made of each drive, written last: the next try goes on after it

A drive is a function of (seed, number, samples) alone, and a larger set begins with the drives of a smaller one, with
the same roles.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from pointcloud.generate.drives.drive import make_drive
from pointcloud.generate.drives.number import SWEEPS_PER_SAMPLE, DriveNumber
from pointcloud.generate.drives.tables import MAP, VERSION, write_tables
from pointcloud.generate.folders import check_numbers, make_folders, own_folder
from pointcloud.generate.streets.scanners import find_scanner
from vol3d.dataset_tools.processes import over_cases
from vol3d.errors import UsageError
from vol3d.files import explain, read_json, write_json
from vol3d.terminal import Progress

MAX_DRIVES = 1000
VALIDATION_EVERY = 5
INDEX, RECORDS = "drives.json", "drives"
STREETS, SCANNER = ("simple", "realistic"), "hdl-32e"


def write_drives(
    out: Path,
    drives: int,
    seed: int,
    workers: int | None = None,
    progress: Progress | None = None,
    seconds: float = 8.0,
    streets: str = "simple",
    scanner: str | None = None,
    sweeps: int = SWEEPS_PER_SAMPLE,
) -> None:
    """Writes `drives` drives into the folder `out`; drives already there are kept.

    A second of a drive takes 13 MB and 0.6 s of a core, through realistic streets 1.2 s.

    Args:
        drives: 2 to 1000; every fifth is for validation.
        seed: 0 or more.
        workers: processes; 0 works in this one, None takes one per core.
        progress: called after each drive.
        seconds: how long a drive lasts, 1 to 15; a keyframe each half second.
        streets: "simple", of which shipped weights and the demo are made, or "realistic".
        scanner: of realistic streets, one of `SCANNERS`, or "mixed": each drive has another of them; None: nuScenes'
            HDL-32E. Simple streets have their own.
        sweeps: up to each keyframe, 1 to 10; those in between are left out.

    Raises:
        UsageError: a number is out of range, or `out` holds something else, or drives of another seed, length,
            streets or scanner.
        Vol3dError: another process works in `out`, or it cannot be written.
    """
    check_numbers("drives", drives, MAX_DRIVES, seed)
    if not 1 <= seconds <= 15:
        raise UsageError("not a length of a drive", where="seconds", got=seconds, wanted="1 to 15 s")
    if not 1 <= sweeps <= SWEEPS_PER_SAMPLE:
        raise UsageError("not a number of sweeps", where="sweeps", got=sweeps, wanted=f"1 to {SWEEPS_PER_SAMPLE}")
    out, samples = Path(out), int(2 * seconds) + 1
    made_with = {**_made_with(streets, scanner), "seed": seed, "samples": samples}
    if sweeps < SWEEPS_PER_SAMPLE:
        made_with["sweeps"] = sweeps
    with own_folder(out, INDEX, made_with):
        below = ("samples/LIDAR_TOP", "sweeps/LIDAR_TOP", VERSION, RECORDS, str(Path(MAP).parent))
        make_folders(*(out / folder for folder in below))
        numbers = [DriveNumber(seed, number, samples, streets, scanner or SCANNER, sweeps) for number in range(drives)]
        over_cases(partial(write_drive, out=out), numbers, workers, progress)
        write_tables(out, numbers, [read_json(_record(one, out)) for one in numbers])
        validation = [one.name for one in numbers if one.number % VALIDATION_EVERY == 1]
        train = [one.name for one in numbers if one.name not in validation]
        write_json(out / VERSION / "splits.json", {"train": train, "validation": validation})


def _made_with(streets: str, scanner: str | None) -> dict[str, Any]:
    """What the index has of the streets. Raises UsageError for what there is not."""
    if streets not in STREETS:
        raise UsageError("no such streets", where="streets", got=streets, wanted=", ".join(STREETS))
    if streets == "realistic":
        find_scanner(scanner or SCANNER)
        return {"format": 5, "streets": streets, "scanner": scanner or SCANNER}
    if scanner is not None:
        do = "Choose realistic streets, too, or leave the scanner out."
        raise UsageError("simple streets have a scanner of their own", where="scanner", got=scanner, do=do)
    return {"format": 1}


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
