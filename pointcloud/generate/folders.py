"""The folder of a generated data set: empty, new, or begun by the same generator; never one with data of others."""

from __future__ import annotations

from pathlib import Path

from vol3d.datasets.fault import listed
from vol3d.errors import UsageError, Vol3dError


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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            do = "Choose another one."
            raise Vol3dError("cannot make the folder", where=folder, got=error.strerror, do=do) from error
