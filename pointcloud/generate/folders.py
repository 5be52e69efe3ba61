"""The folder of a generated data set: empty, new, or begun by the same generator; never one with data of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vol3d.dataset_tools.fault import listed
from vol3d.dataset_tools.index import refuse_other
from vol3d.errors import UsageError
from vol3d.files import make_folder, read_json, remove_leftovers, write_json
from vol3d.lock import lock


@contextmanager
def own_folder(out: Path, index: str, made_with: dict[str, Any]) -> Iterator[None]:
    """Holds the folder `out`, whose file `index` records what its data are made with.

    Raises:
        UsageError: it holds something else, or data made with something else.
        Vol3dError: another process works in it, or it cannot be written.
    """
    refuse_filled(out, index)
    make_folders(out)
    with lock(out):
        remove_leftovers(out)
        if (out / index).exists():
            refuse_other(read_json(out / index), made_with, out)
        write_json(out / index, made_with)  # before all else, so that the next try finds the folder its own
        yield


def refuse_filled(out: Path, index: str) -> None:
    """Raises UsageError if the folder `out` holds something and no file `index`, so that it is another's."""
    if not out.is_dir() or (out / index).exists():
        return
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if others:
        do = "Choose an empty folder or a new one."
        raise UsageError("the folder holds something else", where=out, got=listed(others, 3), do=do)


def make_folders(*folders: Path) -> None:
    """Makes those that are not there. Raises Vol3dError for one that cannot be made."""
    for folder in folders:
        make_folder(folder)


def check_numbers(kind: str, count: int, maximum: int, seed: int, minimum: int = 2) -> None:
    """Raises UsageError unless `count` (of rooms, drives or frames) is in its range and `seed` is 0 or more."""
    if not minimum <= count <= maximum:
        wanted = f"{minimum} to {maximum}: at least one to train on and one to validate on"
        raise UsageError(f"not a number of {kind}", where="scenes", got=count, wanted=wanted)
    if seed < 0:
        raise UsageError("not a seed", where="seed", got=seed, wanted="0 or more")
