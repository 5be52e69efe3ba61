"""Paths as a person gives them: `~` is the home folder. And the folder for what can be fetched or made again."""

from __future__ import annotations

import os
from pathlib import Path

from vol3d.errors import UsageError


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path with `~` and `~name` replaced by the home folder; a name like `~a.nii` that is nobody's is a file's.

    Raises:
        UsageError: the system knows no home folder.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 (`Path.expanduser` fails for a file called `~a.nii`)
    if Path(expanded).parts[:1] == ("~",):
        raise UsageError("no home folder is known", where=path, do="Set HOME, or give the whole path.")
    return Path(expanded)


def cache_folder() -> Path:
    """Where what can be fetched or made again lies: `VOL3D_CACHE`, else `vol3d` in `XDG_CACHE_HOME` or `~/.cache`.

    It need not be there.

    Raises:
        UsageError: the system knows no home folder.
    """
    chosen = os.environ.get("VOL3D_CACHE")
    return user_path(chosen) if chosen else user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "vol3d"
