"""Which frames of KITTI train, validate and test: what the lists in ImageSets say, else each name's chance.

A list that is missing is made up for by the frames that no other list has, with a warning; none is left unread.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pointcloud.datasets.scenes import chance_of
from vol3d.dataset_tools.fault import Fault, listed
from vol3d.errors import DataError
from vol3d.files import is_there, read_text

LISTS = "ImageSets"
_READ = ("train.txt", "val.txt", "test.txt")
_UNION = "trainval.txt"  # what the first two have together: nothing more to learn from it
_ENDINGS = (".bin", ".txt", ".png", ".jpg")
_SHARE = 0.5


@dataclass
class FrameLists:
    """Numbers of the frames of each part; those to test are in `testing` unless `test_in_training`."""

    train: list[str]
    validation: list[str]
    test: list[str]
    test_in_training: bool = False
    faults: list[Fault] = field(default_factory=list)


def frame_lists(root: Path, data_set: str, share: float | None) -> FrameLists:
    """The parts of the data set at `root`.

    Frames of `training` are tested on where there is no folder `testing` and the three lists share no frame.

    Args:
        data_set: its name, for faults.
        share: of the training frames that validate, whatever the lists say; None: as they say.

    Raises:
        DataError: a list cannot be read, or has a line that is no name.
    """
    names = _names(root / "training")
    testing = _names(root / "testing") if (root / "testing/velodyne").is_dir() else None
    train, validation, test = (_read(root / LISTS / name, names) for name in _READ)
    parts = _test_part(test, testing, names, _together(train, validation))
    free = _without(names, parts.test if parts.test_in_training else [])

    if share is not None:
        _by_chance(parts, free, share)
    elif train is None and validation is None:
        _by_chance(parts, free, _SHARE)
        parts.faults += _half_assumed(data_set, parts)
    else:
        rest = _without(free, [*(train or []), *(validation or [])])
        parts.train, parts.validation = (rest if part is None else part for part in (train, validation))
        parts.faults += _rest_assumed(data_set, train, validation, len(rest))
    parts.faults += _unread(root / LISTS, data_set)
    return parts


def _together(train: list[str] | None, validation: list[str] | None) -> list[str] | None:
    return None if train is None or validation is None else [*train, *validation]


def _without(names: list[str], others: Collection[str]) -> list[str]:
    left_out = set(others)
    return [name for name in names if name not in left_out]


def _by_chance(parts: FrameLists, names: list[str], share: float) -> None:
    parts.train = [name for name in names if chance_of(name) >= share]
    parts.validation = [name for name in names if chance_of(name) < share]


def _test_part(
    numbers: list[str] | None, testing: list[str] | None, names: list[str], others: list[str] | None
) -> FrameLists:
    """The frames to test on. KITTI's own list is of a folder that is often not unpacked, and counts from 0 again."""
    if testing is not None:
        return FrameLists([], [], testing if numbers is None else _padded(numbers, testing))
    known = set(names) & set(numbers or ())
    if others is None or known & set(others):
        return FrameLists([], [], [])
    return FrameLists([], [], [name for name in numbers or () if name in known], test_in_training=True)


def _rest_assumed(data_set: str, train: list[str] | None, validation: list[str] | None, rest: int) -> Iterator[Fault]:
    for name, part, does in (("train.txt", train, "train"), ("val.txt", validation, "validate")):
        if part is None:
            what = f"no {LISTS}/{name}: the {rest} frames that the other lists do not name {does}"
            do = "Put the list there if other frames are meant."
            yield Fault(data_set, "warning", what, do, code="split-assumed", numbers={"frames": rest})


def _half_assumed(data_set: str, parts: FrameLists) -> Iterator[Fault]:
    counts = {"train": len(parts.train), "validation": len(parts.validation)}
    if any(counts.values()):
        frames = f"{counts['train']} frames train and {counts['validation']} validate"
        what = f"no {LISTS}/train.txt or val.txt: {frames}, as a hash of their names decides"
        do = "Put the published lists there, or set data.validation to a share."
        yield Fault(data_set, "warning", what, do, code="split-assumed", numbers=counts)


def _unread(folder: Path, data_set: str) -> Iterator[Fault]:
    others = sorted(path.name for path in folder.glob("*") if path.name not in (*_READ, _UNION) and path.is_file())
    if others:
        what = f"{LISTS} has files that are not read: {listed(others)}"
        do = f"If one is the list of a part, call it {', '.join(_READ)}."
        yield Fault(data_set, "warning", what, do, code="list-not-read", numbers={"files": len(others)})


def _read(path: Path, names: Collection[str]) -> list[str] | None:
    """The frames that a list names, one a line; None where there is no list."""
    if not is_there(path):
        return None
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        if len(line.split()) > 1 or "\0" in line:
            wanted = "one name a line, such as 000012"
            raise DataError("not the name of a frame", where=f"{path}:{number}", got=line[:40], wanted=wanted)
    return _padded([_bare(line.strip()) for line in lines if line.strip()], names)


def _bare(word: str) -> str:
    """`velodyne/000012.bin` -> `000012`."""
    name = PurePosixPath(word.replace("\\", "/")).name
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


def _padded(words: list[str], names: Collection[str]) -> list[str]:
    """Numbers without their leading zeros as the files have them."""
    there = set(names)
    return [word.zfill(6) if word not in there and word.zfill(6) in there else word for word in words]


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "velodyne").glob("*.bin"))
